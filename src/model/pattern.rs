//! Patterns for the names of interfaces.

use serde::Serialize;

/// Stands for every physical interface. No interface has a colon in its name (`dev_valid_name` in the
/// kernel's `net/core/dev.c`).
pub const PHYSICAL: &str = ":physical";

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Whether there is a device behind it, and not only the kernel.
    pub physical: bool,
}

/// Whether `text` stands for several names instead of being one.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    text == PHYSICAL || text.contains(['*', '?', '['])
}

/// Whether `pattern` stands for `interface`.
#[must_use]
pub fn stands_for(pattern: &str, interface: &Interface) -> bool {
    if pattern == PHYSICAL { interface.physical } else { matches(pattern, &interface.name) }
}

/// Whether `name` is one of those that `pattern` describes as glob(7) does: `*`, `?`, `[a-c]` and
/// `[!a-c]`. A bracket that is never closed stands for itself.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on if the last star stands for one more character.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, n));
                p += 1;
                continue;
            }
            Some(_) => one(&pattern[p..], name[n]),
            None => None,
        };
        if let Some(length) = step {
            (p, n) = (p + length, n + 1);
        } else if let Some((after, taken)) = star {
            star = Some((after, taken + 1));
            (p, n) = (after, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// Bytes of the longest name of an interface (`IFNAMSIZ`, without its NUL).
const NAME_MAX: usize = 15;

/// The length of a text that there is none of.
const NONE: usize = usize::MAX;

/// Whether an interface can have a name that both patterns describe.
#[must_use]
pub fn overlap(one: &str, other: &str) -> bool {
    let is_plain = |c: char| !matches!(c, '*' | '?' | '[');
    let mut both = one.chars().zip(other.chars()).take_while(|(a, b)| is_plain(*a) && is_plain(*b));
    if both.any(|(a, b)| a != b) {
        return false;
    }
    let (Some(one), Some(other)) = (parts(one), parts(other)) else { return false };
    // The shortest text that the parts from there on have in common, from the end of both.
    let mut common = vec![vec![NONE; other.len() + 1]; one.len() + 1];
    for a in (0..=one.len()).rev() {
        for b in (0..=other.len()).rev() {
            let at = |a: usize, b: usize| common[a][b];
            common[a][b] = match (one.get(a), other.get(b)) {
                (None, None) => 0,
                (Some(Part::Star), Some(Part::Star)) => at(a + 1, b).min(at(a, b + 1)),
                (Some(Part::Star), Some(Part::One(_))) => {
                    at(a + 1, b).min(at(a, b + 1).saturating_add(1))
                }
                (Some(Part::One(_)), Some(Part::Star)) => {
                    at(a, b + 1).min(at(a + 1, b).saturating_add(1))
                }
                (Some(Part::Star), None) => at(a + 1, b),
                (None, Some(Part::Star)) => at(a, b + 1),
                (Some(Part::One(left)), Some(Part::One(right))) if left & right != 0 => {
                    at(a + 1, b + 1).saturating_add(1)
                }
                _ => NONE,
            };
        }
    }
    common[0][0] <= NAME_MAX
}

/// A part of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Star,
    /// One of these characters of ASCII, by their bits; the lowest bit stands for all others.
    One(u128),
}

/// The parts of a pattern; `None` if no name is as long as it must be.
fn parts(pattern: &str) -> Option<Vec<Part>> {
    let is_ascii = pattern.is_ascii();
    let pattern: Vec<char> = pattern.chars().collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        if pattern[at] == '*' {
            if parts.last() != Some(&Part::Star) {
                parts.push(Part::Star);
            }
            at += 1;
            continue;
        }
        // NUL is in no name, and U+FFFD as good as any other character beyond ASCII.
        let chars = (1..128_u8).map(|c| (char::from(c), u32::from(c)));
        let mut bits = 0;
        let mut length = 1;
        for (c, bit) in chars.chain([(beyond_ascii(&pattern[at..]), 0)]) {
            if let Some(taken) = self::one(&pattern[at..], c) {
                bits |= 1 << bit;
                length = taken;
            }
        }
        // A range that goes downwards; which others there are in a bracket is not known here.
        if bits == 0 && is_ascii {
            return None;
        }
        parts.push(Part::One(bits));
        at += length;
    }
    let least = parts.iter().filter(|part| **part != Part::Star).count();
    (least <= NAME_MAX).then_some(parts)
}

/// A character beyond ASCII for the first part to be tried with: the one that it is, if any.
fn beyond_ascii(pattern: &[char]) -> char {
    let first = pattern.first().copied().unwrap_or_default();
    if first.is_ascii() { '\u{fffd}' } else { first }
}

/// How much of the pattern stands for one character, if its beginning stands for this one.
fn one(pattern: &[char], name: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['[', rest @ ..] => {
            let negated = matches!(rest.first(), Some('!' | '^'));
            let set = &rest[usize::from(negated)..];
            // A bracket right at the beginning is one of the set.
            let Some(end) = set.iter().skip(1).position(|c| *c == ']').map(|at| at + 1) else {
                return (name == '[').then_some(1);
            };
            let set = &set[..end];
            let mut found = false;
            let mut at = 0;
            while at < set.len() {
                if let [low, '-', high, ..] = set[at..] {
                    found |= (low..=high).contains(&name);
                    at += 3;
                } else {
                    found |= set[at] == name;
                    at += 1;
                }
            }
            (found != negated).then_some(1 + usize::from(negated) + end + 1)
        }
        [literal, ..] => (*literal == name).then_some(1),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_the_shell() {
        for (pattern, yes, no) in [
            ("eth*", &["eth", "eth0", "eth10"][..], &["et", "veth0", "Eth0"][..]),
            ("*", &["", "lo"], &[]),
            ("en?s*", &["enps0", "en1s"], &["ens0", "enp"]),
            ("eth[0-2]", &["eth0", "eth2"], &["eth3", "eth", "eth01"]),
            ("eth[!0-2]", &["eth3", "ethx"], &["eth0", "eth"]),
            ("[ab]*c", &["ac", "bxxc", "bcc"], &["cc", "ab"]),
            ("*a*b*", &["ab", "xaxbx"], &["ba", ""]),
            ("[", &["["], &["a"]),
            ("[]x]", &["]", "x"], &["["]),
            ("lo", &["lo"], &["lo0"]),
        ] {
            for name in yes {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in no {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn patterns_overlap_where_a_name_is_of_both() {
        for (one, other, both) in [
            ("eth*", "eth0", true),
            ("eth*", "*", true),
            ("eth*", "*0", true),
            ("*a*b", "b*a", false),
            ("*a*b", "b*a*", true),
            ("en*", "eth*", false),
            ("e?h*", "et*", true),
            ("eth?", "eth", false),
            ("eth[0-4]", "eth[4-9]", true),
            ("eth[0-4]", "eth[5-9]", false),
            ("eth[!0-9]", "eth[0-9]", false),
            ("eth[0-9]*", "eth[!0-9]*", false),
            ("[", "[*", true),
            ("*", "*", true),
            ("?????????*", "*??????", true),
            ("abcdefgh*", "*ijklmno", true),
            ("abcdefgh*", "*ijklmnop", false),
            ("????????????????", "*", false),
            ("ä*", "ä", true),
            ("eth0.*", "eth*.100", true),
        ] {
            assert_eq!(overlap(one, other), both, "{one} {other}");
            assert_eq!(overlap(other, one), both, "{other} {one}");
        }
    }

    #[test]
    fn only_devices_are_physical() {
        let interface = |physical| Interface { name: "eth0".to_owned(), physical };
        assert!(stands_for(PHYSICAL, &interface(true)) && !stands_for(PHYSICAL, &interface(false)));
        assert!(stands_for("eth?", &interface(false)));
        assert!(is_pattern(PHYSICAL) && is_pattern("eth*") && !is_pattern("eth0.100"));
    }
}
