//! Exit statuses: stable, and documented in `--help`.

use std::process::{ExitCode, Termination};

use crate::apply::ApplyError;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Done.
    Ok = 0,
    /// Failed; the host is unchanged or was rolled back.
    Failed = 1,
    /// There are changes (`plan --detailed-exitcode` only).
    Changes = 2,
    /// The manifest or an object is invalid; nothing was touched.
    Invalid = 3,
    /// Failed, and something could not be undone.
    Mixed = 4,
    /// Another process holds the deployment or its lock.
    Locked = 5,
    /// The command line was wrong.
    Usage = 64,
}

impl From<&ApplyError> for ExitStatus {
    fn from(error: &ApplyError) -> Self {
        match error {
            ApplyError::Stuck { .. } => Self::Mixed,
            ApplyError::Lock(error) if error.is_busy() => Self::Locked,
            _ => Self::Failed,
        }
    }
}

impl Termination for ExitStatus {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}
