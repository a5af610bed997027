//! Errors of kernel operations: operation, place, the kernel's answer, and advice.

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// `ENOTSUPP` (`include/linux/errno.h`), which user space was never meant to see: no C library has words
/// for it.
pub(super) const ENOTSUPP: i32 = 524;

/// A kernel operation that failed. An errno never stands alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError {
    /// What was tried, fit to follow "cannot": ``create map `flows` ``.
    pub operation: String,
    /// Where, for operations on a path.
    pub path: Option<PathBuf>,
    /// The kernel's answer, or a reason found before asking it.
    pub cause: Cause,
    /// What it usually means here and what to do.
    pub advice: Option<String>,
    /// What the verifier wrote, for a refused program.
    pub log: Option<Box<VerifierLog>>,
}

/// What the verifier wrote of a program it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierLog {
    /// The object's file, without its directory.
    pub object: String,
    /// The program.
    pub program: String,
    /// All of it.
    pub text: String,
}

impl VerifierLog {
    /// The last `count` lines that are not empty, and how many such lines there are in all. Of the
    /// report that may follow the verifier's complaint, only the reason counts: the rest shows again
    /// what is above.
    #[must_use]
    pub fn tail(&self, count: usize) -> (String, usize) {
        let (trace, report) = split_report(&self.text);
        let reason = report.split("\n\n").take(2).flat_map(str::lines);
        let full = |line: &&str| !line.trim().is_empty();
        let lines: Vec<&str> = trace.lines().chain(reason).filter(full).collect();
        let tail = lines.get(lines.len().saturating_sub(count)..).unwrap_or_default();
        (tail.join("\n"), self.text.lines().filter(full).count())
    }
}

/// A verifier's log up to and with its complaint, and the report that follows on Linux 7.3: what
/// failed, the reason, where, how it came to that, and a suggestion, in paragraphs. Empty on others.
pub(super) fn split_report(log: &str) -> (&str, &str) {
    log.find("\nVerification failed: ").map_or((log, ""), |at| log.split_at(at + 1))
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The kernel's error number.
    Errno(Errno),
    /// A reason in words.
    Reason(String),
}

impl KernelError {
    /// The kernel refused.
    #[must_use]
    pub fn errno(operation: impl Into<String>, errno: Errno) -> Self {
        Self::new(operation, Cause::Errno(errno))
    }

    /// The operation cannot be done, found without asking the kernel.
    #[must_use]
    pub fn reason(operation: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(operation, Cause::Reason(reason.into()))
    }

    fn new(operation: impl Into<String>, cause: Cause) -> Self {
        Self { operation: operation.into(), path: None, cause, advice: None, log: None }
    }

    /// Names the path.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_owned());
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Adds the verifier's log of a program; an empty one says nothing.
    #[must_use]
    pub fn log(mut self, object: &Path, program: &str, text: &str) -> Self {
        self.log = (!text.trim().is_empty()).then(|| {
            let object = object.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Box::new(VerifierLog { object, program: program.to_owned(), text: text.to_owned() })
        });
        self
    }

    /// The kernel's error number, if it answered with one.
    #[must_use]
    pub fn raw(&self) -> Option<Errno> {
        match self.cause {
            Cause::Errno(errno) => Some(errno),
            Cause::Reason(_) => None,
        }
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.operation)?;
        if let Some(path) = &self.path {
            write!(f, " at {}", path.display())?;
        }
        match &self.cause {
            Cause::Errno(errno) if errno.raw_os_error() == ENOTSUPP => {
                write!(f, ": Not supported by this kernel (ENOTSUPP, os error {ENOTSUPP})")
            }
            Cause::Errno(errno) => write!(f, ": {errno}"),
            Cause::Reason(reason) => write!(f, ": {reason}"),
        }
    }
}

impl std::error::Error for KernelError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_to_its_end() {
        let text: String = (0..100).fold(String::new(), |log, n| format!("{log}{n}\n\n"));
        let error = KernelError::reason("load", "no").log(Path::new("/a/b.o"), "p", &text);
        let log = error.log.expect("there is one");
        assert_eq!((log.object.as_str(), log.tail(2)), ("b.o", ("98\n99".to_owned(), 100)));
        let error = KernelError::reason("load", "no").log(Path::new("/a/b.o"), "p", "\n");
        assert_eq!(error.log, None);
    }

    #[test]
    fn names_operation_path_and_answer() {
        let error =
            KernelError::errno("pin map `flows`", Errno::EXIST).at("/sys/fs/bpf/edge/flows");
        assert_eq!(
            error.to_string(),
            "cannot pin map `flows` at /sys/fs/bpf/edge/flows: File exists (os error 17)"
        );
        let unnamed = KernelError::errno("attach", Errno::from_raw_os_error(ENOTSUPP));
        assert_eq!(
            unnamed.to_string(),
            "cannot attach: Not supported by this kernel (ENOTSUPP, os error 524)"
        );
    }
}
