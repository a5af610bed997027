//! Where a value stands in a manifest: the keys that lead to it.

use std::fmt;

/// Keys and list positions from the root to a value: `objects.fw.programs.drop.attach[0].mode`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(Vec<Segment>);

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Segment {
    /// Into a table.
    Key(String),
    /// Into a list, counted from 0.
    Index(usize),
}

impl KeyPath {
    /// The path of nested tables.
    #[must_use]
    pub fn of<'k>(keys: impl IntoIterator<Item = &'k str>) -> Self {
        Self(keys.into_iter().map(|key| Segment::Key(key.to_owned())).collect())
    }

    /// One key further.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// One list element further.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    fn with(&self, segment: Segment) -> Self {
        let mut path = self.clone();
        path.0.push(segment);
        path
    }

    /// This path and the paths of what contains it, innermost first, the root last.
    pub(super) fn with_ancestors(&self) -> impl Iterator<Item = Self> {
        (0..=self.0.len()).rev().map(|length| Self(self.0.iter().take(length).cloned().collect()))
    }

    /// The path of what contains this; `None` where that is the document.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        (!above.is_empty()).then(|| Self(above.to_vec()))
    }

    /// The path of another key of the same table.
    pub(super) fn sibling(&self, key: &str) -> Self {
        self.parent().unwrap_or_default().key(key)
    }

    pub(super) fn push(&mut self, segment: Segment) {
        self.0.push(segment);
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether this path leads to `other` or to something that contains it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    f.write_str(if at > 0 { "." } else { "" })?;
                    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    if !key.is_empty() && key.chars().all(bare) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_toml() {
        let path = KeyPath::of(["objects", "fw", "programs", "a.b", "attach"]).index(2).key("mode");
        assert_eq!(path.to_string(), "objects.fw.programs.\"a.b\".attach[2].mode");
        assert!(KeyPath::of(["objects"]).contains(&path));
        assert!(!path.contains(&KeyPath::of(["objects"])));
    }
}
