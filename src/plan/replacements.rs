//! Programs that replace functions of other programs: loaded after those, for one of them.
//!
//! The kernel takes one replacement of a function at a time, and one that is attached stays with the
//! program it was loaded for. So both are loaded anew together: the new replacement is attached to the
//! new program, and then that takes the old one's place with the function replaced already.
//!
//! A program that someone else keeps pinned is not loaded by us. There the old replacement goes before
//! the new one comes ([`super::released`]), and one that is attached is attached again as it is.

use crate::model::address::Address;
use crate::model::identity::Identity;
use crate::model::inventory::Anchor;
use crate::model::live::{LiveObject, TargetState};
use crate::model::pin::PinPath;
use crate::validate::{Desired, DesiredObject, DesiredProgram, Holder};

use super::draft::{Draft, Phase};
use super::maps::Bindings;
use super::programs::{loaded, map_slots, reload_reason};
use super::{Slot, Step};

/// Why each object must be loaded (again); `None` for one that stays as it is.
pub(super) fn reload_reasons(
    desired: &Desired,
    bindings: &[Bindings],
    draft: &Draft<'_>,
) -> Vec<Option<String>> {
    let objects = &desired.objects;
    let mut reasons: Vec<_> = objects
        .iter()
        .zip(bindings)
        .map(|(object, bound)| reload_reason(object, bound, draft))
        .collect();
    let pairs: Vec<Pair<'_>> = objects
        .iter()
        .enumerate()
        .flat_map(|(at, object)| object.programs.iter().map(move |program| (at, object, program)))
        .filter_map(|(at, object, program)| Pair::of(at, object, program, desired, draft))
        .collect();
    // Each round gives at least one more object a reason.
    while pairs.iter().any(|pair| pair.pass_on(&mut reasons)) {}
    reasons
}

/// A replacement and the program it is for.
struct Pair<'d> {
    program: &'d str,
    /// Index of its object.
    replacement: usize,
    /// Index of the object of the program whose function it replaces.
    replaced: usize,
    /// Whether a replacement is in place now.
    is_attached: bool,
}

impl<'d> Pair<'d> {
    fn of(
        at: usize,
        object: &DesiredObject,
        program: &'d DesiredProgram,
        desired: &Desired,
        draft: &Draft<'_>,
    ) -> Option<Self> {
        let Holder::Program { object: replaced, .. } = program.replaces()?.holder else {
            return None;
        };
        let replaced = desired.objects.iter().position(|other| other.name.as_str() == replaced)?;
        let name = &program.spec.name;
        let is_link = |pin: &PinPath| matches!(draft.live.pins.get(pin), Some(LiveObject::Link(_)));
        let is_attached = program.attachments.iter().any(|attachment| {
            let address = Address::link(&object.name, name, attachment);
            // A run that was cut short may have left it in the stage.
            let staged = match draft.inventory().link(&address).map(|record| &record.anchor) {
                Some(Anchor::Pin(pin)) => is_link(pin),
                _ => false,
            };
            staged || is_link(&PinPath::link(&draft.name(), &object.name, name, attachment))
        });
        Some(Self { program: name, replacement: at, replaced, is_attached })
    }

    /// Gives one of both the reason that follows from the other; whether that was new.
    fn pass_on(&self, reasons: &mut [Option<String>]) -> bool {
        let is_loaded = |at: usize| reasons.get(at).is_some_and(Option::is_some);
        let (at, reason) = match (is_loaded(self.replacement), is_loaded(self.replaced)) {
            (false, true) => {
                let reason = format!("what program `{}` is for is loaded anew", self.program);
                (self.replacement, reason)
            }
            (true, false) if self.is_attached => {
                let reason =
                    format!("program `{}`, which replaces a function, changes", self.program);
                (self.replaced, reason)
            }
            // A program that was attached once is not attached again.
            (false, false) if !self.is_attached => {
                (self.replacement, format!("the link of program `{}` is gone", self.program))
            }
            _ => return false,
        };
        match reasons.get_mut(at) {
            Some(place) => place.replace(reason).is_none(),
            None => false,
        }
    }
}

/// Loads the replacements of an object that is loaded (again).
pub(super) fn plan(
    object: &DesiredObject,
    bindings: &Bindings,
    desired: &Desired,
    reloads: &[Option<String>],
    draft: &mut Draft<'_>,
) {
    for program in &object.programs {
        let Some(target) = program.replaces() else { continue };
        let replaced = match target.holder {
            Holder::Program { object, program } => {
                let mut holders = desired.objects.iter().zip(reloads);
                let holder = holders.find(|(holder, _)| holder.name.as_str() == object);
                let Some((holder, reload)) = holder else { continue };
                let address = Address::program(&holder.name, program);
                match loaded(&address, draft) {
                    Some((pin, id)) if reload.is_none() => draft.open(&pin, Identity::program(id)),
                    _ => Slot::New(address),
                }
            }
            Holder::Dispatcher => draft.dispatcher(),
            Holder::Pinned(pin) => {
                // Where it is missing, its link is refused.
                let mut targets =
                    program.attachments.iter().filter_map(|at| draft.live.targets.get(at));
                let Some(TargetState::Present(id)) = targets.next() else { continue };
                let id = u32::try_from(*id).unwrap_or_default();
                draft.open_pinned(pin, id)
            }
        };
        let maps = map_slots(object, bindings, draft);
        let step = Step::LoadReplacement {
            object: object.name.clone(),
            program: program.spec.name.clone(),
            maps,
            replaced,
        };
        draft.step(Phase::LoadReplacements, step);
    }
}
