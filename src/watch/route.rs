//! The way from `/` to a file: every directory entry that decides where the path leads.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel follows (`MAXSYMLINKS`).
const LINKS_MAX: usize = 40;

/// Calls `visit` with the directory and the name of every entry on the way, in order and before the
/// entry is looked at, so that a watch set there misses nothing. `visit` also learns whether the
/// entry is where the path, or a link on it, ends: the file itself, a last link, or what is missing
/// there.
///
/// Ends at the file, or at the first entry that is missing or leads nowhere. The directories are
/// free of links.
pub(super) fn follow(path: &Path, mut visit: impl FnMut(&Path, &OsStr, bool)) {
    let mut at = PathBuf::from("/");
    let mut ahead = Vec::new();
    push(&mut ahead, path);
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        visit(&at, &name, ahead.is_empty());
        at.push(&name);
        match fs::symlink_metadata(&at) {
            Ok(entry) if entry.is_dir() => {}
            Ok(entry) if entry.is_symlink() && links < LINKS_MAX => {
                links += 1;
                let Ok(target) = fs::read_link(&at) else { return };
                at = if target.is_absolute() { PathBuf::from("/") } else { parent(&at) };
                push(&mut ahead, &target);
            }
            _ => return,
        }
    }
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Puts the names of a path in front of what is ahead; the next one is the last of the list.
fn push(ahead: &mut Vec<OsString>, path: &Path) {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    ahead.extend(names);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The entries visited below `base`; a star marks where a path ends.
    fn visited(base: &Path, path: &str) -> Vec<String> {
        let mut all = Vec::new();
        follow(&base.join(path), |directory, name, last| {
            if let Ok(directory) = directory.strip_prefix(base) {
                let entry = directory.join(name).display().to_string();
                all.push(if last { format!("{entry}*") } else { entry });
            }
        });
        all
    }

    fn base() -> (tempfile::TempDir, PathBuf) {
        let temporary = tempfile::tempdir().expect("a directory");
        let real = temporary.path().canonicalize().expect("it exists");
        (temporary, real)
    }

    #[test]
    fn every_link_on_the_way_counts() {
        let (_temporary, base) = base();
        fs::create_dir_all(base.join("releases/1")).expect("directories");
        fs::write(base.join("releases/1/m"), "").expect("a file");
        symlink("releases/1", base.join("current")).expect("a link");
        symlink("../current/m", base.join("releases/link")).expect("a link");
        symlink(base.join("releases/link"), base.join("m")).expect("a link");
        let by_base = visited(&base, "m");
        assert_eq!(
            by_base,
            [
                "m*",
                "releases",
                "releases/link*",
                "current",
                "releases",
                "releases/1",
                "releases/1/m*"
            ]
        );
    }

    #[test]
    fn ends_at_the_first_thing_that_is_missing_and_at_a_circle() {
        let (_temporary, base) = base();
        assert_eq!(visited(&base, "a/b/m"), ["a"]);
        fs::create_dir(base.join("a")).expect("a directory");
        assert_eq!(visited(&base, "a/b/m"), ["a", "a/b"]);
        symlink("m", base.join("a/m")).expect("a link");
        assert_eq!(visited(&base, "a/m").len(), 1 + LINKS_MAX + 1);
    }
}
