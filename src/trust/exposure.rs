//! Who else can change a file, a directory or a link: the rule, and how to mend it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Something on the way to a file that others than root and the effective user can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The file, directory or symbolic link, with no link above it.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, the sticky bit among them.
    pub mode: u32,
    /// Its owner.
    pub owner: u32,
    /// Whether that owner is neither root nor the effective user.
    pub foreign: bool,
    /// Whether its group or others may write to it.
    pub writable: bool,
}

/// What was met on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
}

/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;
/// In such a directory only owners rename and remove entries.
const STICKY: u32 = 0o1000;

impl Exposure {
    /// Judges by owner and permission bits; `None` if nobody but root and `user` can change it.
    ///
    /// In a sticky directory that nobody else owns, such as `/tmp`, others can add entries but not
    /// replace ours; so it is fine where the entry is. An access list that lets someone write shows
    /// in the group's bits, which are its mask (acl(5)). A link has no permissions, only an owner.
    pub(super) fn of(path: &Path, kind: Kind, mode: u32, owner: u32, user: u32) -> Option<Self> {
        let foreign = owner != 0 && owner != user;
        let writable = match kind {
            Kind::Link => false,
            Kind::Directory if mode & STICKY != 0 && !foreign => false,
            Kind::Directory | Kind::File => mode & OTHERS_WRITE != 0,
        };
        let exposed = foreign || writable;
        exposed.then(|| Self { path: path.to_owned(), kind, mode, owner, foreign, writable })
    }

    /// The one command that mends it.
    #[must_use]
    pub fn mend(&self) -> String {
        let path = quoted(&self.path);
        match (self.foreign, self.writable) {
            (true, true) => format!("chown root {path} && chmod go-w {path}"),
            (true, false) if self.kind == Kind::Link => format!("chown -h root {path}"),
            (true, false) => format!("chown root {path}"),
            (false, _) => format!("chmod go-w {path}"),
        }
    }
}

/// Fits after "because".
impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, mode, owner, .. } = self;
        let path = self.path.display();
        match kind {
            Kind::File => write!(f, "{path}")?,
            Kind::Directory => write!(f, "directory {path}")?,
            Kind::Link => write!(f, "symbolic link {path}")?,
        }
        match (self.foreign, self.writable) {
            (true, true) => {
                write!(f, " belongs to uid {owner} and others may write to it (mode {mode:04o})")
            }
            (true, false) => write!(f, " belongs to uid {owner} (mode {mode:04o})"),
            (false, _) => {
                let who = match mode & OTHERS_WRITE {
                    0o020 => "its group",
                    0o002 => "everyone else",
                    _ => "its group and everyone else",
                };
                write!(f, " may be written to by {who} (mode {mode:04o}, owner uid {owner})")
            }
        }
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%~".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_and_mode_decide() {
        const ME: u32 = 1000;
        const OTHER: u32 = 1001;
        let (file, directory, link) = (Kind::File, Kind::Directory, Kind::Link);
        let table = [
            (file, 0o644, 0, None),
            (file, 0o600, ME, None),
            (file, 0o644, OTHER, Some((true, false))),
            (file, 0o664, 0, Some((false, true))),
            (file, 0o646, ME, Some((false, true))),
            (file, 0o666, OTHER, Some((true, true))),
            (file, 0o1666, 0, Some((false, true))),
            (directory, 0o755, 0, None),
            (directory, 0o755, ME, None),
            (directory, 0o755, OTHER, Some((true, false))),
            (directory, 0o775, 0, Some((false, true))),
            (directory, 0o777, ME, Some((false, true))),
            (directory, 0o1777, 0, None),
            (directory, 0o1777, ME, None),
            (directory, 0o1777, OTHER, Some((true, true))),
            (link, 0o777, 0, None),
            (link, 0o777, ME, None),
            (link, 0o777, OTHER, Some((true, false))),
        ];
        for (kind, mode, owner, wanted) in table {
            let found = Exposure::of(Path::new("/x"), kind, mode, owner, ME);
            let found = found.map(|exposure| (exposure.foreign, exposure.writable));
            assert_eq!(found, wanted, "{kind:?} {mode:o} of {owner}");
        }
    }

    #[test]
    fn it_says_who_may_and_how_to_mend_it() {
        let of = |path: &str, kind, mode, owner| {
            let exposure = Exposure::of(Path::new(path), kind, mode, owner, 0).expect("exposed");
            (exposure.to_string(), exposure.mend())
        };
        let (text, mend) = of("/etc/edge", Kind::Directory, 0o775, 0);
        assert_eq!(
            text,
            "directory /etc/edge may be written to by its group (mode 0775, owner uid 0)"
        );
        assert_eq!(mend, "chmod go-w /etc/edge");
        let (text, mend) = of("/etc/my edge.toml", Kind::File, 0o666, 7);
        assert_eq!(
            text,
            "/etc/my edge.toml belongs to uid 7 and others may write to it (mode 0666)"
        );
        assert_eq!(mend, "chown root '/etc/my edge.toml' && chmod go-w '/etc/my edge.toml'");
        assert_eq!(of("/a'b", Kind::Link, 0o777, 7).1, r"chown -h root '/a'\''b'");
    }
}
