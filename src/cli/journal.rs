//! What the journal is told of a line: its priority, as `sd-daemon(3)` has it.

use std::env;
use std::fmt::Write as _;
use std::os::fd::AsFd;

use tracing::Level;

/// How grave it is, as `syslog(3)` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority {
    Error = 3,
    Warning = 4,
    Info = 6,
    Debug = 7,
}

impl From<&Level> for Priority {
    fn from(level: &Level) -> Self {
        match *level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// Whether a stream goes to the journal: `JOURNAL_STREAM` has its device and inode, see
/// `systemd.exec(5)`. Someone may have led it elsewhere since.
pub(super) fn receives(stream: impl AsFd) -> bool {
    let Ok(journal) = env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(stream)
        .is_ok_and(|stat| journal == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The text with its priority before each line: the journal takes each as a message.
pub(super) fn with_priority(text: &str, priority: Priority) -> String {
    let mut marked = String::new();
    for line in text.lines() {
        let _ = writeln!(marked, "<{}>{line}", priority as u8);
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_priority() {
        assert_eq!(with_priority("one\n\ntwo", Priority::Warning), "<4>one\n<4>\n<4>two\n");
    }
}
