//! What a manifest leaves open until the host is known: interfaces by pattern, and tcx on a kernel that
//! has none.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::attach::{Attachment, Direction};
use crate::model::net_hook::{Neighbour, Position};
use crate::model::pattern::{self, Interface};
use crate::validate::{Desired, DesiredProgram};

/// What of the host decides it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The interfaces of the network namespace, if any is meant by a pattern.
    pub interfaces: Vec<Interface>,
    /// Whether the kernel lacks tcx.
    pub lacks_tcx: bool,
}

/// Whether the manifest names interfaces by pattern.
#[must_use]
pub fn has_patterns(desired: &Desired) -> bool {
    desired.attachments().any(|attachment| attachment.interface().is_some_and(pattern::is_pattern))
}

/// Whether the manifest attaches to tcx.
#[must_use]
pub fn has_tcx(desired: &Desired) -> bool {
    desired.attachments().any(|attachment| matches!(attachment, Attachment::Tcx { .. }))
}

/// One attachment for each interface that a pattern stands for; where it stands for none, it stays.
/// Without tcx, a filter of `clsact` for each attachment to tcx whose place a filter can have.
#[must_use]
pub fn expand(mut desired: Desired, around: &Surroundings) -> Desired {
    for object in &mut desired.objects {
        for program in &mut object.programs {
            expand_patterns(program, &around.interfaces);
        }
    }
    if around.lacks_tcx {
        let priorities = priorities(&desired);
        for object in &mut desired.objects {
            let name = object.name.to_string();
            for program in &mut object.programs {
                let key = (name.clone(), program.spec.name.clone());
                replace_tcx(program, &|place| priorities.get(&(place, key.clone())).copied());
            }
        }
    }
    desired
}

fn expand_patterns(program: &mut DesiredProgram, interfaces: &[Interface]) {
    let by_name =
        |attachment: &Attachment| !attachment.interface().is_some_and(pattern::is_pattern);
    let mut taken: BTreeSet<String> = BTreeSet::new();
    taken.extend(program.attachments.iter().filter(|at| by_name(at)).map(ToString::to_string));
    let mut expanded = Vec::new();
    for attachment in std::mem::take(&mut program.attachments) {
        if by_name(&attachment) {
            expanded.push(attachment);
            continue;
        }
        let wanted = attachment.interface().unwrap_or_default();
        let meant = interfaces.iter().filter(|interface| pattern::stands_for(wanted, interface));
        let meant: Vec<&Interface> = meant.collect();
        if meant.is_empty() {
            expanded.push(attachment);
            continue;
        }
        for interface in meant {
            let concrete = attachment.at_interface(&interface.name);
            // What is named goes before what is meant by a pattern, and the first pattern before others.
            if taken.insert(concrete.to_string()) {
                if program.terms.waits.contains(&attachment) {
                    program.terms.waits.insert(concrete.clone());
                }
                expanded.push(concrete);
            }
        }
    }
    program.attachments = expanded;
}

/// Why a filter stands for tcx.
const INSTEAD: &str = "Linux has tcx since 6.6, so a filter of clsact does it: it is not pinned, and \
                       anyone who removes the qdisc removes it";

/// Filters are in order by their priorities; these are left to programs that come before all others,
/// and after.
const FIRST: u16 = 1;
const LAST: u16 = 0xff00;

/// A hook of an interface.
type Place = (String, Direction);
/// A program of an object.
type Owner = (String, String);

/// The priority of each program of tcx, by its place in the order of the manifest's own at its hook.
fn priorities(desired: &Desired) -> BTreeMap<(Place, Owner), u16> {
    let mut chains: BTreeMap<Place, Vec<(Owner, bool)>> = BTreeMap::new();
    let mut open: Vec<(Place, Owner, Option<Position>)> = Vec::new();
    for object in &desired.objects {
        for program in &object.programs {
            for attachment in &program.attachments {
                if let Attachment::Tcx { interface, direction, position } = attachment {
                    let owner = (object.name.to_string(), program.spec.name.clone());
                    open.push(((interface.clone(), *direction), owner, position.clone()));
                }
            }
        }
    }
    while !open.is_empty() {
        let left = open.len();
        open.retain(|(place, owner, position)| {
            let chain = chains.entry(place.clone()).or_default();
            let at = |object: &str, program: &str| {
                chain.iter().position(|((o, p), _)| (o.as_str(), p.as_str()) == (object, program))
            };
            let (index, first) = match position {
                Some(Position::First) => (Some(0), true),
                Some(Position::Last) | None => (Some(chain.len()), false),
                Some(Position::Before(Neighbour::Own { object, program })) => {
                    let index = at(object, program);
                    (index, index.is_some_and(|index| chain[index].1))
                }
                Some(Position::After(Neighbour::Own { object, program })) => {
                    let index = at(object, program);
                    (index.map(|index| index + 1), index.is_some_and(|index| chain[index].1))
                }
                Some(Position::Before(_) | Position::After(_)) => return false,
            };
            let Some(index) = index else { return true };
            chain.insert(index, (owner.clone(), first));
            false
        });
        if open.len() == left {
            break;
        }
    }
    let mut all = BTreeMap::new();
    for (place, chain) in chains {
        for (number, (owner, first)) in (0_u16..).zip(chain) {
            let base = if first { FIRST } else { LAST };
            all.insert((place.clone(), owner), base.saturating_add(number));
        }
    }
    all
}

fn replace_tcx(program: &mut DesiredProgram, priority: &dyn Fn(Place) -> Option<u16>) {
    for attachment in &mut program.attachments {
        let Attachment::Tcx { interface, direction, .. } = &*attachment else { continue };
        let Some(priority) = priority((interface.clone(), *direction)) else {
            let reason = "Linux has tcx since 6.6, and a filter of clsact cannot be put beside a \
                          program of someone else: use hook `tc` with a priority";
            program.terms.impossible.insert(attachment.clone(), reason.to_owned());
            continue;
        };
        let filter = Attachment::Tc {
            interface: interface.clone(),
            direction: *direction,
            priority: Some(priority),
            handle: None,
        };
        if program.terms.waits.contains(attachment) {
            program.terms.waits.insert(filter.clone());
        }
        program.terms.notes.insert(filter.clone(), INSTEAD.to_owned());
        *attachment = filter;
    }
}
