//! What a process that holds a deployment can still do once that is applied.

use std::collections::BTreeSet;

use crate::kernel::linux::{keep_only, running};
use crate::model::capability::Capability;
use crate::model::release::Release;
use crate::plan::{Capabilities, Plan, capabilities};
use crate::validate::Desired;

use super::args::{ApplyArgs, OnDrift};
use super::context::Context;
use super::reader::Exposed;

/// Before, maps and programs count as locked memory, and only `CAP_SYS_RESOURCE` raises its limit.
const MEMORY_BY_CGROUP: Release = Release::new(5, 11);

/// Gives up what the deployment needs neither now nor for its end, and returns that.
///
/// Who watches keeps what most reloads want. A map whose pin someone removed is found again only by its id,
/// and so are programs of others that healing puts aside: without `CAP_SYS_ADMIN` a reload would begin with
/// an empty map. Who reads or writes files of others goes on doing so.
pub(super) fn give_up(
    desired: &Desired,
    plan: &Plan,
    args: &ApplyArgs,
    context: &Context,
) -> BTreeSet<Capability> {
    let Capabilities { needed, perhaps } = capabilities(desired, &plan.steps);
    let mut kept: BTreeSet<Capability> = needed.into_keys().chain(perhaps.into_keys()).collect();
    if args.watch {
        kept.extend([Capability::Bpf, Capability::NetAdmin, Capability::Perfmon]);
    }
    if args.on_drift == OnDrift::Heal || has_pinned_maps(desired) {
        kept.insert(Capability::SysAdmin);
    }
    if context.exposed() == Exposed::Ignored || args.verifier_log.is_some() {
        kept.extend([Capability::DacReadSearch, Capability::DacOverride]);
    }
    if running().is_none_or(|running| running < MEMORY_BY_CGROUP) {
        kept.insert(Capability::SysResource);
    }
    match keep_only(&kept) {
        Ok(given_up) => {
            let names: Vec<&str> = kept.iter().map(|one| one.as_str()).collect();
            tracing::info!("of its capabilities, this process keeps at most {}", names.join(", "));
            given_up
        }
        Err(error) => {
            tracing::warn!(%error, "this process goes on with all the capabilities that it has");
            BTreeSet::new()
        }
    }
}

fn has_pinned_maps(desired: &Desired) -> bool {
    desired
        .objects
        .iter()
        .flat_map(|object| &object.maps)
        .any(|map| map.pin.is_some() && !map.external)
}

/// What another manifest needs of what was given up.
pub(super) fn missing(desired: &Desired, given_up: &BTreeSet<Capability>) -> Vec<Capability> {
    let needed = capabilities(desired, &[]).needed;
    needed.into_keys().filter(|one| given_up.contains(one)).collect()
}
