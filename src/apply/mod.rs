//! Brings a host to a plan's end, or leaves it as it was.
//!
//! Lock, observe, plan, refuse or execute, verify by observing again, record. This is the only room
//! that knows both the planner and the kernel. It knows neither TOML nor how anything is shown.

mod error;
mod execute;
mod lock;
mod observe;
mod store;
mod undo;

use std::time::Duration;

use crate::kernel::Kernel;
use crate::model::inventory::Inventory;
use crate::model::name::Name;
use crate::model::pin::PinRoot;
use crate::plan::{self, Plan, ResourceStatus};
use crate::validate::Desired;

pub use error::{ApplyError, Failure};
pub use lock::{Holder, LockError};
pub use store::{StateDirectory, StoreError};

use execute::Executor;

/// One host: its kernel, and where this program keeps its records on it.
#[derive(Debug)]
pub struct Host<'h, K> {
    /// The kernel.
    pub kernel: &'h K,
    /// The records.
    pub state: &'h StateDirectory,
    /// How long to wait for another run's lock.
    pub lock_timeout: Duration,
}

/// A run that succeeded.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What was done.
    pub plan: Plan,
    /// Which successful apply of the deployment this was; unchanged if nothing was to do.
    pub generation: u64,
}

/// A recorded deployment against the kernel.
#[derive(Clone, Debug)]
pub struct DeploymentStatus {
    /// The record.
    pub inventory: Inventory,
    /// Pid of the process that holds it.
    pub holder: Option<u32>,
    /// Each of its resources.
    pub resources: Vec<ResourceStatus>,
}

impl<K: Kernel> Host<'_, K> {
    /// What [`apply`](Host::apply) would do now. Changes nothing and takes no lock.
    ///
    /// # Errors
    /// If the records or the kernel cannot be read.
    pub fn plan(&self, desired: &Desired) -> Result<Plan, ApplyError> {
        let inventory = self.inventory(&desired.name, &desired.pin_root)?;
        let live = observe::desired(self.kernel, desired, &inventory)?;
        Ok(plan::plan(desired, &live, &inventory))
    }

    /// Brings the host to `desired`; `show` sees the plan before anything is done.
    ///
    /// # Errors
    /// After an error other than [`ApplyError::Stuck`] the host is as it was.
    pub fn apply(
        &self,
        desired: &Desired,
        show: &mut dyn FnMut(&Plan),
    ) -> Result<Applied, ApplyError> {
        let _lock = lock::apply(self.state, &desired.name, &desired.pin_root, self.lock_timeout)?;
        let inventory = self.inventory(&desired.name, &desired.pin_root)?;
        let live = observe::desired(self.kernel, desired, &inventory)?;
        let plan = plan::plan(desired, &live, &inventory);
        show(&plan);
        if plan.is_refused() {
            return Err(ApplyError::Refused(Box::new(plan)));
        }
        if plan.is_unchanged() && inventory.generation > 0 {
            let generation = inventory.generation;
            return Ok(Applied { plan, generation });
        }
        let verify = |after: &Inventory| {
            let live = observe::desired(self.kernel, desired, after)?;
            let again = plan::plan(desired, &live, after);
            if again.is_unchanged() { Ok(()) } else { Err(ApplyError::unverified(&again)) }
        };
        self.run(plan, Some(desired), verify)
    }

    /// Ends the deployment of that name by its pin policies; with `purge`, persisting pins go too.
    ///
    /// # Errors
    /// After an error other than [`ApplyError::Stuck`] the host is as it was.
    pub fn end(
        &self,
        name: &Name,
        purge: bool,
        show: &mut dyn FnMut(&Plan),
    ) -> Result<Applied, ApplyError> {
        let unlocked = self.state.load(name)?.ok_or_else(|| ApplyError::Unknown(name.clone()))?;
        let _lock = lock::apply(self.state, name, &unlocked.pin_root, self.lock_timeout)?;
        let inventory = self.inventory(name, &unlocked.pin_root)?;
        let live = observe::recorded(self.kernel, &inventory)?;
        let plan = plan::end(&live, &inventory, purge);
        show(&plan);
        self.run(plan, None, |_| Ok(()))
    }

    /// Every recorded deployment against the kernel, or the one of that name. Takes no lock.
    ///
    /// # Errors
    /// If the records or the kernel cannot be read.
    pub fn status(&self, name: Option<&Name>) -> Result<Vec<DeploymentStatus>, ApplyError> {
        let names = match name {
            Some(name) => vec![name.clone()],
            None => self.state.names()?,
        };
        let mut all = Vec::new();
        for name in names {
            let Some(inventory) = self.state.load(&name)? else {
                return Err(ApplyError::Unknown(name));
            };
            let inventory = self.inventory(&name, &inventory.pin_root)?;
            let live = observe::recorded(self.kernel, &inventory)?;
            let resources = plan::drift(&inventory, &live);
            let holder = lock::holder(self.state, &name)?;
            all.push(DeploymentStatus { inventory, holder, resources });
        }
        Ok(all)
    }

    /// Executes a plan, verifies and records it; walks back if any of that fails.
    fn run(
        &self,
        plan: Plan,
        desired: Option<&Desired>,
        verify: impl FnOnce(&Inventory) -> Result<(), ApplyError>,
    ) -> Result<Applied, ApplyError> {
        let mut executor = Executor::new(self.kernel, desired, plan.after.clone());
        let done = executor.run(&plan.steps).map_err(ApplyError::Failed).and_then(|()| {
            executor.after.generation += 1;
            executor.after.host = self.kernel.identity(&executor.after.pin_root)?;
            verify(&executor.after)?;
            Ok(self.state.save_or_remove(&executor.after)?)
        });
        match done {
            Ok(()) => {
                let generation = executor.finish().generation;
                Ok(Applied { plan, generation })
            }
            Err(error) => {
                let stuck = executor.roll_back();
                if stuck.is_empty() {
                    Err(error)
                } else {
                    Err(ApplyError::Stuck { error: Box::new(error), stuck })
                }
            }
        }
    }

    /// The record of a deployment, or an empty one where there is none that this boot can use.
    fn inventory(&self, name: &Name, root: &PinRoot) -> Result<Inventory, ApplyError> {
        let host = self.kernel.identity(root)?;
        let empty = Inventory::empty(name.clone(), root.clone(), "".into(), host.clone());
        let Some(recorded) = self.state.load(name)? else { return Ok(empty) };
        if recorded.is_of(&host) {
            return Ok(recorded);
        }
        tracing::info!(%name, "the record is of another boot or bpffs, so nothing in it is ours now");
        Ok(Inventory { generation: recorded.generation, manifest: recorded.manifest, ..empty })
    }
}
