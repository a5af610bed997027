//! What attachments need beside their program: maps that they go over, or that tell where arguments are,
//! and when that makes it necessary to load an object again; and pins that users read.

use std::collections::BTreeMap;

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::identity::Identity;
use crate::model::inventory::PublicPin;
use crate::model::kinds::LinkType;
use crate::model::live::{LiveObject, TargetState};
use crate::model::name::Name;
use crate::model::pin::PinPath;
use crate::model::probe::{Iter, Only, USDT_ADDRESSES, USDT_SPECS, Usdt};
use crate::validate::{Desired, DesiredObject, DesiredProgram};

use super::draft::{Draft, Phase, Source};
use super::held;
use super::links::{Found, Wanted};
use super::maps::{self, Bindings};
use super::{Slot, Step};

/// Where every map of a deployment is.
#[derive(Clone, Copy)]
pub(super) struct Maps<'d> {
    pub(super) desired: &'d Desired,
    pub(super) bindings: &'d [Bindings],
    /// Why each object is loaded again.
    pub(super) reloads: &'d [Option<String>],
}

impl Maps<'_> {
    /// The maps that an attachment of a program of `object` needs, by what it knows them as.
    pub(super) fn of(
        self,
        attachment: &Attachment,
        object: &DesiredObject,
        draft: &Draft<'_>,
    ) -> BTreeMap<String, Source> {
        let mut maps = BTreeMap::new();
        match attachment {
            Attachment::Usdt(_) => {
                for map in [USDT_SPECS, USDT_ADDRESSES] {
                    maps.extend(
                        self.source(object.name.as_str(), map, draft)
                            .map(|source| (map.to_owned(), source)),
                    );
                }
            }
            Attachment::Sockmap { object, map }
            | Attachment::Iter(Iter { only: Some(Only::Map { object, map }), .. }) => {
                maps.extend(self.source(object, map, draft).map(|source| (map.clone(), source)));
            }
            _ => {}
        }
        maps
    }

    fn source(self, object: &str, map: &str, draft: &Draft<'_>) -> Option<Source> {
        let at = self.desired.objects.iter().position(|known| known.name.as_str() == object)?;
        let known = self.desired.objects.get(at)?;
        known.maps.iter().find(|known| known.spec.name == map)?;
        if let Some(source) = self.bindings.get(at)?.get(map) {
            return source.clone();
        }
        let address = Address::map(&known.name, map);
        if self.reloads.get(at)?.is_some() {
            return Some(Source::New(address));
        }
        Some(match maps::held(&address, draft) {
            Some(held) => Source::Live { pin: held.pin, identity: Identity::map(held.found.id) },
            None => Source::Unpinned { id: draft.inventory().map(&address)?.id },
        })
    }
}

/// Whether the maps of `usdt.bpf.h` do not know a wanted probe: they are filled when one is attached,
/// into fresh maps.
pub(super) fn reload_reason(object: &DesiredObject, draft: &Draft<'_>) -> Option<String> {
    object.programs.iter().find_map(|program| {
        let name = &program.spec.name;
        let is_there = |place: &&Attachment| {
            matches!(place, Attachment::Usdt(_))
                && matches!(draft.live.targets.get(place), Some(TargetState::Present(_)))
        };
        let probes = program.attachments.iter().filter(is_there);
        let mut missing = probes.filter(|place| !is_attached(&object.name, name, place, draft));
        missing.next().map(|probe| format!("`{name}` is to be attached to {probe}"))
    })
}

fn is_attached(object: &Name, program: &str, place: &Attachment, draft: &Draft<'_>) -> bool {
    let pin = PinPath::link(&draft.name(), object, program, place);
    let record = draft.inventory().link(&Address::link(object, program, place));
    let recorded = record.and_then(|record| record.attachment.as_ref());
    let is_held = || record.is_some_and(|record| held::live(record, draft).is_some());
    (matches!(draft.live.pins.get(&pin), Some(LiveObject::Link(_))) || is_held())
        && recorded.is_none_or(|recorded| recorded == place)
}

/// Whether links of a type run beside others of the same program at the same place, and go only with
/// their last reference.
pub(super) fn run_side_by_side(link_type: LinkType) -> bool {
    [
        LinkType::RAW_TRACEPOINT,
        LinkType::PERF_EVENT,
        LinkType::KPROBE_MULTI,
        LinkType::UPROBE_MULTI,
        LinkType::ITER,
        LinkType::TRACING,
    ]
    .contains(&link_type)
}

/// What is not part of an attachment's identity, in words; `None` for hooks that have no more than a
/// place.
pub(super) fn options(attachment: &Attachment) -> Option<String> {
    let mut options = Vec::new();
    match attachment {
        Attachment::PerfEvent(event) => options.push(event.sample.to_string()),
        Attachment::Uprobe(probe) | Attachment::Uretprobe(probe) => {
            options.extend(inode(probe.inode));
        }
        Attachment::Usdt(probe) => {
            options.extend(inode(probe.inode));
            options.extend(addresses(probe));
        }
        _ => {}
    }
    options.extend(attachment.cookie().map(|cookie| format!("cookie {cookie}")));
    match (options.is_empty(), attachment) {
        (false, _) => Some(options.join(", ")),
        (
            true,
            Attachment::Tracepoint { .. }
            | Attachment::RawTracepoint { .. }
            | Attachment::TpBtf { .. }
            | Attachment::Fentry(_)
            | Attachment::Fexit(_)
            | Attachment::Fsession(_)
            | Attachment::FmodRet(_)
            | Attachment::Lsm(_)
            | Attachment::Kprobe(_)
            | Attachment::Kretprobe(_),
        ) => Some("no cookie".to_owned()),
        _ => None,
    }
}

fn inode(inode: Option<u64>) -> Option<String> {
    inode.map(|inode| format!("inode {inode} of the file"))
}

fn addresses(probe: &Usdt) -> Option<String> {
    let all: Vec<String> =
        probe.addresses.iter().map(|address| format!("address {address:#x}")).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Where the link is pinned for users: an iterator's, which they can read, and of no other.
pub(super) fn public_pin(program: &DesiredProgram, attachment: &Attachment) -> Option<PublicPin> {
    let readable = matches!(attachment, Attachment::Iter(_));
    let pin = program.pin.as_ref().filter(|_| readable)?;
    Some(PublicPin { pin: pin.clone(), policy: program.policy })
}

impl Wanted<'_> {
    pub(super) fn attach_step(&self, draft: &mut Draft<'_>) -> Step {
        let (address, program) = (self.address.clone(), self.program.clone());
        let attachment = self.attachment.clone();
        let others = self.slots(draft);
        Step::Attach { address, program, attachment, others }
    }

    /// Where what is attached with the program is had from, by name in C.
    pub(super) fn slots(&self, draft: &mut Draft<'_>) -> BTreeMap<String, Slot> {
        self.others.iter().map(|(name, source)| (name.clone(), draft.slot(source))).collect()
    }

    /// Claims the pins of the link, wherever it comes from.
    pub(super) fn claim(&self, source: Source, phase: Phase, draft: &mut Draft<'_>) {
        if let Some(PublicPin { pin, .. }) = &self.public {
            draft.claim(pin.clone(), &self.address, source.clone(), phase);
            if let Some(claim) = draft.claims.get_mut(pin) {
                claim.replaces = true;
            }
        }
        draft.claim(self.pin.clone(), &self.address, source, phase);
    }

    /// What is to be done about the pin of an iterator that stays attached.
    pub(super) fn pin_change(&self, found: &Found, draft: &Draft<'_>) -> Option<&'static str> {
        let record = draft.inventory().link(&found.address);
        let recorded = record.and_then(|record| record.public.as_ref());
        if recorded != self.public.as_ref() {
            return Some("its pin path or policy changed");
        }
        let pin = &self.public.as_ref()?.pin;
        (draft.identity_at(pin) != Some(Identity::link(found.link.id))).then_some("its pin is gone")
    }

    pub(super) fn is_iterator(&self) -> bool {
        matches!(self.attachment, Attachment::Iter(_))
    }
}
