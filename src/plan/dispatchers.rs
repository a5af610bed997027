//! XDP programs that a dispatcher of libxdp calls: put beside those of others, called in another way, or
//! taken away.
//!
//! A dispatcher keeps its own pins, which everyone reads who speaks the protocol. So what runs there tells
//! what of it is ours, whatever the record says, and all changes of one interface are one step.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::address::Address;
use crate::model::attach::{Attachment, XdpMode};
use crate::model::dispatch::{LiveDispatcher, PROGRAMS_MAX};
use crate::model::inventory::{Anchor, LinkRecord, Resource};
use crate::model::live::LiveObject;

use super::draft::{Draft, Phase};
use super::links::Wanted;
use super::prune::Mode;
use super::{Action, Change, Dispatch, Member, Slot, Step};

/// What a run has a dispatcher call.
#[derive(Clone, Debug)]
pub(super) struct Called {
    interface: String,
    mode: XdpMode,
    add: Vec<(Address, Member)>,
    /// Kernel ids of programs that are called as they shall be.
    kept: BTreeSet<u32>,
}

/// What the manifest says of an attachment that is shared.
struct Shared<'d> {
    interface: &'d str,
    mode: XdpMode,
}

impl Wanted<'_> {
    pub(super) fn plan_shared(self, target: u64, draft: &mut Draft<'_>) {
        let Attachment::XdpShared { interface, mode, run } = self.attachment else { return };
        let wanted = Shared { interface, mode: *mode };
        let index = u32::try_from(target).unwrap_or_default();
        if let Some(LiveObject::Link(_)) = draft.live.pins.get(&self.pin) {
            let reason = "it is attached alone, by a link, and a dispatcher takes its place only where \
                          nothing is: take it out of the manifest, apply, and put it in again";
            return draft.refuse(self.address, reason);
        }
        let live = draft.live.dispatchers.get(&index).filter(|live| live.program_id != 0);
        if let Some(reason) = live.and_then(|live| wanted.other_mode(live)) {
            return draft.refuse(self.address, reason);
        }
        let own = match &self.program.slot {
            Slot::Live(pin) => draft.identity_at(pin).map(|identity| identity.id),
            _ => None,
        };
        let frags = self.takes_frags();
        let there = own.and_then(|id| live?.member(id));
        let (action, reason) = match there {
            Some(member) if member.run == *run && member.frags == frags => {
                (Action::NoOp, "called as declared".to_owned())
            }
            Some(member) => {
                let reason = format!(
                    "{} → {}: another dispatcher takes over, in one step",
                    member.run.describe(),
                    run.describe()
                );
                (Action::Update, reason)
            }
            None => self.joins(live, draft),
        };
        let (name, mode) = (wanted.interface.to_owned(), wanted.mode);
        let called = draft.called.entry(index).or_insert_with(|| Called::new(name.clone(), mode));
        if let Some(id) = own.filter(|_| action == Action::NoOp) {
            called.kept.insert(id);
        } else {
            let member = Member { program: self.program.slot.clone(), run: run.clone(), frags };
            called.add.push((self.address.clone(), member));
            self.hold_program(draft);
        }
        draft.change(Change::new(self.address.clone(), action, self.noted(&reason)));
        let record = LinkRecord {
            id: 0,
            program: self.program_address.clone(),
            attachment: Some(self.attachment.clone()),
            anchor: Anchor::Dispatcher { interface: name, index },
            public: None,
        };
        draft.after.resources.insert(self.address, Resource::Link(record));
    }

    /// Why it is put beside what is called already.
    fn joins(&self, live: Option<&LiveDispatcher>, draft: &Draft<'_>) -> (Action, String) {
        let record = draft.inventory().link(&self.address);
        let before = record.and_then(|record| draft.inventory().program(&record.program));
        if before.is_some_and(|before| live.is_some_and(|live| live.member(before.id).is_some())) {
            let reason = "its program changed: another dispatcher takes over, in one step";
            return (Action::Update, reason.to_owned());
        }
        let reason = match (record, live) {
            (Some(_), _) => "no dispatcher calls it any more".to_owned(),
            (None, None) => "not attached yet: a dispatcher comes with it".to_owned(),
            (None, Some(live)) => {
                let s = if live.members.len() == 1 { "" } else { "s" };
                format!("not attached yet: joins {} program{s} there", live.members.len())
            }
        };
        (Action::Create, reason)
    }

    /// Why a program cannot have an interface for itself that programs of this deployment share.
    pub(super) fn shared_instead(&self, target: u64, draft: &Draft<'_>) -> Option<&'static str> {
        let index = u32::try_from(target).unwrap_or_default();
        let live = draft.live.dispatchers.get(&index)?;
        let ours = live.members.iter().any(|member| draft.known.has_program(member.program_id));
        (ours && matches!(self.attachment, Attachment::Xdp { .. })).then_some(
            "a dispatcher calls programs of this deployment there, and a program that is alone takes its \
             place only where nothing is: take them out of the manifest, apply, and put this one in",
        )
    }
}

impl Shared<'_> {
    /// Why a dispatcher that is there does not do.
    fn other_mode(&self, live: &LiveDispatcher) -> Option<String> {
        let differs = ![self.mode, live.mode].contains(&XdpMode::Auto) && self.mode != live.mode;
        differs.then(|| {
            let [wanted, there] = [self.mode, live.mode].map(XdpMode::as_str);
            format!(
                "the dispatcher of {} runs in mode `{there}`, and the manifest says `{wanted}`: write \
                 `mode = \"{there}\"`, or leave it out; or end all that it calls first",
                self.interface
            )
        })
    }
}

impl Called {
    fn new(interface: String, mode: XdpMode) -> Self {
        Self { interface, mode, add: Vec::new(), kept: BTreeSet::new() }
    }
}

/// Says what becomes of an attachment that leaves.
pub(super) fn prune(
    address: &Address,
    index: u32,
    program: &Address,
    mode: Mode,
    draft: &mut Draft<'_>,
) {
    let live = draft.live.dispatchers.get(&index);
    let is_called = draft
        .inventory()
        .program(program)
        .is_some_and(|program| live.is_some_and(|live| live.member(program.id).is_some()));
    let reason = if is_called { mode.reason() } else { "already gone" };
    draft.change(Change::new(address.clone(), Action::Delete, reason));
}

/// Makes one step of all that changes on an interface: what is wanted is called, and of what is called
/// and ours, nothing else.
pub(super) fn settle(draft: &mut Draft<'_>) {
    let called: BTreeMap<u32, Called> = std::mem::take(&mut draft.called);
    let indices: BTreeSet<u32> =
        draft.live.dispatchers.keys().chain(called.keys()).copied().collect();
    for index in indices {
        let called = called.get(&index);
        let live = draft.live.dispatchers.get(&index);
        let members = live.map(|live| live.members.as_slice()).unwrap_or_default();
        let leaving = members.iter().filter(|member| {
            draft.known.has_program(member.program_id)
                && !called.is_some_and(|called| called.kept.contains(&member.program_id))
        });
        let leaving: Vec<_> = leaving.cloned().collect();
        let add = called.map(|called| called.add.as_slice()).unwrap_or_default();
        if let Some((address, _)) = add
            .get((PROGRAMS_MAX + leaving.len()).saturating_sub(members.len())..)
            .and_then(<[_]>::first)
        {
            let reason = format!("a dispatcher calls at most {PROGRAMS_MAX} programs");
            draft.refuse(address.clone(), reason);
            continue;
        }
        let sweep = live.map(|live| stale(live, draft)).unwrap_or_default();
        if add.is_empty() && leaving.is_empty() && sweep.is_empty() {
            continue;
        }
        let mut remove = Vec::new();
        for member in leaving {
            let id = member.program_id;
            // Where none of our pins is left, the dispatcher's keep it.
            let program = draft.open_program(id).unwrap_or_else(|| draft.open_foreign(id));
            remove.push(Member { program, run: member.run, frags: member.frags });
        }
        let mode = match (called, live) {
            (Some(called), _) if !add.is_empty() => called.mode,
            (_, Some(live)) => live.mode,
            _ => XdpMode::Auto,
        };
        let interface = called.map(|called| &called.interface).or(live.map(|live| &live.interface));
        let change = Dispatch {
            interface: interface.cloned().unwrap_or_default(),
            index,
            mode,
            add: add.iter().map(|(_, member)| member.clone()).collect(),
            remove,
            sweep,
        };
        draft.step(Phase::Links, Step::Dispatch(change));
    }
}

/// Dispatchers that a run of ours which was cut short has left, and that can never run again.
///
/// One that was loaded before what runs now cannot be put in its place by whoever is building it, since
/// that one expects another. Where nothing runs, only what calls nothing but ours is taken.
fn stale(live: &LiveDispatcher, draft: &Draft<'_>) -> BTreeSet<u32> {
    let ours = |id: &u32| draft.known.has_program(*id);
    let is_stale = |(id, programs): &(&u32, &BTreeSet<u32>)| match live.program_id {
        0 => !programs.is_empty() && programs.iter().all(ours),
        runs => **id < runs && programs.iter().any(ours),
    };
    live.leftovers.iter().filter(is_stale).map(|(id, _)| *id).collect()
}
