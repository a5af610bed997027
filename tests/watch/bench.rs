//! A watcher in a directory of its own, with a clock that only the test moves.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ebpf_apply::watch::{Method, Named, Options, Snapshot, Source, Turn, Watcher};

/// A watcher of `m`, or of what the test says.
pub(crate) struct Bench {
    directory: tempfile::TempDir,
    manifest: PathBuf,
    options: Options,
    watcher: Option<Watcher>,
    now: Instant,
}

/// The files that a manifest of these tests names: its lines that end in `.o`, one a file below its
/// directory. A `?` stands for what cannot be parsed.
struct Lines<'p>(&'p Path);

impl Source for Lines<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn named(&self, first: &[u8]) -> Named {
        let text = String::from_utf8_lossy(first);
        let directory = self.0.parent().expect("a directory");
        let paths = text.lines().map(|line| directory.join(line));
        let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "o")).collect();
        Named { paths, complete: !text.contains('?') }
    }
}

impl Bench {
    /// A directory for a test; nothing is watched yet.
    pub(crate) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    pub(crate) fn below(parent: &Path) -> Self {
        let directory = tempfile::tempdir_in(parent).expect("a directory for this test");
        let manifest = directory.path().join("m");
        let options = Options { method: Method::Auto, poll_interval: Duration::from_secs(2) };
        Self { directory, manifest, options, watcher: None, now: Instant::now() }
    }

    pub(crate) fn method(mut self, method: Method) -> Self {
        self.options.method = method;
        self
    }

    /// Watches a file; returns the contents that it has at the start.
    pub(crate) fn watch(&mut self, manifest: &str) -> Option<String> {
        self.manifest = self.path(manifest);
        let source = Lines(&self.manifest);
        let started = Watcher::start(&self.manifest, self.options, self.now, &source);
        let (watcher, snapshot) = started.expect("inotify");
        self.watcher = Some(watcher);
        text(&snapshot, &self.manifest)
    }

    pub(crate) fn watcher(&mut self) -> &mut Watcher {
        self.watcher.as_mut().expect("watching")
    }

    /// Asks as SIGHUP does.
    pub(crate) fn force(&mut self) {
        let now = self.now;
        self.watcher().force(now);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in place.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).expect("a writable directory");
    }

    /// Writes a file under another name and renames it over the old one.
    pub(crate) fn replace(&self, name: &str, contents: impl AsRef<[u8]>) {
        let new = format!("{name}.new");
        self.write(&new, contents);
        self.rename(&new, name);
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).expect("rename");
    }

    pub(crate) fn remove(&self, name: &str) {
        let path = self.path(name);
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.expect("remove");
    }

    pub(crate) fn directory(&self, name: &str) {
        fs::create_dir_all(self.path(name)).expect("a directory");
    }

    pub(crate) fn link(&self, target: &str, name: &str) {
        std::os::unix::fs::symlink(target, self.path(name)).expect("a link");
    }

    /// Points a link elsewhere, as `ln -sfn` on a busy path should: by a rename.
    pub(crate) fn relink(&self, target: &str, name: &str) {
        let new = format!("{name}.new");
        self.link(target, &new);
        self.rename(&new, name);
    }

    /// Lets so much time pass, and returns what was handed on.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<Snapshot> {
        let end = self.now + time;
        let handed_on = self.run(end);
        self.now = end;
        handed_on
    }

    /// Lets time pass until nothing is left to do but to poll, and returns what was handed on: the
    /// contents of the first file each time.
    pub(crate) fn settle(&mut self) -> Vec<Option<String>> {
        self.snapshots().iter().map(|snapshot| text(snapshot, &self.manifest)).collect()
    }

    /// As [`Bench::settle`], with everything that was read.
    pub(crate) fn snapshots(&mut self) -> Vec<Snapshot> {
        const BEFORE_THE_SAFETY_POLL: Duration = Duration::from_secs(20);
        self.run(self.now + BEFORE_THE_SAFETY_POLL)
    }

    fn run(&mut self, end: Instant) -> Vec<Snapshot> {
        let watcher = self.watcher.as_mut().expect("watching");
        let mut handed_on = Vec::new();
        loop {
            watcher.notice(self.now);
            if let Turn::Changed(snapshot) = watcher.turn(self.now, &Lines(&self.manifest)) {
                handed_on.push(snapshot);
            }
            if watcher.deadline() > end {
                return handed_on;
            }
            self.now = self.now.max(watcher.deadline());
        }
    }
}

/// The contents of a file as they were handed on; `None` if it was not there.
pub(crate) fn text(snapshot: &Snapshot, path: &Path) -> Option<String> {
    let bytes = snapshot.bytes(path).ok()?;
    Some(String::from_utf8(bytes).expect("text"))
}

/// What [`Bench::settle`] returns for one change to these contents.
pub(crate) fn once(contents: &str) -> Vec<Option<String>> {
    vec![Some(contents.to_owned())]
}

/// What [`Bench::settle`] returns for no change.
pub(crate) const NOTHING: [Option<String>; 0] = [];
