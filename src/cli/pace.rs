//! When work that lasts is shown: not before it has lasted, and not all the time.

use std::time::{Duration, Instant};

/// When to show what one piece of work is at. Knows no clock of its own.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long work lasts until it is shown first.
    first: Duration,
    /// How long after that it is shown again.
    again: Duration,
    /// The longest pause; each is twice as long as the one before until then.
    most: Duration,
    /// When to show the work that goes on, and how long to pause after that.
    next: Option<(Instant, Duration)>,
}

impl Pace {
    /// Of a line that a terminal shows: what takes a blink of an eye does not flicker.
    pub(super) fn line() -> Self {
        Self::new(400, 100, 100)
    }

    /// Of lines that somebody reads later: ever fewer, the longer it lasts.
    pub(super) fn log() -> Self {
        Self::new(1000, 5000, 60_000)
    }

    /// Of what a service manager shows to whoever asks.
    pub(super) fn status() -> Self {
        Self::new(1000, 2000, 2000)
    }

    /// All in milliseconds.
    fn new(first: u64, again: u64, most: u64) -> Self {
        Self {
            first: Duration::from_millis(first),
            again: Duration::from_millis(again),
            most: Duration::from_millis(most),
            next: None,
        }
    }

    /// Work begins or goes on; says whether it is to be shown now.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let (due, pause) = *self.next.get_or_insert((now + self.first, self.again));
        if now < due {
            return false;
        }
        self.next = Some((now + pause, self.most.min(2 * pause)));
        true
    }

    /// The work is over; the next begins anew.
    pub(super) fn over(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which of the milliseconds from 0 to `last`, in steps of `step`, it is shown.
    fn shown(pace: &mut Pace, step: usize, last: u64) -> Vec<u64> {
        let start = Instant::now();
        let at = |millis: &u64| pace.is_due(start + Duration::from_millis(*millis));
        (0..=last).step_by(step).filter(at).collect()
    }

    #[test]
    fn short_work_is_never_shown() {
        assert!(shown(&mut Pace::line(), 20, 380).is_empty());
        assert!(shown(&mut Pace::log(), 20, 980).is_empty());
        // However often work begins.
        let mut pace = Pace::log();
        for _ in 0..1000 {
            assert!(shown(&mut pace, 100, 900).is_empty());
            pace.over();
        }
    }

    #[test]
    fn a_line_follows_and_a_log_tires() {
        assert_eq!(shown(&mut Pace::line(), 20, 700), [400, 500, 600, 700]);
        let seconds: Vec<u64> =
            shown(&mut Pace::log(), 20, 300_000).iter().map(|millis| millis / 1000).collect();
        assert_eq!(seconds, [1, 6, 16, 36, 76, 136, 196, 256]);
    }

    #[test]
    fn what_is_told_seldom_is_shown_when_it_is_told() {
        assert_eq!(shown(&mut Pace::line(), 1500, 6000), [1500, 3000, 4500, 6000]);
        assert_eq!(shown(&mut Pace::log(), 4000, 12_000), [4000, 12_000]);
    }
}
