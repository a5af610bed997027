//! Which maps have entries that can be read, and written into another map, and which parts of their
//! values cannot.

use serde::{Deserialize, Serialize};

use super::ctype::CType;
use super::kinds::MapType;
use super::map::MapSpec;

/// How the entries of a map are told apart, and what a value is. Entries go from one map to another
/// only between maps of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// By any key.
    Hash,
    /// By any key, with a value for each CPU.
    PerCpuHash,
    /// By an index; all are there from the beginning.
    Array,
    /// By an index, with a value for each CPU.
    PerCpuArray,
    /// By a prefix. A lookup answers with the longest that matches, not only with the very one.
    Prefixes,
}

impl EntryKind {
    /// The kind of a map's entries; for a map whose entries cannot be carried over, why that is.
    pub fn of(map_type: MapType) -> Result<Self, &'static str> {
        Ok(match map_type {
            MapType::HASH | MapType::LRU_HASH | MapType::RHASH => Self::Hash,
            MapType::PERCPU_HASH | MapType::LRU_PERCPU_HASH => Self::PerCpuHash,
            MapType::ARRAY => Self::Array,
            MapType::PERCPU_ARRAY => Self::PerCpuArray,
            MapType::LPM_TRIE => Self::Prefixes,
            MapType::QUEUE | MapType::STACK => return Err("reading an entry takes it out"),
            MapType::BLOOM_FILTER => return Err("it does not say what was put in"),
            MapType::RINGBUF | MapType::USER_RINGBUF => {
                return Err("a reader takes its records out");
            }
            MapType::STACK_TRACE => return Err("the kernel gives out the ids of its entries"),
            MapType::ARENA => return Err("its memory may point into itself"),
            MapType::STRUCT_OPS => return Err("it holds operations, not entries"),
            MapType::CGROUP_STORAGE
            | MapType::PERCPU_CGROUP_STORAGE
            | MapType::SK_STORAGE
            | MapType::INODE_STORAGE
            | MapType::TASK_STORAGE
            | MapType::CGRP_STORAGE => return Err("its entries belong to what they are stored at"),
            MapType::PROG_ARRAY
            | MapType::PERF_EVENT_ARRAY
            | MapType::CGROUP_ARRAY
            | MapType::ARRAY_OF_MAPS
            | MapType::HASH_OF_MAPS
            | MapType::DEVMAP
            | MapType::DEVMAP_HASH
            | MapType::SOCKMAP
            | MapType::SOCKHASH
            | MapType::CPUMAP
            | MapType::XSKMAP
            | MapType::REUSEPORT_SOCKARRAY
            | MapType::INSN_ARRAY => {
                return Err(
                    "its entries stand for other objects of the kernel, which only whoever \
                            filled it can put in again",
                );
            }
            _ => return Err("this program does not know the type"),
        })
    }

    /// Whether a value is one for each CPU.
    #[must_use]
    pub fn is_per_cpu(self) -> bool {
        matches!(self, Self::PerCpuHash | Self::PerCpuArray)
    }

    /// Whether keys are indices, so that each entry is always there.
    #[must_use]
    pub fn is_indexed(self) -> bool {
        matches!(self, Self::Array | Self::PerCpuArray)
    }
}

impl MapSpec {
    /// The kind of the entries of such a map; why none can be carried over into it, if that is so.
    pub fn entry_kind(&self) -> Result<EntryKind, String> {
        const BPF_F_RDONLY: u32 = 1 << 3;
        const BPF_F_WRONLY: u32 = 1 << 4;
        let map_type = self.shape.map_type;
        let kind =
            EntryKind::of(map_type).map_err(|why| format!("its type is {map_type}: {why}"))?;
        if let Some(owned) = self.value.as_ref().and_then(CType::kernel_owned) {
            return Err(format!("its value has {owned}, which only the kernel can write"));
        }
        if self.shape.map_flags & (BPF_F_RDONLY | BPF_F_WRONLY) != 0 {
            return Err("its flags forbid user space to read or write it".to_owned());
        }
        Ok(kind)
    }
}

/// How entries get from one map into another of their kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The kind of both maps' entries.
    pub kind: EntryKind,
    /// How many bytes of an old value the new one begins with; the rest of it is zero.
    pub kept: u32,
    /// Whether values have a spin lock, under which they are read and written (`BPF_F_LOCK`).
    pub locked: bool,
}

impl CType {
    /// Whether values have a `struct bpf_spin_lock`.
    #[must_use]
    pub fn has_spin_lock(&self) -> bool {
        self.contains(&|name| name == "struct bpf_spin_lock")
    }

    /// What in a value only the kernel can write, so that it would be lost on the way to another map
    /// (`btf_get_field_type` in `kernel/bpf/btf.c`): a timer, a list, a kptr…
    #[must_use]
    pub fn kernel_owned(&self) -> Option<&'static str> {
        const OWNED: [(&str, &str); 9] = [
            ("struct bpf_res_spin_lock", "a `bpf_res_spin_lock`"),
            ("struct bpf_timer", "a `bpf_timer`"),
            ("struct bpf_wq", "a `bpf_wq`"),
            ("struct bpf_task_work", "a `bpf_task_work`"),
            ("struct bpf_list_head", "a `bpf_list_head`"),
            ("struct bpf_list_node", "a `bpf_list_node`"),
            ("struct bpf_rb_root", "a `bpf_rb_root`"),
            ("struct bpf_rb_node", "a `bpf_rb_node`"),
            ("struct bpf_refcount", "a `bpf_refcount`"),
        ];
        const POINTERS: [(&str, &str); 4] = [
            (" __kptr ", "a `__kptr`"),
            (" __kptr_untrusted ", "a `__kptr_untrusted`"),
            (" __percpu_kptr ", "a `__percpu_kptr`"),
            (" __uptr ", "a `__uptr`"),
        ];
        let typed = OWNED.iter().find(|(owned, _)| self.contains(&|name| name == *owned));
        let pointed = || POINTERS.iter().find(|(tag, _)| self.contains(&|name| name.contains(tag)));
        typed.or_else(pointed).map(|(_, text)| *text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_type_is_decided() {
        for (map_type, name) in MapType::KNOWN.iter().filter(|(known, _)| *known != MapType::UNSPEC)
        {
            let kind = EntryKind::of(*map_type);
            assert_ne!(kind, Err("this program does not know the type"), "{name}");
        }
        assert!(EntryKind::of(MapType(u32::MAX)).is_err());
    }
}
