//! Maps, programs and links: what they are made from, and what is said of them.

use std::collections::{BTreeMap, BTreeSet};

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::operations::OperationsState;
use super::state::{FACTS, State};
use crate::model::ctype::CType;
use crate::model::digest::Digest;
use crate::model::identity::{Identity, ObjectKind};
use crate::model::kinds::{AttachType, LinkType, MapType, ProgramType};
use crate::model::live::{LinkTarget, LiveLink, LiveMap, LiveObject, LiveProgram};
use crate::model::map::{DataSection, MapOrigin, MapShape, MapSpec};
use crate::model::program::ProgramSpec;
use crate::model::socket_hook::holds_sockets;
use crate::object::Image;

/// Bytes of a name the kernel keeps (`BPF_OBJ_NAME_LEN` - 1).
const NAME: usize = 15;

/// An object of the kernel.
#[derive(Clone, Debug)]
pub(super) enum Object {
    Map(Map),
    Program(Program),
    Link(Link),
    Btf,
}

#[derive(Clone, Debug)]
pub(super) struct Map {
    pub(super) name: String,
    pub(super) shape: MapShape,
    pub(super) entries: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) frozen: bool,
    pub(super) operations: OperationsState,
    /// What a map of sockets runs without a link.
    pub(super) kept: BTreeMap<AttachType, Identity>,
    /// Programs of a prog array or of struct ops, maps of a map-in-map; `entries` has their ids.
    slots: BTreeMap<u32, Identity>,
    types: [Option<CType>; 2],
    btf: Option<Identity>,
}

#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) of_type: ProgramType,
    pub(super) attach_type: Option<AttachType>,
    tag: [u8; 8],
    maps: BTreeSet<Identity>,
}

#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) of_type: LinkType,
    pub(super) program: Identity,
    pub(super) target: LinkTarget,
    /// The map that it is attached to, which it keeps alive.
    pub(super) map: Option<Identity>,
    /// What of a program it replaces.
    pub(super) function: Option<String>,
}

impl Map {
    /// The programs of struct ops, which it holds from now on.
    pub(super) fn fill_with(&mut self, programs: BTreeMap<u32, Identity>) {
        self.slots = programs;
    }
}

impl Object {
    pub(super) fn kind(&self) -> ObjectKind {
        match self {
            Self::Map(_) => ObjectKind::Map,
            Self::Program(_) => ObjectKind::Program,
            Self::Link(_) => ObjectKind::Link,
            Self::Btf => ObjectKind::Btf,
        }
    }

    /// What lives at least as long as this.
    pub(super) fn uses(&self) -> Vec<Identity> {
        match self {
            Self::Map(map) => {
                let held = map.slots.values().chain(map.kept.values()).copied();
                map.btf.into_iter().chain(held).collect()
            }
            Self::Program(program) => program.maps.iter().copied().collect(),
            Self::Link(link) => std::iter::once(link.program).chain(link.map).collect(),
            Self::Btf => Vec::new(),
        }
    }

    /// What it lets go of when no handle and no pin is left (`map_release_uref` in
    /// `kernel/bpf/syscall.c`): a prog array, its programs, and a map of sockets, those attached to it.
    pub(super) fn empty(&mut self) -> Vec<Identity> {
        match self {
            Self::Map(map) if holds_sockets(map.shape.map_type) => {
                std::mem::take(&mut map.kept).into_values().collect()
            }
            Self::Map(map) if map.shape.map_type == MapType::PROG_ARRAY => {
                map.entries.clear();
                std::mem::take(&mut map.slots).into_values().collect()
            }
            _ => Vec::new(),
        }
    }
}

impl State {
    pub(super) fn add_btf(&mut self) -> Identity {
        self.add(Object::Btf)
    }

    pub(super) fn add_map(
        &mut self,
        image: &Image,
        spec: &MapSpec,
        btf: Option<Identity>,
    ) -> Result<Identity> {
        let operation = format!("create map `{}`", spec.name);
        if let Some(btf) = btf {
            self.expect(btf, ObjectKind::Btf, &operation)?;
        }
        let mut entries = BTreeMap::new();
        let mut frozen = false;
        if let MapOrigin::Section { kind, contents } = &spec.origin {
            let size = usize::try_from(spec.shape.value_size).unwrap_or(usize::MAX);
            if contents.len() > size {
                return Err(KernelError::reason(operation, "its section is larger than its value"));
            }
            let mut value = contents.clone();
            value.resize(size, 0);
            entries.insert(vec![0; 4], value);
            frozen = *kind == DataSection::Rodata;
        }
        let typed = btf.is_some();
        Ok(self.add(Object::Map(Map {
            name: spec.kernel_name(image.name()),
            shape: spec.shape.normalised(&FACTS),
            entries,
            frozen,
            operations: OperationsState::Empty,
            kept: BTreeMap::new(),
            slots: BTreeMap::new(),
            types: [&spec.key, &spec.value].map(|ctype| ctype.clone().filter(|_| typed)),
            btf,
        })))
    }

    /// Fills a slot: `EINVAL` for a map without slots of that kind, `E2BIG` past its end
    /// (`fd_array_map_update_elem` in `kernel/bpf/arraymap.c`).
    pub(super) fn fill_slot(&mut self, id: Identity, index: u32, content: Identity) -> Result<()> {
        let refuse = |errno| Err(KernelError::errno(format!("fill slot {index} of {id}"), errno));
        let counted = self.objects.get_mut(&id).map(|counted| &mut counted.object);
        let Some(Object::Map(map)) = counted else { return refuse(Errno::INVAL) };
        let wanted = match map.shape.map_type {
            MapType::PROG_ARRAY => ObjectKind::Program,
            MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS => ObjectKind::Map,
            _ => return refuse(Errno::INVAL),
        };
        if content.kind != wanted {
            return refuse(Errno::INVAL);
        }
        if map.shape.map_type != MapType::HASH_OF_MAPS && index >= map.shape.max_entries {
            return refuse(Errno::TOOBIG);
        }
        let replaced = map.slots.insert(index, content);
        map.entries.insert(index.to_ne_bytes().to_vec(), content.id.to_ne_bytes().to_vec());
        self.hold(content);
        if let Some(replaced) = replaced {
            self.release(replaced);
        }
        Ok(())
    }

    /// What the verifier says of a program.
    pub(super) fn verify(&self, image: &Image, spec: &ProgramSpec) -> Result<()> {
        let operation =
            format!("load program `{}` of object `{}`", spec.name, image.path.display());
        if spec.kind.is_none() {
            let reason = format!("section `{}` does not say what it is", spec.section);
            return Err(KernelError::reason(operation, reason));
        }
        match self.faults.rejected.get(&spec.name) {
            Some(log) => {
                Err(KernelError::errno(operation, Errno::ACCESS).log(&image.path, &spec.name, log))
            }
            None => Ok(()),
        }
    }

    /// Loads a program that was verified. It is taken to use every map of its object.
    pub(super) fn add_program(
        &mut self,
        image: &Image,
        spec: &ProgramSpec,
        maps: &BTreeSet<Identity>,
    ) -> Identity {
        let kind = spec.kind.as_ref();
        let text = Digest::of(format!("{} {}", image.digest, spec.name).as_bytes()).to_string();
        let mut tag = [0; 8];
        for (place, byte) in tag.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        // None refers to the map of the struct ops that it is in.
        let is_ordinary = |map: &&Identity| {
            self.map(**map).is_some_and(|map| map.shape.map_type != MapType::STRUCT_OPS)
        };
        let maps = maps.iter().filter(is_ordinary).copied().collect();
        self.add(Object::Program(Program {
            name: cut(&spec.name),
            of_type: kind.map_or(ProgramType::UNSPEC, |kind| kind.program_type),
            attach_type: kind.and_then(|kind| kind.attach_type),
            tag,
            maps,
        }))
    }

    /// A dispatcher of libxdp that runs nowhere.
    pub(super) fn add_dispatcher(&mut self) -> Identity {
        self.add(Object::Program(Program {
            name: "xdp_dispatcher".to_owned(),
            of_type: ProgramType::XDP,
            attach_type: Some(AttachType::XDP),
            tag: [0; 8],
            maps: BTreeSet::new(),
        }))
    }

    /// A program that was just loaded is one that replaces a function.
    pub(super) fn load_as_replacement(&mut self, id: Identity) {
        if let Some(Object::Program(program)) =
            self.objects.get_mut(&id).map(|counted| &mut counted.object)
        {
            program.of_type = ProgramType::EXT;
            program.attach_type = None;
        }
    }

    pub(super) fn map(&self, id: Identity) -> Option<&Map> {
        match self.objects.get(&id).map(|counted| &counted.object) {
            Some(Object::Map(map)) => Some(map),
            _ => None,
        }
    }

    pub(super) fn program(&self, id: Identity, operation: &str) -> Result<&Program> {
        match self.objects.get(&id).map(|counted| &counted.object) {
            Some(Object::Program(program)) => Ok(program),
            _ => Err(KernelError::errno(operation, Errno::INVAL)),
        }
    }

    pub(super) fn links(&self) -> impl Iterator<Item = (Identity, &Link)> {
        self.objects.iter().filter_map(|(id, counted)| match &counted.object {
            Object::Link(link) => Some((*id, link)),
            _ => None,
        })
    }

    pub(super) fn links_mut(&mut self) -> impl Iterator<Item = &mut Link> {
        self.objects.values_mut().filter_map(|counted| match &mut counted.object {
            Object::Link(link) => Some(link),
            _ => None,
        })
    }

    pub(super) fn write_entry(&mut self, map: u32, key: &[u8], value: &[u8]) -> Result<()> {
        let id = Identity { kind: ObjectKind::Map, id: map };
        match self.objects.get_mut(&id).map(|counted| &mut counted.object) {
            Some(Object::Map(map)) => {
                map.entries.insert(key.to_vec(), value.to_vec());
                Ok(())
            }
            _ => Err(KernelError::errno(format!("write an entry of {id}"), Errno::NOENT)),
        }
    }

    pub(super) fn delete_entry(&mut self, map: u32, key: &[u8]) {
        let id = Identity { kind: ObjectKind::Map, id: map };
        if let Some(Object::Map(map)) = self.objects.get_mut(&id).map(|counted| &mut counted.object)
        {
            map.entries.remove(key);
        }
    }

    pub(super) fn entries(&self, map: u32) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let map = self.map(Identity { kind: ObjectKind::Map, id: map });
        map.map(|map| map.entries.clone()).unwrap_or_default()
    }

    /// What the kernel says of an object.
    pub(super) fn describe(&self, id: Identity) -> LiveObject {
        match self.objects.get(&id).map(|counted| &counted.object) {
            Some(Object::Map(map)) => {
                let [key, value] = map.types.clone();
                let name = map.name.clone();
                LiveObject::Map(LiveMap { id: id.id, name, shape: map.shape, key, value })
            }
            Some(Object::Program(program)) => LiveObject::Program(LiveProgram {
                id: id.id,
                name: program.name.clone(),
                program_type: program.of_type,
                tag: program.tag,
                map_ids: program.maps.iter().map(|map| map.id).collect(),
            }),
            Some(Object::Link(link)) => LiveObject::Link(LiveLink {
                id: id.id,
                link_type: link.of_type,
                program_id: match link.program.kind {
                    ObjectKind::Program => link.program.id,
                    _ => 0,
                },
                target: link.target.clone(),
            }),
            Some(Object::Btf) | None => {
                LiveObject::Unreadable { reason: format!("{id} cannot be described") }
            }
        }
    }
}

fn cut(name: &str) -> String {
    name.chars().take(NAME).collect()
}
