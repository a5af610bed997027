//! What a manifest leaves open until the host is known, and what of it comes and goes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::kernel::{Kernel, Result, Settled};
use crate::model::attach::Attachment;
use crate::model::live::TargetState;
use crate::model::pattern;
use crate::plan::{self, Surroundings};
use crate::validate::{Desired, DesiredProgram};

/// The desired state with every place by its name, and by means that the kernel has; `can_hold` says
/// whether this process can keep attachments that end with it.
pub(super) fn settled<'d, K: Kernel>(
    kernel: &K,
    desired: &'d Desired,
    can_hold: bool,
) -> Result<Cow<'d, Desired>> {
    let mut around = Surroundings::default();
    if plan::has_patterns(desired) {
        around.interfaces = kernel.interfaces()?;
    }
    around.lacks_tcx = plan::has_tcx(desired) && !kernel.has_tcx()?;
    let mut settled = if around == Surroundings::default() {
        Cow::Borrowed(desired)
    } else {
        Cow::Owned(plan::expand(desired.clone(), &around))
    };
    for (at, object) in desired.objects.iter().enumerate() {
        for (index, program) in object.programs.iter().enumerate() {
            if program.attachments.is_empty() {
                continue;
            }
            let Some(found) = kernel.settle(&program.spec, &program.attachments)? else { continue };
            let objects = &mut settled.to_mut().objects;
            let programs = objects.get_mut(at).map(|object| &mut object.programs);
            if let Some(program) = programs.and_then(|programs| programs.get_mut(index)) {
                settle(program, found);
            }
        }
    }
    if plan::has_events(desired) && !kernel.has_event_links()? {
        plan::hold_events(settled.to_mut(), can_hold);
    }
    Ok(settled)
}

/// Puts what its attachments come to in their place, on the same terms.
fn settle(program: &mut DesiredProgram, found: Settled) {
    let Settled { attach_type, attachments, note } = found;
    if let Some(kind) = &mut program.spec.kind {
        kind.attach_type = attach_type;
    }
    let terms = &mut program.terms;
    let waits: BTreeSet<String> = terms.waits.iter().map(ToString::to_string).collect();
    for attachment in &attachments {
        if waits.contains(&attachment.to_string()) {
            terms.waits.insert(attachment.clone());
        }
        if let Some(note) = &note {
            terms.notes.insert(attachment.clone(), note.clone());
        }
    }
    program.attachments = attachments;
}

/// Which places are looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Interfaces that a pattern stands for, and targets that are waited for.
    Open,
    /// Everything that may go and come back as well.
    Watched,
}

/// The places that may come and go, with what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Awaited {
    places: BTreeMap<Attachment, Found>,
}

/// What is at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    target: Option<u64>,
    /// Whether it may be missing: otherwise it is a reason to apply again only once it is back.
    may_miss: bool,
}

impl Awaited {
    /// Whether a manifest has such places.
    #[must_use]
    pub fn is_needed(desired: &Desired, scope: Scope) -> bool {
        plan::has_patterns(desired)
            || desired.programs().any(|program| !program.terms.waits.is_empty())
            || (scope == Scope::Watched && desired.attachments().any(may_go))
    }

    pub(super) fn look<K: Kernel>(kernel: &K, desired: &Desired, scope: Scope) -> Result<Self> {
        let by_pattern =
            |attachment: &Attachment| attachment.interface().is_some_and(pattern::is_pattern);
        let named = desired.attachments().filter(|place| !by_pattern(place));
        let named: BTreeSet<String> = named.map(ToString::to_string).collect();
        let settled = settled(kernel, desired, true)?;
        let mut places = BTreeMap::new();
        for program in settled.programs() {
            for attachment in &program.attachments {
                let may_miss = program.terms.waits.contains(attachment)
                    || !named.contains(&attachment.to_string());
                if may_miss || (scope == Scope::Watched && may_go(attachment)) {
                    let target = match kernel.target(attachment)? {
                        TargetState::Present(id) => Some(id),
                        TargetState::Missing { .. } => None,
                    };
                    places.insert(attachment.clone(), Found { target, may_miss });
                }
            }
        }
        Ok(Self { places })
    }

    /// Whether there is a reason to apply again: what may be missing has come or gone since `before`,
    /// or what may not is back.
    #[must_use]
    pub fn calls_for_apply(&self, before: &Self) -> bool {
        let other = |(place, found): (&Attachment, &Found)| {
            (found.may_miss || found.target.is_some()) && before.places.get(place) != Some(found)
        };
        let gone = |(place, found): (&Attachment, &Found)| {
            found.may_miss && !self.places.contains_key(place)
        };
        self.places.iter().any(other) || before.places.iter().any(gone)
    }

    /// Those whose target is not there.
    pub fn missing(&self) -> impl Iterator<Item = &Attachment> {
        let missing = |(_, found): &(&Attachment, &Found)| found.target.is_none();
        self.places.iter().filter(missing).map(|(place, _)| place)
    }

    /// The attachments.
    pub fn attachments(&self) -> impl Iterator<Item = &Attachment> {
        self.places.keys()
    }
}

/// Whether what an attachment names may go and come back while the kernel runs.
fn may_go(attachment: &Attachment) -> bool {
    attachment.interface().is_some()
        || attachment.path().is_some()
        || matches!(
            attachment,
            Attachment::CgroupUnit { .. }
                | Attachment::Uprobe(_)
                | Attachment::Uretprobe(_)
                | Attachment::Usdt(_)
        )
}
