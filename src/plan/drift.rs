//! Drift: where the live state differs from what a deployment left.

use serde::Serialize;

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::dispatch::{LiveDispatcher, Run};
use crate::model::identity::Identity;
use crate::model::inventory::{Anchor, Inventory, LinkRecord, MapRecord, ProgramRecord, Resource};
use crate::model::live::{LinkTarget, LiveHeld, LiveObject, LiveState};
use crate::model::pin::PinPath;
use crate::model::socket_hook::Kept;

/// One resource of a deployment against the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResourceStatus {
    /// Which resource.
    pub address: Address,
    /// `map`, `program`, `link`, or `pin` for what persists of an ended deployment.
    pub kind: &'static str,
    /// Kernel id on record; absent for a netlink filter.
    pub id: Option<u32>,
    /// Absolute path of its pin.
    pub pin: Option<String>,
    /// The verdict.
    pub state: ResourceState,
    /// What is behind the verdict, where there is more to say.
    pub detail: Option<String>,
}

/// The verdict on one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceState {
    /// As we left it.
    InSync,
    /// Still there, and changed.
    Drifted,
    /// Gone.
    Missing,
    /// Something of someone else's is in its place.
    Foreign,
    /// Cannot be known.
    Unknown,
}

impl ResourceStatus {
    /// Whether it is known not to be as we left it.
    #[must_use]
    pub fn has_drifted(&self) -> bool {
        !matches!(self.state, ResourceState::InSync | ResourceState::Unknown)
    }
}

impl ResourceState {
    /// The word used in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "in-sync",
            Self::Drifted => "drifted",
            Self::Missing => "missing",
            Self::Foreign => "foreign",
            Self::Unknown => "unknown",
        }
    }
}

/// Holds every recorded resource against the live state.
#[must_use]
pub fn drift(inventory: &Inventory, live: &LiveState) -> Vec<ResourceStatus> {
    let status = |(address, resource): (&Address, &Resource)| {
        let ((state, detail), kind) = match resource {
            Resource::Map(map) => (map_state(map, inventory, live), "map"),
            Resource::Program(program) => (program_state(program, live), "program"),
            Resource::Link(link) => (link_state(link, inventory, live), "link"),
        };
        ResourceStatus {
            address: address.clone(),
            kind,
            id: Some(resource.identity().id).filter(|id| *id != 0),
            pin: resource
                .pins()
                .next()
                .map(|(pin, _)| inventory.pin_root.join(pin).display().to_string()),
            state,
            detail,
        }
    };
    let forgotten = inventory.forgotten.iter().map(|(pin, identity)| {
        let (state, detail) = pin_state(pin, *identity, live);
        ResourceStatus {
            address: Address::pin(pin.as_str()),
            kind: "pin",
            id: Some(identity.id),
            pin: Some(inventory.pin_root.join(pin).display().to_string()),
            state,
            detail: detail.or_else(|| Some("persists".to_owned())),
        }
    });
    inventory.resources.iter().map(status).chain(forgotten).collect()
}

fn program_state(program: &ProgramRecord, live: &LiveState) -> Verdict {
    let identity = Identity::program(program.id);
    let verdict = pin_state(&program.pin, identity, live);
    match &program.public {
        Some(public) if verdict.0 == ResourceState::InSync => {
            match pin_state(&public.pin, identity, live) {
                (ResourceState::InSync, _) => verdict,
                _ => (ResourceState::Drifted, Some(format!("its pin {} is gone", public.pin))),
            }
        }
        _ => verdict,
    }
}

type Verdict = (ResourceState, Option<String>);

fn pin_state(pin: &PinPath, identity: Identity, live: &LiveState) -> Verdict {
    match live.pins.get(pin) {
        None => (ResourceState::Missing, Some("its pin is gone".to_owned())),
        Some(found) if found.identity() == Some(identity) => (ResourceState::InSync, None),
        Some(LiveObject::Unreadable { reason }) => (ResourceState::Unknown, Some(reason.clone())),
        Some(found) => {
            let other =
                found.identity().map(|found| format!(" with id {}", found.id)).unwrap_or_default();
            (
                ResourceState::Foreign,
                Some(format!("{}{other} is pinned in its place", found.kind())),
            )
        }
    }
}

/// A map without a pin is seen through the programs that use it.
fn map_state(map: &MapRecord, inventory: &Inventory, live: &LiveState) -> Verdict {
    if let Some(pin) = &map.pin {
        return pin_state(pin, Identity::map(map.id), live);
    }
    let programs = inventory.resources.values().filter_map(|resource| match resource {
        Resource::Program(program) => live.pins.get(&program.pin),
        _ => None,
    });
    let held = programs.into_iter().any(
        |found| matches!(found, LiveObject::Program(program) if program.map_ids.contains(&map.id)),
    );
    if held {
        (ResourceState::InSync, None)
    } else {
        (ResourceState::Unknown, Some("no loaded program of the deployment uses it".to_owned()))
    }
}

fn link_state(link: &LinkRecord, inventory: &Inventory, live: &LiveState) -> Verdict {
    let wanted = inventory.program(&link.program).map(|program| program.id);
    match &link.anchor {
        Anchor::Pin(pin) => match live.pins.get(pin) {
            Some(LiveObject::Link(found)) if found.id == link.id => {
                if found.is_severed() {
                    let detail = "it is detached, or what it was attached to is gone".to_owned();
                    return (ResourceState::Missing, Some(detail));
                }
                match &link.public {
                    Some(public)
                        if live.pins.get(&public.pin) != Some(&LiveObject::Link(found.clone())) =>
                    {
                        (ResourceState::Drifted, Some(format!("its pin {} is gone", public.pin)))
                    }
                    _ => match found.target {
                        LinkTarget::StructOps { map } => has(map, inventory.map(&link.program)),
                        _ => runs(found.program_id, wanted),
                    },
                }
            }
            _ => pin_state(pin, Identity::link(link.id), live),
        },
        Anchor::Registration { map } if live.registered.contains(map) => {
            (ResourceState::InSync, Some("registered without a link".to_owned()))
        }
        Anchor::Registration { .. } => {
            (ResourceState::Missing, Some("it is not registered any more".to_owned()))
        }
        Anchor::Held(by) => match live.held.get(by) {
            None => {
                let detail = format!("pid {}, which held it, is gone, or has let go of it", by.pid);
                (ResourceState::Missing, Some(detail))
            }
            Some(LiveHeld { program_id: Some(program) }) if Some(*program) != wanted => {
                runs(*program, wanted)
            }
            Some(_) => {
                let detail = format!("held by pid {}: not pinned, ends with it", by.pid);
                (ResourceState::InSync, Some(detail))
            }
        },
        Anchor::Map { .. } => kept(link, inventory, live),
        Anchor::Dispatcher { index, .. } => {
            let run = match &link.attachment {
                Some(Attachment::XdpShared { run, .. }) => Some(run),
                _ => None,
            };
            called(live.dispatchers.get(index), wanted, run)
        }
        Anchor::Filter { key, .. } => match live.filters.get(key) {
            None => (ResourceState::Missing, Some("its filter is gone".to_owned())),
            Some(filter) => runs(filter.program_id, wanted),
        },
    }
}

/// A program that a map of sockets shall keep.
fn kept(link: &LinkRecord, inventory: &Inventory, live: &LiveState) -> Verdict {
    let wanted = inventory.program(&link.program).map(|program| program.id);
    let hook = inventory.socket_hook(link);
    match hook.and_then(|hook| Some((hook, live.sockets.as_ref()?.get(&hook)?))) {
        None => (ResourceState::Missing, Some("the map that kept it is gone".to_owned())),
        Some((hook, Kept::Nothing)) => {
            let detail = format!("no program is attached to map id {} there", hook.map);
            (ResourceState::Missing, Some(detail))
        }
        Some((hook, Kept::Program { id, .. })) if Some(*id) == wanted => {
            let detail = format!("kept by map id {} without a link: stays with it", hook.map);
            (ResourceState::InSync, Some(detail))
        }
        Some((_, Kept::Program { id, .. })) => runs(*id, wanted),
        Some((hook, Kept::Untold)) => {
            let detail = format!(
                "kept by map id {} without a link; what a map keeps, Linux tells since 5.18",
                hook.map
            );
            (ResourceState::Unknown, Some(detail))
        }
    }
}

/// A program that a dispatcher shall call.
fn called(dispatcher: Option<&LiveDispatcher>, wanted: Option<u32>, run: Option<&Run>) -> Verdict {
    let found = dispatcher.zip(wanted).and_then(|(live, id)| Some((live, live.member(id)?)));
    let Some((live, member)) = found else {
        return (ResourceState::Missing, Some("no dispatcher calls it".to_owned()));
    };
    let how = member.run.describe();
    match run {
        Some(run) if *run != member.run => {
            (ResourceState::Drifted, Some(format!("called with {how}, not {}", run.describe())))
        }
        _ => {
            let place = live.members.iter().take_while(|other| *other != member).count() + 1;
            let (of, id) = (live.members.len(), live.program_id);
            let detail = format!("number {place} of {of} that dispatcher id {id} calls, {how}");
            (ResourceState::InSync, Some(detail))
        }
    }
}

fn has(found: u32, wanted: Option<&MapRecord>) -> Verdict {
    if wanted.is_some_and(|wanted| wanted.id == found) {
        (ResourceState::InSync, None)
    } else {
        (ResourceState::Drifted, Some(format!("has the operations of map id {found}, not ours")))
    }
}

fn runs(found: u32, wanted: Option<u32>) -> Verdict {
    if Some(found) == wanted {
        (ResourceState::InSync, None)
    } else {
        (ResourceState::Drifted, Some(format!("runs program id {found}, not ours")))
    }
}
