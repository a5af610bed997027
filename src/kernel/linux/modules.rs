//! The BTF of kernel modules, read when something is in none of the kernel's own types.
//!
//! Their bytes lie open in `/sys/kernel/btf`. Only the descriptor that says which module an id belongs
//! to must be had by id, which needs `CAP_SYS_ADMIN`: so what adjusts to a module's types (CO-RE) does
//! without, and what names a function or variable of a module does not.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::io::Errno;

use super::sys::{self, Answer};
use crate::btf::Btf;
use crate::relocate::{Module, Modules};

/// Where the kernel shows the BTF of its modules, each under its name, and its own (Linux 5.11).
const DIRECTORY: &str = "/sys/kernel/btf";
/// The kernel's own in that directory.
const VMLINUX: &str = "vmlinux";
/// The modules that are loaded, the newest first.
const LOADED: &str = "/proc/modules";

/// The bytes of the modules' BTF, by name in the order in which the modules were loaded.
#[derive(Default)]
pub(super) struct ModuleFiles(OnceLock<Vec<(String, Vec<u8>)>>);

impl ModuleFiles {
    fn get(&self) -> &[(String, Vec<u8>)] {
        self.0.get_or_init(|| read(Path::new(DIRECTORY)))
    }
}

/// Reads all there is; a module that goes meanwhile is left out.
fn read(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name != VMLINUX).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let loaded = std::fs::read_to_string(LOADED).unwrap_or_default();
    let order = load_order(&loaded);
    names.sort_by_key(|name| {
        (order.get(name.as_str()).copied().unwrap_or(usize::MAX), name.clone())
    });
    let with_bytes = |name: String| {
        let bytes = std::fs::read(directory.join(&name)).ok()?;
        Some((name, bytes))
    };
    names.into_iter().filter_map(with_bytes).collect()
}

/// The place of each module of `/proc/modules` in the order of loading, which is the order of the ids
/// by which libbpf finds their BTF.
fn load_order(loaded: &str) -> BTreeMap<&str, usize> {
    loaded.lines().rev().filter_map(|line| line.split(' ').next()).zip(0..).collect()
}

/// The types of all modules, and descriptors of those that are needed.
pub(super) struct ModuleTypes<'k> {
    files: &'k ModuleFiles,
    kernel: &'k Btf<'k>,
    parsed: OnceLock<Vec<Module<'k>>>,
    /// By name. Kept until the programs that refer to them are loaded.
    descriptors: Mutex<BTreeMap<String, OwnedFd>>,
}

impl<'k> ModuleTypes<'k> {
    /// Those that continue the `kernel`'s own; reads nothing yet.
    pub(super) fn new(files: &'k ModuleFiles, kernel: &'k Btf<'k>) -> Self {
        Self { files, kernel, parsed: OnceLock::new(), descriptors: Mutex::default() }
    }

    fn parse(&self) -> Vec<Module<'k>> {
        let parse = |(name, bytes): &'k (String, Vec<u8>)| {
            let parsed = Btf::parse_split(bytes, self.kernel);
            match parsed {
                Ok(types) => Some(Module { name: name.clone(), types }),
                Err(error) => {
                    tracing::info!(module = name, %error, "the BTF of a kernel module is unreadable");
                    None
                }
            }
        };
        self.files.get().iter().filter_map(parse).collect()
    }
}

impl Modules for ModuleTypes<'_> {
    fn all(&self) -> &[Module<'_>] {
        self.parsed.get_or_init(|| self.parse())
    }

    fn descriptor(&self, module: &Module<'_>) -> Result<i32, String> {
        let mut descriptors = self.descriptors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = descriptors.get(&module.name) {
            return Ok(known.as_raw_fd());
        }
        let file = self.files.get().iter().find(|(name, _)| *name == module.name);
        let bytes = file.map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
        let fd = open(&module.name, bytes)?;
        let number = fd.as_raw_fd();
        descriptors.insert(module.name.clone(), fd);
        Ok(number)
    }
}

impl fmt::Debug for ModuleTypes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModuleTypes").finish_non_exhaustive()
    }
}

/// Opens the BTF of a module, and only if it is the one whose `bytes` were read (libbpf
/// `load_module_btfs`).
fn open(name: &str, bytes: &[u8]) -> Result<OwnedFd, String> {
    let refuse = |reason: String| Err(format!("it is in module `{name}`, whose BTF {reason}"));
    match find(name) {
        Ok(Some(fd)) if sys::btf_bytes(fd.as_fd()).as_deref() == Ok(bytes) => Ok(fd),
        Ok(Some(_)) => refuse("changed meanwhile: the module was loaded anew".to_owned()),
        Ok(None) => refuse("is gone: the module was unloaded meanwhile".to_owned()),
        Err(Errno::PERM) => refuse("can be opened with CAP_SYS_ADMIN only".to_owned()),
        Err(errno) => refuse(format!("cannot be opened: {errno}")),
    }
}

fn find(name: &str) -> Answer<Option<OwnedFd>> {
    let mut id = 0;
    while let Some(next) = sys::next_btf_id(id)? {
        id = next;
        let fd = match sys::open_btf(id) {
            // It went between the two calls.
            Err(Errno::NOENT) => continue,
            answer => answer?,
        };
        if sys::kernel_btf_name(fd.as_fd())?.as_deref() == Some(name) {
            return Ok(Some(fd));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_in_the_order_of_loading() {
        let loaded = "tun 65536 2 - Live 0x0\nveth 40960 0 - Live 0x0\n";
        assert_eq!(load_order(loaded), BTreeMap::from([("veth", 0), ("tun", 1)]));
        assert!(load_order("").is_empty());
    }

    #[test]
    fn what_is_no_directory_holds_no_modules() {
        assert!(read(Path::new("/nonexistent")).is_empty());
    }
}
