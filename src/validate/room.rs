//! Places with room for one: who has which, and whether another wants the same. An interface may be a
//! pattern, and so two that are not written alike can be one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use crate::model::pattern::{PHYSICAL, is_pattern, matches, overlap};
use crate::model::problem::Severity;

/// A place with room for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Room {
    /// What there is one of: `the one XDP link`.
    kind: String,
    /// The interface that has it, or a pattern for such.
    interface: Option<String>,
}

impl Room {
    /// One of an interface, or of those of a pattern.
    pub(super) fn of_interface(kind: impl Into<String>, interface: &str) -> Self {
        Self { kind: kind.into(), interface: Some(interface.to_owned()) }
    }

    /// One of anything else, described in full.
    pub(super) fn other(description: impl Into<String>) -> Self {
        Self { kind: description.into(), interface: None }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{} of `{interface}`", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

/// Why two want the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Clash {
    /// They are written alike.
    Same,
    /// One is a name, and the other a pattern that stands for it.
    Named {
        /// The interface.
        name: String,
        /// The pattern.
        pattern: String,
    },
    /// Both are patterns, and an interface can be of both.
    Perhaps {
        /// The pattern that was there.
        first: String,
        /// The other.
        second: String,
    },
}

impl Clash {
    /// Whether it need not come to pass.
    pub(super) fn is_possible_only(&self) -> bool {
        matches!(self, Self::Perhaps { .. })
    }

    /// That of a problem which says so.
    pub(super) fn severity(&self) -> Severity {
        if self.is_possible_only() { Severity::Warning } else { Severity::Error }
    }

    /// What both want.
    pub(super) fn described(&self, room: &Room) -> String {
        let kind = &room.kind;
        match self {
            Self::Same => room.to_string(),
            Self::Named { name, pattern } => {
                format!("{kind} of `{name}`, for which `{pattern}` stands, too")
            }
            Self::Perhaps { first, second } => {
                format!("{kind} of every interface for which both `{first}` and `{second}` stand")
            }
        }
    }

    /// What to do about it, where the patterns are to blame.
    pub(super) fn help(&self) -> Option<&'static str> {
        match self {
            Self::Same => None,
            Self::Named { .. } => Some(
                "a pattern stands for every interface of such a name, also for those that are named \
                 elsewhere; narrow it, as in `eth[1-9]*`",
            ),
            Self::Perhaps { .. } => Some(
                "as long as there is no such interface, both are attached; patterns of which no name \
                 can be both never meet",
            ),
        }
    }
}

/// How much is compared, in characters by characters: a thousand names with a thousand patterns, which
/// is more than anyone writes. Where a manifest has more, what is left of it is not held against each
/// other, since that would take minutes.
const COMPARED_MAX: usize = 1 << 26;
/// How many times dearer it is whether two patterns overlap.
const OVERLAP_COST: usize = 16;

/// Who has which place.
#[derive(Debug)]
pub(super) struct Rooms<H> {
    taken: BTreeMap<Room, H>,
    /// The patterns by the kind of the place.
    patterns: BTreeMap<String, Vec<String>>,
    /// How much of [`COMPARED_MAX`] is left.
    left: Cell<usize>,
}

impl<H> Default for Rooms<H> {
    fn default() -> Self {
        Self { taken: BTreeMap::new(), patterns: BTreeMap::new(), left: Cell::new(COMPARED_MAX) }
    }
}

impl<H> Rooms<H> {
    /// Who of those that `is_other` tells of wants the same, and why: the surest of all reasons.
    pub(super) fn clash(&self, room: &Room, is_other: impl Fn(&H) -> bool) -> Option<(Clash, &H)> {
        if let Some(holder) = self.taken.get(room) {
            return is_other(holder).then_some((Clash::Same, holder));
        }
        let interface = room.interface.as_deref().filter(|interface| *interface != PHYSICAL)?;
        if self.left.get() == 0 {
            return None;
        }
        let known = self.patterns.get(&room.kind).map(Vec::as_slice).unwrap_or_default();
        let holder = |interface: &String| {
            let room = Room { kind: room.kind.clone(), interface: Some(interface.clone()) };
            self.taken.get(&room).filter(|holder| is_other(holder))
        };
        if !is_pattern(interface) {
            let stands_for_it = |pattern: &&String| {
                self.afford(pattern, interface, 1) && matches(pattern, interface)
            };
            return known.iter().filter(stands_for_it).find_map(|pattern| {
                let clash = Clash::Named { name: interface.to_owned(), pattern: pattern.clone() };
                Some((clash, holder(pattern)?))
            });
        }
        let from = Room { kind: room.kind.clone(), interface: None };
        let of_kind = self.taken.range(from..).take_while(|(taken, _)| taken.kind == room.kind);
        let named = of_kind.filter(|(_, holder)| is_other(holder)).find_map(|(taken, holder)| {
            let name = taken.interface.as_ref().filter(|name| !is_pattern(name))?;
            let clash = Clash::Named { name: name.clone(), pattern: interface.to_owned() };
            (self.afford(interface, name, 1) && matches(interface, name)).then_some((clash, holder))
        });
        named.or_else(|| {
            let meets = |pattern: &&String| {
                self.afford(pattern, interface, OVERLAP_COST) && overlap(pattern, interface)
            };
            known.iter().filter(meets).find_map(|pattern| {
                let (first, second) = (pattern.clone(), interface.to_owned());
                Some((Clash::Perhaps { first, second }, holder(pattern)?))
            })
        })
    }

    /// Whether two may be compared still, at a cost for each pair of their characters.
    fn afford(&self, one: &str, other: &str, cost: usize) -> bool {
        let pairs = (one.len() + 1).saturating_mul(other.len() + 1);
        let left = self.left.get().checked_sub(pairs.saturating_mul(cost));
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Notes who has a place, unless somebody has just that.
    pub(super) fn take(&mut self, room: Room, holder: H) {
        if self.taken.contains_key(&room) {
            return;
        }
        let is_meant = |interface: &&String| is_pattern(interface) && *interface != PHYSICAL;
        if let Some(pattern) = room.interface.as_ref().filter(is_meant) {
            self.patterns.entry(room.kind.clone()).or_default().push(pattern.clone());
        }
        self.taken.insert(room, holder);
    }

    /// All that are taken.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Room, &H)> {
        self.taken.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clash(first: &str, second: &str) -> Option<Clash> {
        let mut rooms = Rooms::default();
        rooms.take(Room::of_interface("the one XDP link", first), "first");
        let second = Room::of_interface("the one XDP link", second);
        rooms.clash(&second, |_| true).map(|(clash, _)| clash)
    }

    #[test]
    fn a_pattern_meets_the_names_it_stands_for() {
        let named = Some(Clash::Named { name: "eth0".to_owned(), pattern: "eth*".to_owned() });
        assert_eq!(clash("eth0", "eth*"), named);
        assert_eq!(clash("eth*", "eth0"), named);
        assert_eq!(clash("eth0", "eth0"), Some(Clash::Same));
        assert_eq!(clash("eth*", "eth*"), Some(Clash::Same));
        assert_eq!(clash("eth*", "lo"), None);
        assert_eq!(clash("eth[1-9]", "eth0"), None);
    }

    #[test]
    fn two_patterns_meet_where_a_name_can_be_both() {
        let both = |first: &str, second: &str| {
            let (first, second) = (first.to_owned(), second.to_owned());
            Some(Clash::Perhaps { first, second })
        };
        assert_eq!(clash("eth*", "*0"), both("eth*", "*0"));
        assert_eq!(clash("eth*", "en*"), None);
        assert_eq!(clash(":physical", "eth*"), None, "who knows which are");
        assert_eq!(clash("eth0", ":physical"), None);
        assert_eq!(clash(":physical", ":physical"), Some(Clash::Same));
    }

    #[test]
    fn places_of_another_kind_and_of_the_same_owner_do_not_count() {
        let mut rooms = Rooms::default();
        rooms.take(Room::of_interface("the one XDP link", "eth0"), "first");
        assert!(rooms.clash(&Room::of_interface("the one filter", "eth*"), |_| true).is_none());
        let all = Room::of_interface("the one XDP link", "*");
        assert!(rooms.clash(&all, |owner| *owner != "first").is_none());
    }

    #[test]
    fn many_patterns_are_held_against_names() {
        let mut rooms = Rooms::default();
        let room = |interface: &str| Room::of_interface("the one XDP link", interface);
        rooms.take(room("eth0"), ());
        for index in 0..500 {
            rooms.take(room(&format!("p{index:03}*")), ());
        }
        let named = |name: &str, pattern: &str| {
            Some(Clash::Named { name: name.to_owned(), pattern: pattern.to_owned() })
        };
        let clash = |interface| rooms.clash(&room(interface), |()| true).map(|(clash, ())| clash);
        assert_eq!(clash("eth*"), named("eth0", "eth*"));
        assert_eq!(clash("p499x"), named("p499x", "p499*"));
        assert!(clash("p49*").is_some_and(|clash| clash.is_possible_only()));
    }

    #[test]
    fn a_flood_of_patterns_is_not_held_against_each_other() {
        let mut rooms = Rooms::default();
        for index in 0..5000 {
            let room = Room::of_interface("the one XDP link", &format!("a{index:04}*"));
            rooms.clash(&room, |()| false);
            rooms.take(room, ());
        }
        let last = Room::of_interface("the one XDP link", "a4999x");
        assert!(rooms.clash(&last, |()| true).is_none(), "too many to look at");
    }
}
