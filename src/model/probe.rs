//! Places where programs watch functions and events: what a manifest names, without a kernel.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Functions of a program or library, or instructions in them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserProbe {
    /// The file: a path, or the name of a library or program.
    pub target: String,
    /// The functions: names, or one pattern with `*` and `?`.
    pub symbols: Vec<String>,
    /// Distance from a function's beginning, in bytes.
    pub offset: u64,
    /// Only in this process.
    pub pid: Option<u32>,
    /// What `bpf_get_attach_cookie` returns.
    pub cookie: Option<u64>,
    /// Inode of the file that is meant on this host: another one, after an update, is another place.
    pub inode: Option<u64>,
}

/// A statically defined probe of a program or library.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Usdt {
    /// The file: a path, or the name of a library or program.
    pub target: String,
    /// The probe's provider.
    pub provider: String,
    /// The probe's name.
    pub name: String,
    /// Only in this process.
    pub pid: Option<u32>,
    /// What `bpf_usdt_cookie` returns.
    pub cookie: Option<u64>,
    /// As in [`UserProbe::inode`].
    pub inode: Option<u64>,
    /// Which of the places in the code that have the probe; `None` for all of them by one link.
    pub site: Option<usize>,
    /// Where its instruction is in memory, on a kernel without cookies: by that, a program finds the
    /// arguments there. Empty where it has a cookie.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<u64>,
}

/// A kernel function, by its BTF.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KernelFunction {
    /// Its name, or that of a security hook; `module:name` for one of a module.
    pub function: String,
    /// What `bpf_get_attach_cookie` returns.
    pub cookie: Option<u64>,
}

/// Functions of the kernel, or instructions in them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KernelProbe {
    /// The functions: names, or one pattern with `*` and `?`.
    pub functions: Vec<String>,
    /// Distance from a function's beginning, in bytes.
    pub offset: u64,
    /// What `bpf_get_attach_cookie` returns.
    pub cookie: Option<u64>,
}

/// A counter that runs a program once in so many events.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PerfEvent {
    /// What is counted.
    pub event: Event,
    /// When the program runs.
    pub sample: Sample,
    /// Only on this CPU; `None` for all, which takes one link each, or where there is a process.
    pub cpu: Option<u32>,
    /// Only for this process.
    pub pid: Option<u32>,
    /// What `bpf_get_attach_cookie` returns.
    pub cookie: Option<u64>,
}

/// What a performance counter counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// One of [`HARDWARE`].
    Hardware(String),
    /// One of [`SOFTWARE`].
    Software(String),
    /// A number the processor's manual explains.
    Raw(u64),
}

/// When a counter runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sample {
    /// Once in so many events.
    Period(u64),
    /// So many times a second.
    Frequency(u64),
}

/// An iterator over objects of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Iter {
    /// What the program goes over, as its section says: `task`, `bpf_map_elem`.
    pub over: String,
    /// The one it is about, if not all.
    pub only: Option<Only>,
}

/// What an iterator is limited to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    /// The entries of a map of the manifest.
    Map {
        /// The map's object.
        object: String,
        /// Its name.
        map: String,
    },
    /// A cgroup and those below it.
    Cgroup(PathBuf),
    /// A task, by its thread id.
    Task(u32),
}

/// Hardware events with their numbers (`enum perf_hw_id` of `include/uapi/linux/perf_event.h`), named
/// as perf(1) does.
pub const HARDWARE: &[(&str, u64)] = &[
    ("cpu-cycles", 0),
    ("instructions", 1),
    ("cache-references", 2),
    ("cache-misses", 3),
    ("branch-instructions", 4),
    ("branch-misses", 5),
    ("bus-cycles", 6),
    ("stalled-cycles-frontend", 7),
    ("stalled-cycles-backend", 8),
    ("ref-cycles", 9),
];

/// Software events with their numbers (`enum perf_sw_ids`), named as perf(1) does.
pub const SOFTWARE: &[(&str, u64)] = &[
    ("cpu-clock", 0),
    ("task-clock", 1),
    ("page-faults", 2),
    ("context-switches", 3),
    ("cpu-migrations", 4),
    ("minor-faults", 5),
    ("major-faults", 6),
    ("alignment-faults", 7),
    ("emulation-faults", 8),
    ("cgroup-switches", 11),
];

/// The map of `usdt.bpf.h` that says where the arguments of probes are.
pub const USDT_SPECS: &str = "__bpf_usdt_specs";

/// The map of `usdt.bpf.h` that says by the address of an instruction which probe it is of: the way of
/// kernels without cookies.
pub const USDT_ADDRESSES: &str = "__bpf_usdt_ip_to_spec_id";

/// Whether a target is a library, by its name (libbpf `resolve_full_path`).
#[must_use]
pub fn is_library(target: &str) -> bool {
    target.strip_suffix(".so").is_some_and(|name| !name.is_empty()) || target.contains(".so.")
}

/// Whether a name is a pattern.
#[must_use]
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether `name` is of a pattern in which `*` stands for any text and `?` for any character
/// (libbpf `glob_match`).
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut from) = (0, 0);
    // The last `*` with the place from which it takes one character more when the rest fails.
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(one) if *one == '?' || name.get(from) == Some(one) => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((back, taken)) = star else { return false };
                star = Some((back, taken + 1));
                (at, from) = (back + 1, taken + 1);
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == '*')
}

/// Whether functions are to be looked up, or are several: a probe of more than one place.
fn several(names: &[String]) -> bool {
    names.len() > 1 || names.iter().any(|name| is_pattern(name))
}

/// The functions as one text, with the distance from their beginning.
fn spot(names: &[String], offset: u64) -> String {
    match offset {
        0 => names.join(","),
        offset => format!("{}+{offset:#x}", names.join(",")),
    }
}

fn process(pid: Option<u32>) -> Option<String> {
    pid.map(|pid| format!("pid={pid}"))
}

impl UserProbe {
    /// Whether it is of more than one function, or of those of a pattern.
    #[must_use]
    pub fn is_several(&self) -> bool {
        several(&self.symbols)
    }

    pub(super) fn place(&self) -> Vec<String> {
        let place = [self.target.clone(), spot(&self.symbols, self.offset)];
        place.into_iter().chain(process(self.pid)).collect()
    }
}

impl Usdt {
    pub(super) fn place(&self) -> Vec<String> {
        let place = [self.target.clone(), self.provider.clone(), self.name.clone()];
        let site = self.site.map(|site| format!("site={site}"));
        place.into_iter().chain(process(self.pid)).chain(site).collect()
    }
}

impl KernelProbe {
    /// Whether it is of more than one function, or of those of a pattern.
    #[must_use]
    pub fn is_several(&self) -> bool {
        several(&self.functions)
    }

    pub(super) fn place(&self) -> Vec<String> {
        vec![spot(&self.functions, self.offset)]
    }
}

impl PerfEvent {
    pub(super) fn place(&self) -> Vec<String> {
        let cpu = self.cpu.map(|cpu| format!("cpu={cpu}"));
        std::iter::once(self.event.to_string()).chain(cpu).chain(process(self.pid)).collect()
    }
}

impl Iter {
    pub(super) fn place(&self) -> Vec<String> {
        let only = self.only.as_ref().map(|only| match only {
            Only::Map { object, map } => format!("{object}.{map}"),
            Only::Cgroup(path) => path.display().to_string(),
            Only::Task(task) => format!("task={task}"),
        });
        std::iter::once(self.over.clone()).chain(only).collect()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hardware(name) | Self::Software(name) => f.write_str(name),
            Self::Raw(number) => write!(f, "raw={number:#x}"),
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Period(events) => write!(f, "period {events}"),
            Self::Frequency(times) => write!(f, "frequency {times}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name) in [
            ("malloc", "malloc"),
            ("*", ""),
            ("mall*", "malloc"),
            ("*_alloc_*", "slab_alloc_node"),
            ("*a*b", "aabab"),
            ("m?lloc", "malloc"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("mall", "malloc"), ("m?", "m"), ("*ab", "aba"), ("", "a")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
