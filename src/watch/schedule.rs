//! When to look at the files, and whether what was seen is handed on.
//!
//! After an event: a first look once it is quiet for a moment, a second one when it has been quiet
//! for long enough; if both saw the same, and every file is whole, it is handed on. Writers that do
//! not stop are looked at all the same after a while, and files that stay missing or cut off are
//! handed on as they are, so that it is said.

use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::look::Print;
use crate::model::digest::Digest;

/// Without an event for so long, a first look is worth its cost.
const LULL: Duration = Duration::from_millis(20);
/// Without an event for so long, a change is complete.
pub(super) const QUIET: Duration = Duration::from_millis(100);
/// Two looks that are to agree are at least so far apart.
const APART: Duration = Duration::from_millis(80);
/// From when on events put nothing off any more.
pub(super) const CAP: Duration = Duration::from_secs(2);
/// How long files may stay missing or cut off before that is handed on.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so long, whatever was read is handed on.
const LONGEST: Duration = Duration::from_secs(30);
/// How often to look although nothing happened, where what happens is noticed.
pub(super) const SAFETY: Duration = Duration::from_secs(30);

/// When to look, and what became of it.
#[derive(Debug)]
pub(super) struct Schedule {
    /// What was handed on last.
    attempted: Option<Digest>,
    stir: Option<Stir>,
    /// When to look although nothing happened.
    check: Instant,
    interval: Duration,
    retry: Option<Instant>,
    backoff: Backoff,
}

/// Something happened, and what came of it is not known yet.
#[derive(Debug)]
struct Stir {
    since: Instant,
    last_event: Instant,
    /// What was seen last, and since when.
    seen: Option<(Print, Instant)>,
    next: Instant,
    /// Hand on what is there, changed or not, as soon as it is whole.
    forced: bool,
}

/// What a look leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again later.
    Wait,
    /// There is nothing new.
    Same,
    /// Hand on what was seen.
    HandOn,
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            attempted: None,
            stir: None,
            check: now + SAFETY,
            interval: SAFETY,
            retry: None,
            backoff: Backoff::new(),
        }
    }

    /// How often to look although nothing happened.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// When to look next.
    pub(super) fn deadline(&self) -> Instant {
        match (&self.stir, self.retry) {
            (Some(stir), _) => stir.next,
            (None, Some(retry)) => retry.min(self.check),
            (None, None) => self.check,
        }
    }

    /// An event came.
    pub(super) fn stirred(&mut self, now: Instant) {
        let stir = self.stir.get_or_insert_with(|| Stir::new(now));
        stir.last_event = now;
        let capped = stir.since + CAP;
        if now < capped {
            stir.seen = None;
            if !stir.forced {
                stir.next = (now + LULL).min(capped);
            }
        }
    }

    /// Look at once, and hand on what is there. If that fails, it is tried again soon.
    pub(super) fn force(&mut self, now: Instant) {
        self.backoff = Backoff::new();
        self.urge(now);
    }

    fn urge(&mut self, now: Instant) {
        let stir = self.stir.get_or_insert_with(|| Stir::new(now));
        stir.forced = true;
        stir.next = now;
    }

    /// What was handed on is to be tried again, after a time that grows until something changes.
    pub(super) fn retry(&mut self, now: Instant) {
        self.retry = Some(now + self.backoff.next());
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if self.stir.is_none() && self.retry.is_some_and(|retry| retry <= now) {
            self.urge(now);
        }
        self.deadline() <= now
    }

    /// What was seen at a look.
    pub(super) fn looked(&mut self, now: Instant, print: Print) -> Verdict {
        let is_new = self.attempted != Some(print.digest);
        self.check = now + self.interval;
        let mut stir = self.stir.take().unwrap_or_else(|| Stir::new(now));
        if !is_new && !stir.forced {
            return Verdict::Same;
        }
        if !stir.hands_on(now, print) {
            self.stir = Some(stir);
            return Verdict::Wait;
        }
        if is_new {
            self.backoff = Backoff::new();
        }
        self.handed_on(now, print);
        Verdict::HandOn
    }

    /// That was handed on: only something else is news.
    pub(super) fn handed_on(&mut self, now: Instant, print: Print) {
        self.check = now + self.interval;
        self.retry = None;
        self.attempted = Some(print.digest);
    }
}

impl Stir {
    fn new(now: Instant) -> Self {
        Self { since: now, last_event: now, seen: None, next: now + LULL, forced: false }
    }

    /// Whether that is handed on; if not, says when to look again.
    fn hands_on(&mut self, now: Instant, print: Print) -> bool {
        let seen = self.seen.filter(|(seen, _)| *seen == print);
        let (_, since) = *self.seen.insert(seen.unwrap_or((print, now)));
        let quiet = now >= self.last_event + QUIET || now >= self.since + CAP;
        let complete = self.forced || (seen.is_some() && quiet);
        if print.settled && complete || now >= since + PATIENCE || now >= self.since + LONGEST {
            return true;
        }
        self.next = (self.last_event + QUIET).max(now + APART);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at a file whose contents are told as time goes on.
    struct Bench {
        schedule: Schedule,
        start: Instant,
        print: Print,
        looks: u32,
        handed_on: Vec<(u128, Print)>,
    }

    fn print(text: &str) -> Print {
        Print { digest: Digest::of(text.as_bytes()), settled: true }
    }

    fn torn(text: &str) -> Print {
        Print { settled: false, ..print(text) }
    }

    impl Bench {
        /// `a` was handed on at the start.
        fn new() -> Self {
            let start = Instant::now();
            let mut schedule = Schedule::new(start);
            schedule.handed_on(start, print("a"));
            let print = print("a");
            Self { schedule, start, print, looks: 0, handed_on: Vec::new() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        /// Lets time pass until then, looking whenever it is due.
        fn until(&mut self, millis: u64) -> &mut Self {
            let end = self.at(millis);
            while self.schedule.deadline() <= end {
                let now = self.schedule.deadline();
                assert!(self.schedule.is_due(now));
                self.looks += 1;
                if self.schedule.looked(now, self.print) == Verdict::HandOn {
                    self.handed_on.push(((now - self.start).as_millis(), self.print));
                }
            }
            self
        }

        /// At that time the file becomes this, with an event.
        fn event(&mut self, millis: u64, print: Print) -> &mut Self {
            self.until(millis);
            self.print = print;
            self.schedule.stirred(self.at(millis));
            self
        }
    }

    #[test]
    fn a_change_is_handed_on_once_it_was_quiet() {
        let mut bench = Bench::new();
        bench.event(1000, print("b")).until(20_000);
        assert_eq!((&*bench.handed_on, bench.looks), (&[(1100, print("b"))][..], 2));
    }

    #[test]
    fn a_burst_is_one_change() {
        let mut bench = Bench::new();
        for n in 0..40 {
            bench.event(1000 + n, print(&format!("{n}")));
        }
        bench.until(20_000);
        assert_eq!((&*bench.handed_on, bench.looks), (&[(1139, print("39"))][..], 2));
    }

    #[test]
    fn two_complete_versions_shortly_after_another_are_one_change() {
        let mut bench = Bench::new();
        bench.event(1000, print("unstripped")).event(1060, print("stripped")).until(20_000);
        assert_eq!(bench.handed_on, [(1160, print("stripped"))]);
    }

    #[test]
    fn a_slow_writer_is_waited_for() {
        let mut bench = Bench::new();
        for chunk in 0..10 {
            bench.event(1000 + 60 * chunk, torn(&format!("{chunk}")));
        }
        bench.event(1600, print("whole")).until(20_000);
        assert_eq!(bench.handed_on, [(1700, print("whole"))]);
        // Slower than it is ever quiet: the torn file itself says that it is not complete.
        let mut bench = Bench::new();
        for chunk in 0..10 {
            bench.event(1000 + 700 * chunk, torn(&format!("{chunk}")));
        }
        bench.event(8000, print("whole")).until(20_000);
        assert_eq!(bench.handed_on.len(), 1, "{:?}", bench.handed_on);
        assert_eq!(bench.handed_on[0].1, print("whole"));
    }

    #[test]
    fn events_without_a_change_lead_to_nothing() {
        let mut bench = Bench::new();
        for n in 1..10 {
            bench.event(n * 1000, print("a"));
        }
        bench.until(20_000);
        assert_eq!((bench.handed_on.len(), bench.looks), (0, 9));
        bench.event(21_000, print("b")).event(21_050, print("a")).until(29_000);
        assert_eq!(bench.handed_on, [], "there and back");
    }

    #[test]
    fn one_who_never_stops_writing_is_looked_at_all_the_same() {
        let mut bench = Bench::new();
        for n in 0..2000 {
            let print = if n < 100 { print(&format!("{n}")) } else { print("b") };
            bench.event(1000 + 10 * n, print);
        }
        assert_eq!(bench.handed_on, [(3090, print("b"))]);
        // Not even two looks agree.
        let mut bench = Bench::new();
        for n in 0..4000 {
            bench.event(1000 + 10 * n, print(&format!("{n}")));
        }
        assert_eq!(bench.handed_on.len(), 1);
    }

    #[test]
    fn a_file_that_is_gone_is_waited_for_and_then_reported_once() {
        let mut bench = Bench::new();
        bench.event(1000, torn("gone")).event(1700, print("a")).until(20_000);
        assert_eq!(bench.handed_on, [], "it came back");
        bench.event(21_000, torn("gone")).until(100_000);
        assert_eq!(bench.handed_on, [(23_020, torn("gone"))]);
        bench.event(101_000, print("a")).until(120_000);
        assert_eq!(bench.handed_on[1..], [(101_100, print("a"))]);
    }

    #[test]
    fn a_change_without_an_event_is_found_by_the_safety_poll() {
        let mut bench = Bench::new();
        bench.until(10_000);
        bench.print = print("b");
        bench.until(70_000);
        assert_eq!((&*bench.handed_on, bench.looks), (&[(30_100, print("b"))][..], 3));
    }

    #[test]
    fn force_hands_on_at_once_what_has_not_changed_too() {
        let mut bench = Bench::new();
        for _ in 0..50 {
            bench.schedule.force(bench.at(1000));
        }
        bench.until(2000);
        assert_eq!(bench.handed_on, [(1000, print("a"))]);
        bench.event(3000, torn("b"));
        bench.schedule.force(bench.at(3001));
        bench.until(3500).event(3500, print("c")).until(20_000);
        assert_eq!(bench.handed_on[1..].len(), 1, "{:?}", bench.handed_on);
        assert_eq!(bench.handed_on[1].1, print("c"));
    }

    #[test]
    fn what_failed_is_tried_again_ever_more_slowly_until_it_changes() {
        let mut bench = Bench::new();
        let retry = |bench: &mut Bench, after: u64| {
            let handed_on = bench.handed_on.len();
            let now = bench.handed_on.last().map_or(bench.start, |(at, _)| {
                bench.start + Duration::from_millis(u64::try_from(*at).expect("small"))
            });
            bench.schedule.retry(now);
            let due = now + Duration::from_secs(after) - bench.start;
            bench.until(u64::try_from(due.as_millis()).expect("small"));
            assert_eq!(bench.handed_on.len(), handed_on + 1);
            assert_eq!(bench.handed_on[handed_on].0, due.as_millis());
        };
        for after in [1, 2, 4, 8, 16, 32, 60, 60] {
            retry(&mut bench, after);
        }
        bench.schedule.retry(bench.at(183_000));
        bench.event(190_000, print("b")).until(190_100);
        assert_eq!(bench.handed_on.last(), Some(&(190_100, print("b"))), "a change does not wait");
        retry(&mut bench, 1);
    }
}
