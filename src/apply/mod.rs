//! Brings a host to a plan's end, or leaves it as it was.
//!
//! Lock, observe, plan, refuse or execute, verify by observing again, record. This is the only room
//! that knows both the planner and the kernel. It knows neither TOML nor how anything is shown.

mod error;
mod execute;
mod fault;
mod keeper;
mod lock;
mod locker;
mod migrate;
mod notes;
mod observe;
mod progress;
mod store;
mod surroundings;
mod undo;
mod usage;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::kernel::Kernel;
use crate::model::address::Address;
use crate::model::inventory::Inventory;
use crate::model::live::Others;
use crate::model::name::Name;
use crate::model::pin::PinRoot;
use crate::model::usage::Usage;
use crate::plan::{self, Adoption, Plan, ResourceStatus, SavedPlan, Step};
use crate::validate::Desired;

pub use error::{ApplyError, Failure};
pub use keeper::Keeper;
pub use lock::{Holder, LockError};
pub use locker::Locker;
pub use notes::Since;
pub use progress::{Lock, Observer, Progress};
pub use store::{StateDirectory, StoreError};
pub use surroundings::{Awaited, Scope};

use execute::Executor;
use lock::ApplyLock;
use store::Records;

/// One host: its kernel, and where this program keeps its records on it.
pub struct Host<'h, K: Kernel> {
    /// The kernel.
    pub kernel: &'h K,
    /// The records.
    pub state: &'h StateDirectory,
    /// How long to wait for another run's lock.
    pub lock_timeout: Duration,
    /// Keeps what is attached without a link or a filter; without one, nothing is attached so.
    pub keeper: Option<&'h Keeper<K>>,
    /// Hears what a run is at.
    pub observer: &'h dyn Observer,
}

impl<K: Kernel + std::fmt::Debug> std::fmt::Debug for Host<'_, K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kernel, state, lock_timeout, keeper, observer: _ } = self;
        f.debug_struct("Host")
            .field("kernel", kernel)
            .field("state", state)
            .field("lock_timeout", lock_timeout)
            .field("keeper", keeper)
            .finish_non_exhaustive()
    }
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
    /// The process that holds it.
    pub holder: Option<Locker>,
    /// Whether a run is changing it at this moment.
    pub is_changing: bool,
    /// Each of its resources.
    pub resources: Vec<ResourceStatus>,
    /// Since when those have drifted that have, as far as someone watches.
    pub drifted_since: Since,
    /// What its maps and programs have used and done, once [`Host::usage`] was asked.
    pub usage: BTreeMap<Address, Usage>,
}

impl<'h, K: Kernel> Host<'h, K> {
    /// A host on which nothing stays with this process, and whose runs tell nobody what they are at.
    pub fn new(kernel: &'h K, state: &'h StateDirectory, lock_timeout: Duration) -> Self {
        Self { kernel, state, lock_timeout, keeper: None, observer: &() }
    }
}

impl<K: Kernel> Host<'_, K> {
    /// What [`apply`](Host::apply) would do now. Changes nothing and takes no lock.
    ///
    /// # Errors
    /// If the records or the kernel cannot be read.
    pub fn plan(&self, desired: &Desired) -> Result<Plan, ApplyError> {
        self.plan_with(desired, Adoption::Never)
    }

    /// What [`adopt`](Host::adopt) would do now. Changes nothing and takes no lock.
    ///
    /// # Errors
    /// If the records or the kernel cannot be read.
    pub fn plan_adoption(&self, desired: &Desired) -> Result<Plan, ApplyError> {
        self.plan_with(desired, Adoption::Foreign)
    }

    fn plan_with(&self, desired: &Desired, adoption: Adoption) -> Result<Plan, ApplyError> {
        let records = self.state.open()?;
        let inventory = self.inventory(&records, &desired.name, &desired.pin_root)?;
        let desired = surroundings::settled(self.kernel, desired, self.keeper.is_some())?;
        self.plan_from(&records, &desired, &inventory, adoption)
    }

    /// What is there of the places that may come and go.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub fn awaited(&self, desired: &Desired, scope: Scope) -> Result<Awaited, ApplyError> {
        Ok(Awaited::look(self.kernel, desired, scope)?)
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
        self.converge(desired, Adoption::Never, None, show)
    }

    /// The same, and takes over what is someone else's where it can be: pins of the right shape, and
    /// links at the places of wanted attachments.
    ///
    /// # Errors
    /// After an error other than [`ApplyError::Stuck`] the host is as it was.
    pub fn adopt(
        &self,
        desired: &Desired,
        show: &mut dyn FnMut(&Plan),
    ) -> Result<Applied, ApplyError> {
        self.converge(desired, Adoption::Foreign, None, show)
    }

    /// The same as [`apply`](Host::apply), and puts programs back under links and filters on record
    /// that someone made run another one.
    ///
    /// # Errors
    /// After an error other than [`ApplyError::Stuck`] the host is as it was.
    pub fn heal(
        &self,
        desired: &Desired,
        show: &mut dyn FnMut(&Plan),
    ) -> Result<Applied, ApplyError> {
        self.converge(desired, Adoption::Drifted, None, show)
    }

    /// The same as [`apply`](Host::apply) if that would do now what `saved` says.
    ///
    /// # Errors
    /// [`ApplyError::Stale`] if it would do anything else; nothing is done then. After an error other
    /// than [`ApplyError::Stuck`] the host is as it was.
    pub fn carry_out(
        &self,
        desired: &Desired,
        saved: &SavedPlan,
        show: &mut dyn FnMut(&Plan),
    ) -> Result<Applied, ApplyError> {
        self.converge(desired, saved.adoption, Some(saved), show)
    }

    fn converge(
        &self,
        desired: &Desired,
        adoption: Adoption,
        saved: Option<&SavedPlan>,
        show: &mut dyn FnMut(&Plan),
    ) -> Result<Applied, ApplyError> {
        let lock = self.lock(&desired.name, &desired.pin_root)?;
        let records = &lock.records;
        let inventory = self.inventory(records, &desired.name, &desired.pin_root)?;
        // Once for the whole run: what comes meanwhile is the next run's.
        let desired = &*surroundings::settled(self.kernel, desired, self.keeper.is_some())?;
        let mut plan = self.plan_from(records, desired, &inventory, adoption)?;
        if let Some(saved) = saved {
            saved.check(&plan)?;
        }
        show(&plan);
        if plan.is_refused() {
            return Err(ApplyError::Refused(Box::new(plan)));
        }
        let complete = inventory.generation > 0 && inventory.pending.is_none();
        if plan.is_unchanged() && complete {
            return Ok(Applied { plan, generation: inventory.generation });
        }
        plan.after.generation += 1;
        self.run(records, plan, Some(desired), |after| {
            let again = self.plan_from(records, desired, after, adoption)?;
            if again.is_settled() { Ok(()) } else { Err(ApplyError::unverified(&again)) }
        })
    }

    /// Ends the deployment of that name by its pin policies; with `purge`, persisting pins go too.
    /// Where its record is lost, what lies in its own directories below `root` is ended.
    ///
    /// # Errors
    /// After an error other than [`ApplyError::Stuck`] the host is as it was.
    pub fn end(
        &self,
        name: &Name,
        root: Option<&PinRoot>,
        purge: bool,
        show: &mut dyn FnMut(&Plan),
    ) -> Result<Applied, ApplyError> {
        let root = &self.root_of(name, root)?;
        let lock = self.lock(name, root)?;
        let inventory = self.inventory(&lock.records, name, root)?;
        let end = |inventory: &Inventory| {
            let live = observe::recorded(self.kernel, inventory)?;
            Ok::<_, ApplyError>(plan::end(&live, inventory, purge))
        };
        let plan = end(&inventory)?;
        show(&plan);
        if plan.is_refused() {
            return Err(ApplyError::Refused(Box::new(plan)));
        }
        self.run(&lock.records, plan, None, |after| {
            let again = end(after)?;
            if again.is_settled() { Ok(()) } else { Err(ApplyError::unverified(&again)) }
        })
    }

    /// Where the pins of a deployment are: as recorded, or below `root` if its record is lost and
    /// something there tells of it.
    ///
    /// # Errors
    /// [`ApplyError::Unknown`] if nothing tells of it.
    pub fn root_of(&self, name: &Name, root: Option<&PinRoot>) -> Result<PinRoot, ApplyError> {
        if let Some(recorded) = self.state.load(name)? {
            return Ok(recorded.pin_root);
        }
        let root = root.cloned().unwrap_or_else(|| PinRoot::default_for(name));
        if observe::is_unheard_of(self.kernel, name, &root)? {
            return Err(ApplyError::Unknown(name.clone()));
        }
        Ok(root)
    }

    /// Every recorded deployment against the kernel, or the one of that name. Takes no lock.
    ///
    /// # Errors
    /// If the records or the kernel cannot be read.
    pub fn status(&self, name: Option<&Name>) -> Result<Vec<DeploymentStatus>, ApplyError> {
        let records = self.state.open()?;
        let names = match name {
            Some(name) => vec![name.clone()],
            None => records.names()?,
        };
        let mut all = Vec::new();
        for each in names {
            let Some(recorded) = records.load(&each)? else {
                // A damaged record, which was logged, or one that went a moment ago.
                if name.is_some() {
                    return Err(ApplyError::Unknown(each));
                }
                continue;
            };
            let inventory = self.inventory(&records, &each, &recorded.pin_root)?;
            let live = observe::recorded(self.kernel, &inventory)?;
            let resources = plan::drift(&inventory, &live);
            let holder = lock::holder(&records, &each)?;
            let is_changing = lock::is_changing(&records, &each)?;
            let mut drifted_since = records.drifted_since(&each, inventory.generation);
            drifted_since.retain(|address, _| {
                resources.iter().any(|one| one.address == *address && one.has_drifted())
            });
            all.push(DeploymentStatus {
                inventory,
                holder,
                is_changing,
                resources,
                drifted_since,
                usage: BTreeMap::new(),
            });
        }
        Ok(all)
    }

    /// What the maps and programs of a deployment have used and done, as far as it can be asked. Counts
    /// the entries of maps one by one.
    #[must_use]
    pub fn usage(&self, deployment: &DeploymentStatus) -> BTreeMap<Address, Usage> {
        usage::usage(self.kernel, &deployment.inventory)
    }

    /// Keeps other runs waiting from now on.
    fn lock(&self, name: &Name, root: &PinRoot) -> Result<ApplyLock, LockError> {
        lock::apply(self.state, (name, root), self.lock_timeout, self.observer)
    }

    fn plan_from(
        &self,
        records: &Records,
        desired: &Desired,
        inventory: &Inventory,
        adoption: Adoption,
    ) -> Result<Plan, ApplyError> {
        let mut live = observe::desired(self.kernel, desired, inventory, adoption)?;
        live.others = self.others(records, &desired.name, &desired.pin_root)?;
        Ok(plan::plan(desired, &live, inventory, adoption))
    }

    /// What the other deployments have on record.
    fn others(&self, records: &Records, name: &Name, root: &PinRoot) -> Result<Others, ApplyError> {
        let mut others = Others::default();
        for other in records.names()?.into_iter().filter(|other| other != name) {
            let Some(inventory) = records.load(&other)? else { continue };
            let host = self.kernel.identity(&inventory.pin_root)?;
            if !inventory.is_of(&host) {
                continue;
            }
            if inventory.host.netns == host.netns {
                others.clsact.extend(inventory.clsact());
            }
            others.links.extend(inventory.links().map(|link| (link, other.clone())));
            if inventory.pin_root == *root {
                let pins = inventory.owned_pins();
                others.pins.extend(pins.map(|(pin, _)| (pin.clone(), other.clone())));
                let pending = inventory.pending.iter().map(|pending| &pending.after);
                for record in std::iter::once(&inventory).chain(pending) {
                    others.directories.extend(record.directories.iter().cloned());
                    others.root_directories.extend(record.root_directories.iter().cloned());
                }
            }
        }
        Ok(others)
    }

    /// Executes a plan, verifies and records it; walks back if any of that fails.
    ///
    /// Before anything changes that others see, the record says what is about to be, and with which
    /// ids, beside what is; so a run that is killed leaves nothing that the next one cannot tell. What
    /// the plan replaces waits in the stage until the new state is verified, and is cleared away then.
    fn run(
        &self,
        records: &Records,
        plan: Plan,
        desired: Option<&Desired>,
        verify: impl FnOnce(&Inventory) -> Result<(), ApplyError>,
    ) -> Result<Applied, ApplyError> {
        let before = records.load(&plan.after.name)?;
        let mut executor = Executor::new(self.kernel, desired, plan.after.clone(), self.observer);
        let done = self.commit(records, &plan, &mut executor, verify);
        match done {
            Ok(()) => {
                let (after, made) = executor.finish();
                let generation = after.generation;
                if let Some(keeper) = self.keeper {
                    keeper.keep(made, &after);
                }
                Ok(Applied { plan, generation })
            }
            Err(error) => {
                let name = plan.after.name.clone();
                let mut stuck = executor.roll_back();
                if stuck.is_empty() {
                    // Until here the record said what was pending; where something is stuck it stays.
                    let restored = records.restore(&name, before.as_ref());
                    stuck.extend(restored.err().map(StoreError::into_kernel_error));
                }
                if stuck.is_empty() {
                    Err(error)
                } else {
                    Err(ApplyError::Stuck { error: Box::new(error), stuck })
                }
            }
        }
    }

    fn commit(
        &self,
        records: &Records,
        plan: &Plan,
        executor: &mut Executor<'_, K>,
        verify: impl FnOnce(&Inventory) -> Result<(), ApplyError>,
    ) -> Result<(), ApplyError> {
        let run = |executor: &mut Executor<'_, K>, of: fn(&Step) -> bool| {
            executor.run(plan.steps.iter().filter(|step| of(step))).map_err(ApplyError::Failed)
        };
        let undone = |error: ApplyError| ApplyError::Unrecorded(Box::new(error));
        run(executor, Step::prepares)?;
        self.announce(records, plan, executor).map_err(undone)?;
        run(executor, Step::commits)?;
        verify(&executor.after).map_err(|error| match error {
            unverified @ ApplyError::Unverified(_) => unverified,
            other => undone(other),
        })?;
        run(executor, Step::clears)?;
        executor.forget_directories();
        records.save_or_remove(&executor.after).map_err(|error| undone(error.into()))?;
        fault::point();
        Ok(())
    }

    /// Writes down what the rest of the run will make, if it makes anything.
    fn announce(
        &self,
        records: &Records,
        plan: &Plan,
        executor: &mut Executor<'_, K>,
    ) -> Result<(), ApplyError> {
        executor.after.host = self.kernel.identity(&executor.after.pin_root)?;
        if plan.steps.iter().all(Step::prepares) {
            return Ok(());
        }
        let mut underway = plan.underway.clone();
        underway.host = executor.after.host.clone();
        if let Some(pending) = &mut underway.pending {
            pending.after = executor.after.clone();
        }
        records.save(&underway)?;
        fault::point();
        Ok(())
    }

    /// The record of a deployment, as far as this boot, bpffs and network namespace can use it; an
    /// empty one where there is none.
    fn inventory(
        &self,
        records: &Records,
        name: &Name,
        root: &PinRoot,
    ) -> Result<Inventory, ApplyError> {
        let Some(recorded) = records.load(name)? else {
            let host = self.kernel.identity(root)?;
            return Ok(Inventory::empty(name.clone(), root.clone(), "".into(), host));
        };
        let host = self.kernel.identity(&recorded.pin_root)?;
        if recorded.host.boot_id == host.boot_id
            && recorded.host.netns != host.netns
            && recorded.has_interfaces()
        {
            let netns = recorded.host.netns;
            return Err(ApplyError::OtherNamespace { name: name.clone(), netns });
        }
        if recorded.is_of(&host) {
            if recorded.pending.is_some() {
                tracing::warn!(%name, "the last run was cut short: what it left is taken into account");
            }
            return Ok(recorded);
        }
        tracing::info!(%name, "the record is of another boot or bpffs");
        Ok(recorded.survivors(host, root))
    }
}
