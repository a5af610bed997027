//! The cgroup of a systemd unit, found by its name below the mounted cgroup2 hierarchy.
//!
//! systemd puts a unit into the directory of its slice, under its own name, and slices into each
//! other (systemd.slice(5)). What lies in the directory of a service or scope belongs to that one: a
//! user's own manager, or a container, which may have units of the same name.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

/// Where cgroup2 is mounted, the host's own mount first.
const DEFAULT_MOUNT: &str = "/sys/fs/cgroup";

/// Most directories that are looked into.
const SLICES_MAX: usize = 4096;

/// What came of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Search {
    Found(PathBuf),
    /// In words.
    Absent(String),
}

/// Looks for the cgroup of a unit.
pub(super) fn find(unit: &str) -> Search {
    let Some(mount) = mount() else {
        let reason = "no cgroup2 hierarchy is mounted (`mount -t cgroup2` shows where one is)";
        return Search::Absent(reason.to_owned());
    };
    find_below(&mount, unit)
}

/// Where the unit may appear.
pub(super) fn places(unit: &str) -> Vec<PathBuf> {
    let slices = mount().map(|mount| walk(&mount).slices).unwrap_or_default();
    slices.into_iter().map(|slice| slice.join(unit)).collect()
}

fn find_below(mount: &Path, unit: &str) -> Search {
    let Walk { slices, mut units } = walk(mount);
    if let Some(slice) = slices.iter().find(|slice| slice.join(unit).is_dir()) {
        return Search::Found(slice.join(unit));
    }
    let near = near(unit, &mut units);
    let known = if near.is_empty() {
        "`systemctl status UNIT` tells whether it runs".to_owned()
    } else {
        format!("running there: {}", near.join(", "))
    };
    Search::Absent(format!(
        "unit `{unit}` has no cgroup below {}, so it is not running; {known}",
        mount.display()
    ))
}

/// The slices below a mount and the units in them.
struct Walk {
    slices: Vec<PathBuf>,
    units: Vec<String>,
}

fn walk(mount: &Path) -> Walk {
    let mut found = Walk { slices: Vec::new(), units: Vec::new() };
    let mut open = VecDeque::from([mount.to_owned()]);
    while let Some(slice) = open.pop_front().filter(|_| found.slices.len() < SLICES_MAX) {
        let mut below: Vec<String> = fs::read_dir(&slice)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().filter(|entry| entry.path().is_dir()))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        below.sort();
        for name in below {
            if is_of(&name, &["slice"]) {
                open.push_back(slice.join(&name));
            }
            if is_of(&name, UNITS) {
                found.units.push(name);
            }
        }
        found.slices.push(slice);
    }
    found
}

/// The types of units that have cgroups.
const UNITS: &[&str] = &["service", "scope", "slice", "socket", "mount", "swap"];

fn is_of(name: &str, types: &[&str]) -> bool {
    name.rsplit_once('.').is_some_and(|(_, of)| types.contains(&of))
}

/// The units whose names have most to do with `unit`: a few, the nearest first.
fn near<'u>(unit: &str, units: &'u mut Vec<String>) -> Vec<&'u str> {
    const SHOWN: usize = 5;
    let stem = unit.split('.').next().unwrap_or(unit);
    let rank = |name: &String| {
        let common = name.bytes().zip(unit.bytes()).take_while(|(a, b)| a == b).count();
        let contains = !stem.is_empty() && name.contains(stem);
        (!contains, std::cmp::Reverse(common), name.clone())
    };
    units.sort_by_cached_key(rank);
    units.dedup();
    units.iter().take(SHOWN).map(String::as_str).collect()
}

/// The first mount of cgroup2, [`DEFAULT_MOUNT`] before others.
fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo").ok()?;
    let mut all: Vec<PathBuf> = mounts.lines().filter_map(cgroup2).collect();
    all.sort_by_key(|path| path != Path::new(DEFAULT_MOUNT));
    all.into_iter().next()
}

/// The mount point of a line of mountinfo (`proc_pid_mountinfo(5)`) that is of cgroup2.
fn cgroup2(line: &str) -> Option<PathBuf> {
    let (mount, source) = line.split_once(" - ")?;
    if source.split(' ').next()? != "cgroup2" {
        return None;
    }
    let point = mount.split(' ').nth(4)?;
    // Octal escapes stand for blanks, of which mounts of cgroups have none.
    (!point.contains('\\')).then(|| PathBuf::from(point))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(directories: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for directory in directories {
            fs::create_dir_all(root.path().join(directory)).expect("a directory");
        }
        root
    }

    #[test]
    fn a_unit_is_found_in_its_slice_and_not_in_what_belongs_to_a_service() {
        let root = tree(&[
            "init.scope",
            "system.slice/nginx.service",
            "system.slice/system-getty.slice/getty@tty1.service",
            "user.slice/user-1000.slice/user@1000.service/app.slice/editor.service",
        ]);
        let found = |unit: &str| find_below(root.path(), unit);
        let at = |path: &str| Search::Found(root.path().join(path));
        assert_eq!(found("nginx.service"), at("system.slice/nginx.service"));
        assert_eq!(found("init.scope"), at("init.scope"));
        assert_eq!(found("user-1000.slice"), at("user.slice/user-1000.slice"));
        let getty = "system.slice/system-getty.slice/getty@tty1.service";
        assert_eq!(found("getty@tty1.service"), at(getty));
        let Search::Absent(reason) = found("editor.service") else { panic!("it is a user's own") };
        assert!(reason.contains("not running"), "{reason}");
    }

    #[test]
    fn a_unit_that_is_absent_is_answered_with_those_of_like_names() {
        let root = tree(&["system.slice/a.service", "system.slice/nginx@one.service"]);
        let Search::Absent(reason) = find_below(root.path(), "nginx.service") else {
            panic!("there is none")
        };
        assert!(reason.contains("running there: nginx@one.service, a.service"), "{reason}");
    }

    #[test]
    fn mounts_of_cgroup2_are_told_from_others() {
        let v2 = "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(cgroup2(v2), Some(PathBuf::from("/sys/fs/cgroup")));
        assert_eq!(cgroup2("36 24 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"), None);
        assert_eq!(cgroup2(""), None);
    }
}
