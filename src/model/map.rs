//! Maps as an object declares them, and the shape by which two maps are compared.

use serde::{Deserialize, Serialize};

use super::ctype::CType;
use super::host::HostFacts;
use super::kinds::MapType;

/// One map of an object: a definition in `.maps`, or a data section that becomes an array map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MapSpec {
    /// The full ELF name (`flows`), or the section's for a data section (`.rodata`).
    pub name: String,
    /// Where the definition comes from.
    pub origin: MapOrigin,
    /// The fields the kernel takes, as declared: before any normalisation.
    pub shape: MapShape,
    /// `numa_node`, if the definition has one.
    pub numa_node: Option<u32>,
    /// The `pinning` attribute's value as written; `None` when absent. 0 is `LIBBPF_PIN_NONE`, 1
    /// `LIBBPF_PIN_BY_NAME`; any other is invalid, and reported by the validator.
    pub pinning: Option<u32>,
    /// Type of the key, where the definition names one.
    pub key: Option<CType>,
    /// Type of the value, where the definition names one.
    pub value: Option<CType>,
    /// BTF type id of the key in the object's BTF; 0 for none.
    pub key_type_id: u32,
    /// BTF type id of the value in the object's BTF; 0 for none.
    pub value_type_id: u32,
    /// What the inner maps of a map-in-map look like.
    pub inner: Option<Box<MapSpec>>,
    /// Initialised slots of a prog array or map-in-map: index and the name of the program or map.
    /// For struct ops: index of the struct's member and the name of the program it points to.
    pub slots: Vec<(u32, String)>,
}

/// Where a [`MapSpec`] comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MapOrigin {
    /// A variable in `.maps`.
    Declared,
    /// A variable in `.maps`: the arena that holds the object's `__arena` variables. `contents` are
    /// their bytes.
    Arena {
        /// Initial contents.
        #[serde(skip)]
        contents: Vec<u8>,
    },
    /// A variable in `maps`, a `struct bpf_map_def` of before BTF, which libbpf 1.0 gave up.
    Legacy,
    /// A data section. `contents` are its bytes (zeroes for `.bss`).
    Section {
        /// What libbpf does with the section.
        kind: DataSection,
        /// Initial contents.
        #[serde(skip)]
        contents: Vec<u8>,
    },
    /// A variable in `.struct_ops` or `.struct_ops.link`; its type is the one named by
    /// [`MapSpec::value`], as the object knows it.
    StructOps {
        /// The kernel's struct: its type's name without a flavour.
        ops: String,
        /// The name in it, for structs that the kernel tells apart by one.
        name: Option<String>,
        /// `.struct_ops.link`: attached by a link (`BPF_F_LINK`).
        link: bool,
        /// `false` for a section with `?`: created only when the manifest names the map.
        autocreate: bool,
    },
}

/// The data sections libbpf turns into maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataSection {
    /// `.rodata`, `.rodata.*`: read-only to programs, frozen after it is filled.
    Rodata,
    /// `.data`, `.data.*`.
    Data,
    /// `.bss`, `.bss.*`.
    Bss,
}

/// The fields that make two maps interchangeable: those libbpf compares before it reuses a pin
/// (`map_is_reuse_compat` in libbpf's `src/libbpf.c`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapShape {
    /// Map type.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most entries; bytes for a ring buffer.
    pub max_entries: u32,
    /// `BPF_F_*` creation flags.
    pub map_flags: u32,
    /// Meaning depends on the type (hashes of a bloom filter, address of an arena).
    pub map_extra: u64,
}

impl MapShape {
    /// The shape the kernel is asked for, after what libbpf makes of a declaration: a perf event
    /// array without entries gets one a CPU (`map_set_def_max_entries`), and a ring buffer's size is
    /// rounded up to a power of two of whole pages (`adjust_ringbuf_sz`).
    #[must_use]
    pub fn normalised(mut self, host: &HostFacts) -> Self {
        match self.map_type {
            MapType::PERF_EVENT_ARRAY if self.max_entries == 0 => {
                self.max_entries = host.possible_cpus;
            }
            // A size of 0 stays, for the kernel to refuse; so does what would not fit.
            MapType::RINGBUF | MapType::USER_RINGBUF if self.max_entries != 0 => {
                let pages = self.max_entries.div_ceil(host.page_size.max(1));
                let size = pages
                    .checked_next_power_of_two()
                    .and_then(|pages| pages.checked_mul(host.page_size));
                self.max_entries = size.unwrap_or(self.max_entries);
            }
            _ => {}
        }
        self
    }
}

impl MapShape {
    /// The shape the kernel reports for a map that was asked for as [`normalised`](Self::normalised)
    /// says: an LRU map with lists of its own for each CPU has its entries rounded up to a multiple
    /// of the CPUs (`htab_map_alloc` in `kernel/bpf/hashtab.c`), and the flags that only limit the
    /// creator's descriptor are not kept (`bpf_map_flags_retain_permanent`).
    #[must_use]
    pub fn reported(self, host: &HostFacts) -> Self {
        const BPF_F_NO_COMMON_LRU: u32 = 1 << 1;
        const BPF_F_RDONLY: u32 = 1 << 3;
        const BPF_F_WRONLY: u32 = 1 << 4;
        let mut shape = self.normalised(host);
        let lru = matches!(shape.map_type, MapType::LRU_HASH | MapType::LRU_PERCPU_HASH);
        if lru && shape.map_flags & BPF_F_NO_COMMON_LRU != 0 {
            let rounded = shape.max_entries.checked_next_multiple_of(host.possible_cpus.max(1));
            shape.max_entries = rounded.unwrap_or(shape.max_entries);
        }
        shape.map_flags &= !(BPF_F_RDONLY | BPF_F_WRONLY);
        shape
    }
}

impl MapShape {
    /// Where in an arena of this shape the object's variables begin, if they have `size` bytes: as
    /// with libbpf at its end, so that no variable's address looks like NULL. `None` if they do not
    /// fit.
    ///
    /// Kernels that do not let an instruction reach beyond 512 MiB (`BPF_MAX_VAR_OFF`) would have
    /// them at the beginning of a larger arena, and so they are there in all.
    #[must_use]
    pub fn arena_variables(&self, size: u64, page_size: u32) -> Option<u32> {
        const BPF_MAX_VAR_OFF: u64 = 1 << 29;
        let length = u64::from(self.max_entries) * u64::from(page_size);
        let needed = size.checked_next_multiple_of(page_size.max(1).into())?;
        let end = length.checked_sub(needed)?;
        u32::try_from(if length <= BPF_MAX_VAR_OFF { end } else { 0 }).ok()
    }
}

impl MapSpec {
    /// The name the kernel is given for it, at most [`KERNEL_NAME_MAX`] bytes of letters, digits, `_`
    /// and `.`. A data section's begins with as much of `object`, the object's name, as there is
    /// room for (libbpf `internal_map_name`).
    #[must_use]
    pub fn kernel_name(&self, object: &str) -> String {
        match self.origin {
            MapOrigin::Section { .. } => section_map_name(object, &self.name),
            _ => legal(self.name.bytes()),
        }
    }

    /// Whether `.maps` asks for pinning by name (`__uint(pinning, LIBBPF_PIN_BY_NAME)`).
    #[must_use]
    pub fn declares_pinning(&self) -> bool {
        self.pinning == Some(1)
    }

    /// Whether this is a map that the object defines by itself, rather than one made of a section.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        matches!(self.origin, MapOrigin::Declared | MapOrigin::Arena { .. } | MapOrigin::Legacy)
    }
}

/// Longest name of a map or program in the kernel, in bytes (`BPF_OBJ_NAME_LEN` without its NUL).
pub const KERNEL_NAME_MAX: usize = 15;

/// The kernel's name of a map made of a section. Sections of the program's own (`.data.mine`) keep
/// their name; seven bytes are reserved for the others, though `.bss` has only four.
#[must_use]
pub fn section_map_name(object: &str, section: &str) -> String {
    let reserved = section.len().clamp(7, KERNEL_NAME_MAX);
    let own = section.get(1..).is_some_and(|rest| rest.contains('.'));
    let room = if own { 0 } else { KERNEL_NAME_MAX - reserved };
    legal(object.bytes().take(room).chain(section.bytes()))
}

/// Cut, and with `_` for what the kernel does not take (`bpf_obj_name_cpy` in
/// `kernel/bpf/syscall.c`).
fn legal(name: impl Iterator<Item = u8>) -> String {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    let place = |byte| if legal(byte) { char::from(byte) } else { '_' };
    name.take(KERNEL_NAME_MAX).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_changes_is_no_difference() {
        let host = HostFacts { possible_cpus: 4, page_size: 4096 };
        let shape = MapShape {
            map_type: MapType::LRU_HASH,
            key_size: 4,
            value_size: 4,
            max_entries: 1001,
            map_flags: 0b11010,
            map_extra: 0,
        };
        let reported = shape.reported(&host);
        assert_eq!((reported.max_entries, reported.map_flags), (1004, 0b10));
        let common = MapShape { map_flags: 0, ..shape };
        assert_eq!(common.reported(&host).max_entries, 1001);
    }

    fn entries(map_type: MapType, max_entries: u32) -> u32 {
        let host = HostFacts { possible_cpus: 6, page_size: 4096 };
        let shape = MapShape {
            map_type,
            key_size: 4,
            value_size: 4,
            max_entries,
            map_flags: 0,
            map_extra: 0,
        };
        shape.normalised(&host).max_entries
    }

    #[test]
    fn variables_of_an_arena_are_at_its_end() {
        let arena = |max_entries| MapShape {
            map_type: MapType::ARENA,
            key_size: 0,
            value_size: 0,
            max_entries,
            map_flags: 0,
            map_extra: 0,
        };
        assert_eq!(arena(10).arena_variables(8, 4096), Some(9 * 4096));
        assert_eq!(arena(10).arena_variables(4097, 4096), Some(8 * 4096));
        assert_eq!(arena(1).arena_variables(4097, 4096), None);
        assert_eq!(arena(1 << 20).arena_variables(8, 4096), Some(0));
    }

    #[test]
    fn perf_event_arrays_get_an_entry_a_cpu() {
        assert_eq!(entries(MapType::PERF_EVENT_ARRAY, 0), 6);
        assert_eq!(entries(MapType::PERF_EVENT_ARRAY, 3), 3);
        assert_eq!(entries(MapType::HASH, 0), 0);
    }

    #[test]
    fn data_sections_are_named_as_libbpf_names_them() {
        let names = [
            ("my_object_name", ".rodata", "my_objec.rodata"),
            ("my_object_name", ".bss", "my_objec.bss"),
            ("my_object_name", ".kconfig", "my_obje.kconfig"),
            ("my_object_name", ".rodata.abracadabra", ".rodata.abracad"),
            ("a-b", ".data", "a_b.data"),
            ("", ".data", ".data"),
        ];
        for (object, section, name) in names {
            assert_eq!(section_map_name(object, section), name);
        }
    }

    #[test]
    fn ring_buffers_are_rounded_up() {
        assert_eq!(entries(MapType::RINGBUF, 0), 0);
        assert_eq!(entries(MapType::RINGBUF, 1), 4096);
        assert_eq!(entries(MapType::RINGBUF, 4096), 4096);
        assert_eq!(entries(MapType::RINGBUF, 5000), 8192);
        assert_eq!(entries(MapType::USER_RINGBUF, 12288), 16384);
        assert_eq!(entries(MapType::RINGBUF, u32::MAX), u32::MAX);
        assert_eq!(entries(MapType::HASH, 5000), 5000);
    }
}
