//! Paths on which something is to stay as it is, and when to look whether it did.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Instant;

use super::notices::Notices;
use super::schedule::{CAP, QUIET};

/// Watches what comes and goes at some paths by inotify(7), which bpffs supports as well.
#[derive(Debug, Default)]
pub struct Places {
    paths: BTreeSet<PathBuf>,
    notices: Option<Notices>,
    stir: Option<Stir>,
}

/// Something happened that was not looked at yet.
#[derive(Clone, Copy, Debug)]
struct Stir {
    since: Instant,
    /// When to look.
    due: Instant,
}

impl Places {
    /// Watches these absolute paths from now on; says whether they are others than before. Whoever
    /// looks at what is there does so afterwards, so that no change falls between.
    ///
    /// Where inotify is at its limits, nothing is noticed.
    pub fn watch(&mut self, paths: BTreeSet<PathBuf>) -> bool {
        let others = self.paths != paths;
        self.paths = paths;
        if self.notices.is_none() && !self.paths.is_empty() {
            let refused =
                |errno| tracing::debug!(%errno, "changes of pins are not noticed at once");
            self.notices = Notices::open().map_err(refused).ok();
        }
        if let Some(notices) = &mut self.notices {
            let mut round = notices.rearm();
            self.paths.iter().for_each(|path| round.follow(path));
            if let Err(errno) = round.finish() {
                tracing::debug!(%errno, "changes of some pins are not noticed at once");
            }
        }
        others
    }

    /// The paths that are watched.
    #[must_use]
    pub fn paths(&self) -> &BTreeSet<PathBuf> {
        &self.paths
    }

    /// What is readable when something was noticed; then it is time for [`Places::notice`].
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.notices.as_ref().map(AsFd::as_fd)
    }

    /// When to look, if there is a reason to.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.stir.map(|stir| stir.due)
    }

    /// Takes in what was noticed.
    pub fn notice(&mut self, now: Instant) {
        if self.notices.as_mut().is_some_and(Notices::drain) {
            self.stirred(now);
        }
    }

    /// There is a reason to look once it is quiet; one who never stops puts it off for a while only.
    pub fn stirred(&mut self, now: Instant) {
        let since = self.stir.map_or(now, |stir| stir.since);
        self.stir = Some(Stir { since, due: (now + QUIET).min(since + CAP) });
    }

    /// There is a reason to look at once.
    pub fn force(&mut self, now: Instant) {
        self.stir = Some(Stir { since: now, due: now });
    }

    /// Whether it is time to look. Once it was said, it takes another reason.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|due| due <= now);
        if due {
            self.stir = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn looks_once_it_is_quiet_or_after_a_while() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut places = Places::default();
        assert!(!places.is_due(at(0)) && places.deadline().is_none());
        places.stirred(at(0));
        places.stirred(at(50));
        assert!(!places.is_due(at(149)));
        assert!(places.is_due(at(150)) && !places.is_due(at(9000)), "once");
        for n in 0..100 {
            places.stirred(at(10_000 + 50 * n));
        }
        assert_eq!(places.deadline(), Some(at(12_000)));
        places.force(at(13_000));
        assert!(places.is_due(at(13_000)));
    }

    #[test]
    fn what_comes_and_goes_at_the_paths_is_noticed_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let (inner, other) = (directory.path().join("inner"), directory.path().join("other"));
        let path = inner.join("pin");
        let mut places = Places::default();
        let paths = BTreeSet::from([path.clone()]);
        assert!(places.watch(paths.clone()));
        let noticed = |places: &mut Places| {
            let now = Instant::now();
            places.notice(now);
            let noticed = places.is_due(now + CAP);
            assert!(!places.watch(paths.clone()));
            noticed
        };
        fs::write(&other, "").expect("a file");
        assert!(!noticed(&mut places));
        fs::create_dir(&inner).expect("a directory");
        assert!(noticed(&mut places), "it is on the way");
        fs::write(&path, "").expect("a file");
        assert!(noticed(&mut places));
        fs::remove_file(&path).expect("it is there");
        assert!(noticed(&mut places));
        fs::rename(&other, &path).expect("it is there");
        assert!(noticed(&mut places));
        assert!(!noticed(&mut places));
    }
}
