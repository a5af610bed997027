//! A copy of the document without the nodes that have a problem, so that the types can read the
//! rest.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::path::{KeyPath, Segment};

/// Removes what lies at `dropped`. An element of a list is replaced by a stand-in, so that the
/// elements after it keep their positions; so is a missing key that the document needs.
pub(super) fn prune<'s>(
    mut root: Spanned<DeTable<'s>>,
    dropped: &[KeyPath],
) -> Spanned<DeTable<'s>> {
    for path in dropped {
        if let Some((end, above)) = path.segments().split_last() {
            remove(root.get_mut(), above, end);
        }
    }
    for (key, value) in [("version", "1"), ("name", "\"unnamed\"")] {
        if !root.get_ref().contains_key(key)
            && let Ok(value) = DeValue::parse(value)
        {
            root.get_mut().insert(Spanned::new(0..0, Cow::Borrowed(key)), value);
        }
    }
    root
}

fn remove(table: &mut DeTable<'_>, above: &[Segment], end: &Segment) {
    match (above.split_first(), end) {
        (None, Segment::Key(key)) => drop(table.remove(key.as_str())),
        (Some((Segment::Key(key), rest)), _) => {
            if let Some(value) = table.get_mut(key.as_str()) {
                remove_below(value.get_mut(), rest, end);
            }
        }
        _ => {}
    }
}

fn remove_below(value: &mut DeValue<'_>, above: &[Segment], end: &Segment) {
    match value {
        DeValue::Table(table) => remove(table, above, end),
        DeValue::Array(list) => {
            let (segment, rest) =
                above.split_first().map_or((end, None), |(s, rest)| (s, Some(rest)));
            let Segment::Index(index) = segment else { return };
            let Some(element) = list.get_mut(*index) else { return };
            match rest {
                Some(rest) => remove_below(element.get_mut(), rest, end),
                None => {
                    if let Ok(stand_in) = DeValue::parse("{ hook = \"section\" }") {
                        *element.get_mut() = stand_in.into_inner();
                    }
                }
            }
        }
        _ => {}
    }
}
