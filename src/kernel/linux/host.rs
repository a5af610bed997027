//! Facts about the host as a whole.

use std::fs::File;
use std::io::Read as _;
use std::ops::Deref;
use std::os::fd::AsFd as _;

use super::super::{KernelError, Result};
use super::sys::{self, Mapped};
use crate::model::host::HostFacts;

/// Reads what decides how map shapes are normalised.
pub(super) fn facts() -> Result<HostFacts> {
    const OPERATION: &str = "count the possible CPUs";
    let cpus = aya::util::nr_cpus()
        .map_err(|(path, error)| KernelError::reason(OPERATION, error.to_string()).at(path))?;
    let narrow = |number: usize| {
        u32::try_from(number).map_err(|error| KernelError::reason(OPERATION, error.to_string()))
    };
    Ok(HostFacts { possible_cpus: narrow(cpus)?, page_size: narrow(rustix::param::page_size())? })
}

/// Which boot this is.
pub(super) fn boot_id() -> Result<String> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    match std::fs::read_to_string(PATH) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(KernelError::reason("read the boot id", error.to_string()).at(PATH)),
    }
}

/// Inode of the calling thread's network namespace.
pub(super) fn network_namespace() -> Result<u64> {
    const PATH: &str = "/proc/thread-self/ns/net";
    match rustix::fs::stat(PATH) {
        Ok(stat) => Ok(stat.st_ino),
        Err(errno) => Err(KernelError::errno("look at the network namespace", errno).at(PATH)),
    }
}

/// Where the kernel shows its BTF.
pub(super) const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// The bytes of the kernel's BTF, some megabytes.
#[derive(Debug)]
pub(super) enum KernelBtf {
    Mapped(Mapped),
    Read(Vec<u8>),
}

impl Deref for KernelBtf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(bytes) => bytes,
            Self::Read(bytes) => bytes,
        }
    }
}

/// Maps the kernel's BTF, or reads it where the kernel does not let it be mapped.
pub(super) fn kernel_btf() -> Result<KernelBtf> {
    let bytes = File::open(KERNEL_BTF).and_then(|mut file| {
        if let Ok(mapped) = sys::map_kernel_btf(file.as_fd()) {
            return Ok(KernelBtf::Mapped(mapped));
        }
        let size = usize::try_from(file.metadata()?.len()).unwrap_or_default();
        let mut bytes = Vec::with_capacity(size + 1);
        file.read_to_end(&mut bytes)?;
        Ok(KernelBtf::Read(bytes))
    });
    bytes.map_err(|error| {
        KernelError::reason("read the kernel's BTF", error.to_string()).at(KERNEL_BTF).advice(
            "the object needs it (CO-RE, or programs attached by type); the kernel must be built \
             with CONFIG_DEBUG_INFO_BTF",
        )
    })
}
