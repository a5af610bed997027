//! What is someone else's and is taken over: only where a run was told so, and only what can be.

use serde::{Deserialize, Serialize};

use crate::model::address::Address;
use crate::model::attach::Attachment;
use crate::model::inventory::Resource;
use crate::model::live::{LinkTarget, LiveLink, Occupant};
use crate::model::map::KERNEL_NAME_MAX;
use crate::model::program::ProgramSpec;

use super::draft::Draft;
use super::link_kinds::updates_in_place;

/// Whether a run claims what is not on record as its deployment's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adoption {
    /// It uses pins of the right shape that others made, and leaves them theirs.
    #[default]
    Never,
    /// It takes them over, and links of others at the places of wanted attachments.
    Foreign,
    /// It takes back links and filters on record that someone made run another program.
    Drifted,
}

/// A link of someone else's that an attachment takes over.
pub(super) struct Takeover {
    pub(super) link: LiveLink,
    /// What it runs, for messages.
    pub(super) program: String,
}

/// Whose link a wanted attachment takes over; `None` for nobody's, and a reason where it can neither
/// be taken nor be left.
///
/// An interface has room for one XDP program, and a namespace for one flow dissector, so whoever is
/// there is meant. Elsewhere several run
/// side by side, and only one of the same name is.
pub(super) fn takeover(
    attachment: &Attachment,
    spec: &ProgramSpec,
    draft: &Draft<'_>,
) -> Result<Option<Takeover>, String> {
    if draft.adoption != Adoption::Foreign {
        return Ok(None);
    }
    let exclusive = matches!(attachment, Attachment::Xdp { .. } | Attachment::FlowDissector { .. });
    let named = |program: &str| exclusive || program == cut(&spec.name);
    let there = draft.live.occupants.get(attachment).map(Vec::as_slice).unwrap_or_default();
    let mut meant = there.iter().filter_map(|occupant| {
        let Occupant::Linked { link, program } = occupant else { return None };
        (named(program) && fits(link, attachment, spec) && is_free(link, draft))
            .then_some((link, program))
    });
    let Some((link, program)) = meant.next() else {
        let kept = there.iter().find_map(|occupant| kept(occupant, named));
        return kept.map_or(Ok(None), Err);
    };
    if let Some((other, _)) = meant.next() {
        return Err(format!(
            "links {} and {} both run a program `{program}` there: detach one of them with \
             `bpftool link detach id ID`",
            link.id, other.id
        ));
    }
    if let Some(owner) = draft.live.others.links.get(&link.id) {
        return Err(format!(
            "link {} belongs to deployment `{owner}`: end that one, or take the attachment out of its \
             manifest",
            link.id
        ));
    }
    Ok(Some(Takeover { link: link.clone(), program: program.clone() }))
}

/// Why an occupant that is meant keeps its place.
fn kept(occupant: &Occupant, named: impl Fn(&str) -> bool) -> Option<String> {
    match occupant {
        Occupant::Bare { program_id, program, free } if named(program) => {
            let way = match free {
                Some(command) => format!("detach it with `{command}`"),
                None => "whoever attached it must detach it first".to_owned(),
            };
            Some(format!(
                "program {program_id} (`{program}`) is attached there without a link, which cannot be \
                 taken over: {way}"
            ))
        }
        Occupant::Unproven { program_id, program, links } if named(program) => {
            let ids: Vec<String> = links.iter().map(u32::to_string).collect();
            Some(format!(
                "one of the links {} runs program {program_id} (`{program}`) there and the others run \
                 it at an interface of the same index in other network namespaces, and the kernel does \
                 not tell which is which: whoever attached it here can detach it with `bpftool link \
                 detach id ID`",
                ids.join(", ")
            ))
        }
        _ => None,
    }
}

/// Whether the link can run the program: of the hook that it is made for, and updatable.
fn fits(link: &LiveLink, attachment: &Attachment, spec: &ProgramSpec) -> bool {
    let made_for = spec.kind.as_ref().and_then(|kind| kind.attach_type);
    let hook = match (attachment, &link.target) {
        (Attachment::Tcx { direction, .. }, LinkTarget::Interface { attach_type, .. }) => {
            *attach_type == Some(direction.tcx_type())
        }
        (Attachment::Netkit { side, .. }, LinkTarget::Interface { attach_type, .. }) => {
            *attach_type == Some(side.attach_type())
        }
        (
            Attachment::Cgroup { .. } | Attachment::CgroupUnit { .. },
            LinkTarget::Cgroup { attach_type, .. },
        )
        | (
            Attachment::SkLookup { .. } | Attachment::FlowDissector { .. },
            LinkTarget::Netns { attach_type, .. },
        ) => Some(*attach_type) == made_for,
        (Attachment::Xdp { .. }, LinkTarget::Interface { .. }) => true,
        _ => false,
    };
    hook && updates_in_place(link.link_type)
}

/// Whether a run puts its program back under an attachment on record that runs someone else's. A
/// link is on record only with what it was attached to: one that merely lies at our pin is not.
pub(super) fn takes_back(address: &Address, link: u32, draft: &Draft<'_>) -> bool {
    draft.adoption == Adoption::Drifted
        && draft
            .inventory()
            .link(address)
            .is_some_and(|record| record.id == link && record.attachment.is_some())
}

/// Whether the link is neither ours nor taken over for another attachment of ours.
fn is_free(link: &LiveLink, draft: &Draft<'_>) -> bool {
    let ours =
        |resource: &Resource| matches!(resource, Resource::Link(known) if known.id == link.id);
    !draft.adopted.contains(&link.id) && !draft.inventory().resources.values().any(ours)
}

/// A program's name as the kernel keeps it.
fn cut(name: &str) -> String {
    name.chars().take(KERNEL_NAME_MAX).collect()
}
