//! Who has a lock, as `/proc` tells it.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

/// A process that has a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locker {
    /// Its pid, as this process sees it.
    pub pid: u32,
    /// Its command line, unless it has ended and left the lock to a child.
    pub command: Option<String>,
    /// How long it has been running.
    pub running: Option<Duration>,
}

impl Locker {
    /// Who has `file` locked by flock(2); `None` if that is nobody whom `/proc` shows here.
    ///
    /// A file system that tells another device than it has (overlayfs, btrfs) is not found in
    /// `/proc/locks`; then the pid counts that the locker `wrote` into its file.
    pub(super) fn of(file: &fs::File, wrote: Option<u32>) -> Option<Self> {
        let found = file.metadata().ok().and_then(|inode| {
            let device = (rustix::fs::major(inode.dev()), rustix::fs::minor(inode.dev()));
            (0..READS).find_map(|_| locked_by(&all_locks().ok()?, device, inode.ino()))
        });
        Some(Self::with_pid(found.or(wrote)?))
    }

    /// What `/proc` says of a process.
    fn with_pid(pid: u32) -> Self {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
        let command = read("cmdline").map(|line| words(&line)).filter(|line| !line.is_empty());
        let running = read("stat").and_then(|stat| running_for(&String::from_utf8_lossy(&stat)));
        Self { pid, command, running }
    }
}

/// How often `/proc/locks` is read before a lock counts as not in it.
const READS: usize = 16;

/// What `/proc/locks` says.
///
/// The kernel gives as many lines as fit into the reader's buffer and one page (`seq_read_iter`), and
/// goes on by counting them. A lock let go between two reads makes one behind it go unseen, so the
/// buffer is as large as helps, where [`fs::read_to_string`] begins with one for half a line.
fn all_locks() -> io::Result<String> {
    let mut text = String::with_capacity(64 * 1024);
    fs::File::open("/proc/locks")?.read_to_string(&mut text)?;
    Ok(text)
}

/// The pid of the lock of an inode in `/proc/locks` (`lock_get_status` in `fs/locks.c`):
///
/// ```text
/// 1: FLOCK  ADVISORY  WRITE 4711 00:1a:1234 0 EOF
/// 1: -> FLOCK  ADVISORY  WRITE 4712 00:1a:1234 0 EOF
/// ```
fn locked_by(locks: &str, (major, minor): (u32, u32), inode: u64) -> Option<u32> {
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        // What follows an arrow only waits.
        if fields.next() != Some("FLOCK") {
            return None;
        }
        let mut fields = fields.skip(2);
        let pid = fields.next()?;
        (fields.next() == Some(place.as_str())).then(|| pid.parse().ok()).flatten()
    })
}

/// A command line in one line. It is another process's text, so nothing in it may steer a terminal.
fn words(line: &[u8]) -> String {
    const MAX: usize = 160;
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches('\0').replace('\0', " ");
    let shown: String =
        line.chars().take(MAX).map(|c| if c.is_control() { '?' } else { c }).collect();
    if line.chars().nth(MAX).is_some() { format!("{shown}…") } else { shown }
}

/// How long a process has been running, from `/proc/<pid>/stat`: its 22nd field counts from the boot.
fn running_for(stat: &str) -> Option<Duration> {
    // The second field is the name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let started: u64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let started = started.checked_div(rustix::param::clock_ticks_per_second())?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: u64 = uptime.split(['.', ' ']).next()?.parse().ok()?;
    Some(Duration::from_secs(uptime.saturating_sub(started)))
}

impl fmt::Display for Locker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {}", self.pid)?;
        match (&self.command, self.running) {
            (Some(command), Some(running)) => {
                write!(f, " (`{command}`, running for {})", rounded(running))
            }
            (Some(command), None) => write!(f, " (`{command}`)"),
            (None, _) => f.write_str(" (ended; a child of it may have the lock)"),
        }
    }
}

/// A time in its two largest units.
fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_has_the_lock_is_told_from_those_that_wait() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 9 00:1a:1234 0 EOF
2: FLOCK  ADVISORY  WRITE 8 00:1a:12345 0 EOF
3: -> FLOCK  ADVISORY  WRITE 7 00:1a:1234 0 EOF
3: FLOCK  ADVISORY  WRITE 4711 00:1a:1234 0 EOF
";
        assert_eq!(locked_by(locks, (0, 0x1a), 1234), Some(4711));
        assert_eq!(locked_by(locks, (0, 0x1b), 1234), None);
    }

    #[test]
    fn a_command_line_steers_no_terminal() {
        assert_eq!(words(b"ebpf-apply\0a b.toml\0"), "ebpf-apply a b.toml");
        assert_eq!(words(b"x\0\x1b[2J\n\0"), "x ?[2J?");
        assert_eq!(words("é".repeat(200).as_bytes()).chars().count(), 161);
        assert_eq!(words(b""), "");
    }

    #[test]
    fn times_are_told_in_two_units() {
        let of = |seconds| rounded(Duration::from_secs(seconds));
        assert_eq!(
            [of(5), of(65), of(3 * 3600 + 12 * 60 + 7), of(2 * 86400 + 3600)],
            ["5 s", "1 min 5 s", "3 h 12 min", "2 d 1 h"]
        );
    }

    #[test]
    fn a_lock_is_seen_while_others_come_and_go() {
        use rustix::fs::{FlockOperation, flock};
        use std::sync::atomic::{AtomicBool, Ordering};

        let file = tempfile::tempfile().expect("a file");
        let done = AtomicBool::new(false);
        let (done, another) = (&done, || tempfile::tempfile().expect("another"));
        std::thread::scope(|scope| {
            // Before and after the lock that is looked for, in the order of `/proc/locks`.
            let coming_and_going = move || {
                let file = another();
                while !done.load(Ordering::Relaxed) {
                    flock(&file, FlockOperation::LockExclusive).expect("a lock");
                    flock(&file, FlockOperation::Unlock).expect("it was locked");
                }
            };
            scope.spawn(coming_and_going);
            scope.spawn(coming_and_going);
            flock(&file, FlockOperation::LockExclusive).expect("a lock");
            let unseen = (0..1000).find(|_| Locker::of(&file, None).is_none());
            done.store(true, Ordering::Relaxed);
            assert_eq!(unseen, None);
        });
    }

    #[test]
    fn this_process_is_shown() {
        let file = tempfile::tempfile().expect("a file");
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).expect("a lock");
        let locker = Locker::of(&file, Some(std::process::id())).expect("we have it");
        assert_eq!(locker.pid, std::process::id());
        assert!(locker.command.is_some() && locker.running.is_some(), "{locker:?}");
    }
}
