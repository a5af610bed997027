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
    /// The saved plan is stale; nothing was touched (`apply --plan` only).
    Stale = 6,
    /// The command line was wrong.
    Usage = 64,
}

impl From<&ApplyError> for ExitStatus {
    fn from(error: &ApplyError) -> Self {
        match error {
            ApplyError::Stuck { .. } => Self::Mixed,
            ApplyError::Stale(_) => Self::Stale,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::LockError;
    use crate::kernel::KernelError;
    use crate::model::name::Name;
    use crate::plan::Stale;

    #[test]
    fn every_failure_has_its_status() {
        let name = Name::new("edge").expect("a legal name");
        let failed = || ApplyError::Observe(KernelError::reason("look", "of a test"));
        let held = LockError::Held { name: name.clone(), locker: None };
        let stuck = ApplyError::Stuck { error: Box::new(failed()), stuck: Vec::new() };
        let table = [
            (failed(), 1),
            (ApplyError::Unverified(String::new()), 1),
            (ApplyError::Unknown(name), 1),
            (stuck, 4),
            (ApplyError::Stale(Stale::Live), 6),
            (ApplyError::Lock(held), 5),
        ];
        for (error, status) in table {
            assert_eq!(ExitStatus::from(&error) as u8, status, "{error}");
        }
    }
}
