//! `BPF_PROG_LOAD` until the kernel has said either yes or why not.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::sys::{self, ProgramAttributes};

/// First size of the log, as libbpf's.
const LOG_FIRST: usize = 64 * 1024;
/// Largest log that every kernel takes (`UINT_MAX >> 8` before 5.13).
const LOG_MAX: usize = 16 * 1024 * 1024 - 1;

/// A program the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    /// What the verifier wrote; empty if it was not even asked.
    pub(super) log: String,
}

/// Verifies and loads a program.
///
/// The first try has no log, which costs the verifier time; only after a refusal it is loaded again
/// with one. Line and function information that the kernel does not take is left out.
pub(super) fn load(attributes: &ProgramAttributes<'_>) -> Result<OwnedFd, Refusal> {
    let refusal = match with_log(attributes) {
        Ok(program) => return Ok(program),
        Err(refusal) => refusal,
    };
    if attributes.btf.is_some() && refusal.is_about_btf() {
        let plain = ProgramAttributes { btf: None, ..*attributes };
        if let Ok(program) = sys::load_program(&plain, &mut []) {
            tracing::debug!(program = attributes.name, "loaded without its BTF");
            return Ok(program);
        }
    }
    Err(refusal)
}

fn with_log(attributes: &ProgramAttributes<'_>) -> Result<OwnedFd, Refusal> {
    let mut errno = match sys::load_program(attributes, &mut []) {
        Ok(program) => return Ok(program),
        Err(errno) => errno,
    };
    let mut size = LOG_FIRST;
    loop {
        let mut log = vec![0; size];
        match sys::load_program(attributes, &mut log) {
            Ok(program) => return Ok(program),
            Err(Errno::NOSPC) if size < LOG_MAX => size = size.saturating_mul(4).min(LOG_MAX),
            Err(answer) => {
                // A log that still does not fit says nothing of the program.
                if answer != Errno::NOSPC {
                    errno = answer;
                }
                return Err(Refusal { errno, log: sys::text(&log) });
            }
        }
    }
}

impl Refusal {
    /// Whether the kernel stumbled over `func_info` or `line_info`, which it checks before the
    /// program itself (`check_btf_info` in `kernel/bpf/verifier.c`).
    fn is_about_btf(&self) -> bool {
        let words = ["func_info", "func info", "line_info", "line info", "prog's BTF"];
        matches!(self.errno, Errno::INVAL | Errno::TOOBIG)
            && words.iter().any(|word| self.log.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(errno: Errno, log: &str) -> Refusal {
        Refusal { errno, log: log.to_owned() }
    }

    #[test]
    fn a_refused_program_is_told_from_refused_btf() {
        assert!(refusal(Errno::INVAL, "invalid func info rec size 3\n").is_about_btf());
        assert!(!refusal(Errno::ACCESS, "invalid func info rec size 3\n").is_about_btf());
        assert!(
            !refusal(Errno::INVAL, "0: (85) call unknown#7\ninvalid func unknown#7").is_about_btf()
        );
    }
}
