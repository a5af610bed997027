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
    fn only_devices_are_physical() {
        let interface = |physical| Interface { name: "eth0".to_owned(), physical };
        assert!(stands_for(PHYSICAL, &interface(true)) && !stands_for(PHYSICAL, &interface(false)));
        assert!(stands_for("eth?", &interface(false)));
        assert!(is_pattern(PHYSICAL) && is_pattern("eth*") && !is_pattern("eth0.100"));
    }
}
