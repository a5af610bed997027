//! A manifest and what it names, watched.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf, absolute};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::filesystem;
use super::look::Snapshot;
use super::notices::{Notices, Round};
use super::schedule::{SAFETY, Schedule, Verdict};
use super::{Named, Source};

/// How changes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By inotify(7), and by polling while that cannot tell everything.
    Auto,
    /// By inotify(7) alone, with a look every 30 seconds in case it missed something.
    Inotify,
    /// By polling alone.
    Poll,
}

/// How to watch.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How changes are found.
    pub method: Method,
    /// How often to look when polling.
    pub poll_interval: Duration,
}

/// Watches a first file and the files it names.
#[derive(Debug)]
pub struct Watcher {
    first: PathBuf,
    named: Vec<PathBuf>,
    options: Options,
    notices: Option<Notices>,
    schedule: Schedule,
    polls_because: Option<String>,
}

/// What a turn of the loop brought.
#[derive(Debug)]
pub enum Turn {
    /// It was not time to look, or what was seen has not settled.
    Waiting,
    /// The files are as they were when they were last handed on.
    Same,
    /// They are not, or they were asked for.
    Changed(Snapshot),
}

impl Watcher {
    /// Watches `first` and what it names, and hands on what is there.
    ///
    /// # Errors
    /// With [`Method::Inotify`], if inotify cannot be had.
    pub fn start(
        first: &Path,
        options: Options,
        now: Instant,
        source: &dyn Source,
    ) -> io::Result<(Self, Snapshot)> {
        let notices = match options.method {
            Method::Poll | Method::Auto => None,
            Method::Inotify => Some(Notices::open()?),
        };
        let mut watcher = Self {
            first: first.to_owned(),
            named: Vec::new(),
            options,
            notices,
            schedule: Schedule::new(now),
            polls_because: None,
        };
        let snapshot = watcher.look(source);
        watcher.schedule.handed_on(now, snapshot.print());
        Ok((watcher, snapshot))
    }

    /// What is readable when something was noticed; then it is time for [`Watcher::notice`].
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.notices.as_ref().map(AsFd::as_fd)
    }

    /// When it is time for a [`turn`](Watcher::turn), if nothing is noticed before.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.schedule.deadline()
    }

    /// Why changes are found by polling although that was not asked for, if they are.
    #[must_use]
    pub fn polls_because(&self) -> Option<&str> {
        self.polls_because.as_deref()
    }

    /// The files being watched, the first one first.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.first).chain(&self.named).map(PathBuf::as_path)
    }

    /// Takes in what was noticed.
    pub fn notice(&mut self, now: Instant) {
        if self.notices.as_mut().is_some_and(Notices::drain) {
            self.schedule.stirred(now);
        }
    }

    /// Makes the next turn hand on what is there, changed or not.
    pub fn force(&mut self, now: Instant) {
        self.schedule.force(now);
    }

    /// Hands the files on again after a while, a longer one each time until they change.
    pub fn retry(&mut self, now: Instant) {
        self.schedule.retry(now);
    }

    /// Looks at the files, if it is time.
    pub fn turn(&mut self, now: Instant, source: &dyn Source) -> Turn {
        if !self.schedule.is_due(now) {
            return Turn::Waiting;
        }
        let snapshot = self.look(source);
        match self.schedule.looked(now, snapshot.print()) {
            Verdict::Wait => Turn::Waiting,
            Verdict::Same => Turn::Same,
            Verdict::HandOn => Turn::Changed(snapshot),
        }
    }

    /// Reads every file, each after the directories on the way to it are watched: what changes from
    /// then on is noticed.
    fn look(&mut self, source: &dyn Source) -> Snapshot {
        let mut blind = self.open().err().map(|errno| unavailable("inotify", errno));
        let mut snapshot = Snapshot::default();
        let mut round = self.notices.as_mut().map(Notices::rearm);
        let mut follow = |path: &Path| {
            if let (Some(round), Ok(path)) = (&mut round, absolute(path)) {
                round.follow(&path);
            }
        };
        follow(&self.first);
        let named = snapshot.read(&self.first, source).map(|bytes| source.named(bytes));
        self.named = merge(&self.named, &named.unwrap_or_default());
        for path in &self.named {
            follow(path);
            snapshot.read(path, source);
        }
        if let Some(Err(errno)) = round.map(Round::finish) {
            blind.get_or_insert_with(|| unavailable("an inotify watch", errno));
        }
        self.polls_because = match self.options.method {
            Method::Auto => blind.or_else(|| self.files().find_map(silent)),
            Method::Inotify | Method::Poll => None,
        };
        let polls = self.options.method == Method::Poll || self.polls_because.is_some();
        self.schedule.set_interval(if polls { self.options.poll_interval } else { SAFETY });
        snapshot
    }

    /// What could not be had is tried again at every look: limits change.
    fn open(&mut self) -> Result<(), Errno> {
        if self.options.method == Method::Auto && self.notices.is_none() {
            self.notices = Some(Notices::open()?);
        }
        Ok(())
    }
}

fn merge(before: &[PathBuf], now: &Named) -> Vec<PathBuf> {
    let kept = if now.complete { &[] } else { before };
    let all: BTreeSet<&PathBuf> = now.paths.iter().chain(kept).collect();
    all.into_iter().cloned().collect()
}

fn unavailable(what: &str, errno: Errno) -> String {
    let limit = match errno {
        Errno::MFILE => " (see fs.inotify.max_user_instances and the limit of open files)",
        Errno::NOSPC => " (see fs.inotify.max_user_watches)",
        _ => "",
    };
    format!("{what} cannot be had: {errno}{limit}")
}

/// Why changes of a file may go unnoticed: the file system that it is on, or its directory if it is
/// missing.
fn silent(path: &Path) -> Option<String> {
    let path = absolute(path).ok()?;
    let there = path.ancestors().find(|path| path.exists())?;
    let kind = filesystem::silent(there)?;
    Some(format!("{} is on {kind}, where changes may go unnoticed", there.display()))
}
