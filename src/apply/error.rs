//! Why a run failed, and what that means for the host.

use crate::kernel::{KernelError, VerifierLog};
use crate::model::capability::Capability;
use crate::model::name::Name;
use crate::plan::{Plan, Stale, Step};

use super::lock::LockError;
use super::store::StoreError;

/// A run that failed. Unless it says [`Stuck`](ApplyError::Stuck), the host is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The plan contains something that cannot be done; nothing was.
    #[error("the plan cannot be carried out")]
    Refused(Box<Plan>),
    /// It is not what a saved plan says; nothing was done.
    #[error("the saved plan is stale: {0}")]
    Stale(#[from] Stale),
    /// A step failed; the steps before it were undone.
    #[error("{}", .0.error)]
    Failed(Box<Failure>),
    /// Something could not be observed.
    #[error(transparent)]
    Observe(#[from] KernelError),
    /// After the last step the host was not as planned; every step was undone.
    #[error("the host is not as planned after the last step: {0}")]
    Unverified(String),
    /// Every step was done, and then the new state could not be observed or recorded; every step was
    /// undone.
    #[error("the new state could not be verified and recorded: {0}")]
    Unrecorded(Box<ApplyError>),
    /// The deployment hangs on interfaces of another network namespace.
    #[error("deployment `{name}` was applied in another network namespace (net:[{netns}])")]
    OtherNamespace {
        /// The deployment.
        name: Name,
        /// Inode of that namespace.
        netns: u64,
    },
    /// The records could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another run or process has the deployment.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It needs what this process gave up when it had applied what it holds; nothing was done.
    #[error("it needs {}, which this process gave up at its start", names(.0))]
    GivenUp(Vec<Capability>),
    /// No deployment of that name is on record.
    #[error("no deployment `{0}` is on record")]
    Unknown(Name),
    /// A failure, and part of what was done could not be undone: the host is mixed.
    #[error("{error}; and not everything could be undone")]
    Stuck {
        /// The failure.
        error: Box<ApplyError>,
        /// What could not be undone, each with its reason.
        stuck: Vec<KernelError>,
    },
}

fn names(capabilities: &[Capability]) -> String {
    capabilities.iter().map(|one| one.as_str()).collect::<Vec<_>>().join(" and ")
}

/// A step that failed.
#[derive(Debug)]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// Why.
    pub error: KernelError,
}

impl ApplyError {
    /// The host differs from the plan's end in what `again` would still change.
    pub(super) fn unverified(again: &Plan) -> Self {
        let left = again.changes.iter().filter(|change| !change.action.is_at_rest());
        let left = left.map(|change| format!("{}: {}", change.address, change.reason));
        Self::Unverified(left.collect::<Vec<_>>().join("; "))
    }

    /// Whether steps were done and undone.
    #[must_use]
    pub fn rolled_back(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Unverified(_) | Self::Unrecorded(_))
    }

    /// What to do about it, where there is something to say.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Failed(failure) => failure.error.advice.clone(),
            Self::Observe(error) => error.advice.clone(),
            Self::OtherNamespace { .. } => Some(
                "its interfaces are there: run this inside it, for example with `nsenter --net=…` or \
                 `ip netns exec`"
                    .to_owned(),
            ),
            Self::GivenUp(_) => Some(
                "restart the process, which keeps what its manifest needs then: `--on-exit keep` leaves \
                 no gap"
                    .to_owned(),
            ),
            Self::Unknown(_) => {
                Some("`ebpf-apply status` lists the deployments on record".to_owned())
            }
            Self::Stale(_) => {
                Some("make it anew with `ebpf-apply plan --out`, and have it reviewed".to_owned())
            }
            Self::Unrecorded(error) | Self::Stuck { error, .. } => error.advice(),
            _ => None,
        }
    }

    /// What the verifier wrote of a program it refused.
    #[must_use]
    pub fn verifier_log(&self) -> Option<&VerifierLog> {
        match self {
            Self::Failed(failure) => failure.error.log.as_deref(),
            Self::Stuck { error, .. } => error.verifier_log(),
            _ => None,
        }
    }
}
