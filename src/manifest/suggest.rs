//! "Did you mean": the nearest of the names that would have been right.

/// Most names that a message lists.
const LISTED_MAX: usize = 12;

/// Most names that are compared; more are in no manifest or object a person wrote.
const COMPARED_MAX: usize = 1024;

/// The name nearest to `word`, if one is near enough to be what was meant: at most a third of the
/// word's characters away (Damerau–Levenshtein), or one of a word of two, case and `_` against `-` not
/// counted. Otherwise the one name that begins with the word.
#[must_use]
pub fn suggest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let typed = folded(word);
    let length = typed.chars().count();
    // With another letter, nothing is left of a word of one.
    let limit = (length / 3).max(usize::from(length > 1));
    let distance = |name: &str| {
        let name = folded(name);
        // The distance is at least the difference in length, and costs their product.
        if name.chars().count().abs_diff(length) > limit {
            return usize::MAX;
        }
        strsim::damerau_levenshtein(&typed, &name)
    };
    let names: Vec<&str> = names.into_iter().take(COMPARED_MAX).collect();
    let scored = names.iter().map(|name| (distance(name), *name));
    let near = scored.filter(|(far, _)| *far <= limit).min_by_key(|(far, _)| *far);
    let mut begun =
        names.iter().copied().filter(|name| length > 2 && folded(name).starts_with(&typed));
    match (near, begun.next(), begun.next()) {
        (Some((_, name)), ..) | (None, Some(name), None) => Some(name),
        _ => None,
    }
}

fn folded(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// The names for a message: `a`, `b`, `c` and 3 more.
#[must_use]
pub fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> =
        names.by_ref().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let keys = ["pin", "subpath", "max-entries", "on-mismatch"];
        assert_eq!(suggest("max_entries", keys), Some("max-entries"));
        assert_eq!(suggest("Max-Entrys", keys), Some("max-entries"));
        assert_eq!(suggest("pni", keys), Some("pin"));
        assert_eq!(suggest("pinning", keys), None);
        assert_eq!(suggest("max", keys), Some("max-entries"));
        assert_eq!(suggest("max", ["max-a", "max-b"]), None, "either could be meant");
        assert_eq!(suggest("ma", keys), None);
        assert_eq!(suggest("", keys), None);
        assert_eq!(suggest("x", ["A"]), None, "nothing in common");
        assert_eq!(suggest("a", ["A"]), Some("A"));
        assert_eq!(suggest("tx", ["rx"]), Some("rx"));
        assert_eq!(suggest(&"x".repeat(1_000_000), keys), None);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(listed(["a", "b"]), "`a`, `b`");
        let many: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert!(listed(many.iter().map(String::as_str)).ends_with("`11` and 8 more"));
    }
}
