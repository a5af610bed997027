//! A deployment that this process brings about: applied once, and again at each reload.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use crate::apply::{Applied, ApplyError, Awaited, DeploymentStatus, Holder, Host, Keeper, Scope};
use crate::kernel::VerifierLog;
use crate::kernel::linux::Linux;
use crate::model::capability::Capability;
use crate::model::name::Name;
use crate::model::pin::PinRoot;
use crate::plan::{Adoption, Plan, ResourceStatus, SavedPlan};
use crate::validate::Desired;
use crate::view;
use crate::view::plan::{Outcome, RunResult};

use super::ExitStatus;
use super::args::{ApplyArgs, OnDrift, OnExit};
use super::checked::Checked;
use super::context::Context;
use super::end;
use super::failure::{failed, nothing};
use super::journal::Priority;
use super::kernel;
use super::manager::Manager;
use super::privileges;
use super::progress::Both;

/// A deployment and the right to hold it.
pub(super) struct Session<'c> {
    args: &'c ApplyArgs,
    context: &'c Context,
    name: Name,
    root: PinRoot,
    /// The one that runs; 0 before the first apply.
    generation: u64,
    /// What runs, if something that it attaches to may come and go.
    open: Option<Open>,
    /// Capabilities that this process had, and cannot have again.
    given_up: BTreeSet<Capability>,
    /// What ends with this process.
    keeper: Keeper<Linux>,
    _holder: Holder,
}

/// What a first apply is to do.
pub(super) enum Order {
    /// What the manifest asks for.
    Converge(Adoption),
    /// The same if it is what a saved plan says.
    CarryOut(Box<SavedPlan>),
}

/// A desired state that leaves something open, and what was there of it just before it was applied.
struct Open {
    desired: Desired,
    seen: Awaited,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reloaded {
    /// Whether another state runs now, or the same was found to run.
    pub(super) applied: bool,
    /// Whether the same files may do better later. If not, only another change helps.
    pub(super) retry: bool,
    /// The state in a few words.
    pub(super) status: String,
}

impl<'c> Session<'c> {
    /// Becomes the holder of a deployment and applies it.
    pub(super) fn start(
        desired: &Desired,
        order: &Order,
        args: &'c ApplyArgs,
        context: &'c Context,
        manager: &Manager,
    ) -> Result<Self, ExitStatus> {
        let (name, root) = (desired.name.clone(), desired.pin_root.clone());
        let holder = match Holder::take(&context.state, &name) {
            Ok(holder) => holder,
            Err(error) => return Err(failed(Some(&name), &error.into(), context)),
        };
        let mut session = Self {
            args,
            context,
            name,
            root,
            generation: 0,
            open: None,
            given_up: BTreeSet::new(),
            keeper: Keeper::default(),
            _holder: holder,
        };
        match session.apply(desired, order, manager) {
            Ok(applied) => {
                if !args.detach {
                    session.given_up = privileges::give_up(desired, &applied.plan, args, context);
                }
                session.report(&applied, Some(session.future()));
                if args.detach {
                    context.complain(|style| view::plan::left_waiting(&applied.plan, style));
                }
            }
            Err(error) => return Err(failed(Some(&session.name), &error, context)),
        }
        Ok(session)
    }

    /// Brings the host to what was read. If that cannot be, the generation that runs goes on, and it
    /// is said why. `manager` hears what it is at.
    pub(super) fn reload(&mut self, mut checked: Checked, manager: &Manager) -> Reloaded {
        checked.keep_to(&self.name, &self.root);
        let retry = checked.exposed;
        let Ok(desired) = self.context.accept(checked, Some(&self.name)) else {
            return self.goes_on("the manifest or an object is invalid", retry);
        };
        let missing = privileges::missing(&desired, &self.given_up);
        if !missing.is_empty() {
            let error = ApplyError::GivenUp(missing);
            failed(Some(&self.name), &error, self.context);
            return self.goes_on(&format!("the reload failed: {error}"), false);
        }
        self.apply_again(&desired, manager)
    }

    /// Applies what runs to what is there now.
    pub(super) fn reapply(&mut self, manager: &Manager) -> Reloaded {
        match self.open.take() {
            Some(open) => {
                let reloaded = self.apply_again(&open.desired, manager);
                if !reloaded.applied {
                    self.open = Some(open);
                }
                reloaded
            }
            None => Reloaded { applied: false, retry: false, status: self.status() },
        }
    }

    fn apply_again(&mut self, desired: &Desired, manager: &Manager) -> Reloaded {
        match self.apply(desired, &Order::Converge(self.args.on_drift.into()), manager) {
            Ok(applied) => {
                self.report(&applied, None);
                Reloaded { applied: true, retry: false, status: self.status() }
            }
            Err(error) => {
                failed(Some(&self.name), &error, self.context);
                // The verifier says the same of the same program.
                let retry = error.verifier_log().is_none();
                self.goes_on(&format!("the reload failed: {error}"), retry)
            }
        }
    }

    /// Shows what is waited for.
    pub(super) fn awaits(&self, what: Option<String>) {
        self.context.awaits(what);
    }

    /// Whether what has drifted is applied again.
    pub(super) fn heals(&self) -> bool {
        self.args.on_drift == OnDrift::Heal
    }

    /// What is there of the deployment now.
    pub(super) fn observe(&self) -> Result<DeploymentStatus, String> {
        let kernel = Linux::new();
        let seen = self.context.host(&kernel, None).status(Some(&self.name));
        let seen = seen
            .and_then(|mut all| all.pop().ok_or_else(|| ApplyError::Unknown(self.name.clone())));
        seen.map_err(|error| error.to_string())
    }

    /// What was there of what may come and go, just before it was applied; `None` if nothing may.
    pub(super) fn applied_to(&self) -> Option<&Awaited> {
        self.open.as_ref().map(|open| &open.seen)
    }

    /// Only who watches looks after what may not be missing.
    fn scope(&self) -> Scope {
        if self.args.watch { Scope::Watched } else { Scope::Open }
    }

    /// What is there of it now.
    pub(super) fn awaited(&self) -> Result<Awaited, String> {
        let Some(open) = &self.open else { return Ok(Awaited::default()) };
        let kernel = Linux::new();
        let seen = self.context.host(&kernel, None).awaited(&open.desired, self.scope());
        seen.map_err(|error| error.to_string())
    }

    /// Says what has drifted, or that nothing has any more.
    pub(super) fn report_drift(&self, drifted: &[ResourceStatus]) {
        let (name, heals) = (&self.name, self.heals());
        let addresses = drifted.iter().map(|resource| resource.address.clone());
        let now = SystemTime::now().into();
        let noted = self.context.state.note_drift((name, self.generation), addresses, now);
        if let Err(error) = noted {
            tracing::warn!("since when it has drifted will not be known: {error}");
        }
        let priority = if drifted.is_empty() { Priority::Info } else { Priority::Warning };
        self.context.say(priority, |style| view::drift::human(name, drifted, heals, style));
        let result = RunResult {
            outcome: if drifted.is_empty() { Outcome::InSync } else { Outcome::Drifted },
            generation: Some(self.generation),
            ..nothing(Some(name), &[])
        };
        self.context.result(|_| String::new(), || view::drift::json(&result, drifted));
    }

    /// The state in a few words.
    pub(super) fn status(&self) -> String {
        format!("generation {}", self.generation)
    }

    /// Ends the deployment by its pin policies, or leaves it to the kernel, as was asked for.
    pub(super) fn finish(self) -> ExitStatus {
        match self.args.on_exit {
            OnExit::End => {
                let kernel = Linux::new();
                let host = self.context.host(&kernel, Some(&self.keeper));
                end::end(&host, (&self.name, Some(&self.root)), false, self.context)
            }
            OnExit::Keep => {
                let lost = self.keeper.count();
                if lost > 0 {
                    let text = |style| view::plan::not_kept(lost, style);
                    self.context.say(Priority::Warning, text);
                }
                let kept = RunResult {
                    outcome: Outcome::Kept,
                    generation: Some(self.generation),
                    ..nothing(Some(&self.name), &[])
                };
                self.context
                    .result(|_| view::plan::done(&kept, None), || view::plan::result_json(&kept));
                ExitStatus::Ok
            }
        }
    }

    /// Each apply asks the kernel anew: modules come and go while a deployment is held.
    fn apply(
        &mut self,
        desired: &Desired,
        order: &Order,
        manager: &Manager,
    ) -> Result<Applied, ApplyError> {
        let kernel = kernel::running(self.args.btf.as_deref(), self.context.exposed())?;
        let keeper = (!self.args.detach).then_some(&self.keeper);
        let observer = &Both(self.context, manager);
        let host = Host { observer, ..self.context.host(&kernel, keeper) };
        let show = &mut |plan: &Plan| {
            self.context.remark(|style| view::plan::of_deployment(&self.name, plan, style));
        };
        let scope = self.scope();
        let seen = (!self.args.detach && Awaited::is_needed(desired, scope))
            .then(|| host.awaited(desired, scope))
            .transpose()?;
        let applied = match order {
            Order::Converge(Adoption::Never) => host.apply(desired, show),
            Order::Converge(Adoption::Foreign) => host.adopt(desired, show),
            Order::Converge(Adoption::Drifted) => host.heal(desired, show),
            Order::CarryOut(saved) => host.carry_out(desired, saved, show),
        };
        match &applied {
            Ok(applied) => {
                self.generation = applied.generation;
                let keep = |seen| Open { desired: desired.clone(), seen };
                self.open = seen.map(keep);
            }
            Err(error) => {
                if let (Some(directory), Some(log)) =
                    (&self.args.verifier_log, error.verifier_log())
                {
                    keep(directory, log, self.context);
                }
            }
        }
        applied
    }

    fn report(&self, applied: &Applied, future: Option<&str>) {
        let unchanged = applied.plan.is_unchanged();
        let result = RunResult {
            outcome: if unchanged { Outcome::Unchanged } else { Outcome::Applied },
            generation: Some(applied.generation),
            ..nothing(Some(&self.name), &applied.plan.changes)
        };
        self.context
            .result(|_| view::plan::done(&result, future), || view::plan::result_json(&result));
    }

    fn future(&self) -> &'static str {
        match self.args.on_exit {
            _ if self.args.detach => "it stays in the kernel; `ebpf-apply destroy` ends it",
            OnExit::End => "held until SIGINT or SIGTERM, which ends it by pin policy",
            OnExit::Keep => "held until SIGINT or SIGTERM, which leaves it in the kernel",
        }
    }

    fn goes_on(&self, why: &str, retry: bool) -> Reloaded {
        let (name, generation) = (&self.name, self.generation);
        let goes_on = |style| view::failure::goes_on(name, generation, style);
        self.context.say(Priority::Warning, goes_on);
        Reloaded { applied: false, retry, status: format!("{why}; serving {}", self.status()) }
    }
}

/// Writes a log of the verifier to a file of its own and says where.
fn keep(directory: &Path, log: &VerifierLog, context: &Context) {
    let file = format!("{}.{}.log", log.object, log.program);
    // The name of a program is the object's word.
    let path = directory.join(file.replace(['/', '\0'], "_"));
    let written = fs::create_dir_all(directory).and_then(|()| fs::write(&path, &log.text));
    context.say(Priority::Info, |style| view::failure::kept(&path, &written, style));
}
