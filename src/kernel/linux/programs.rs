//! Loading programs: link, fill in what the section says, verify; several at a time.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::iter;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use super::super::{KernelError, LoadRequest, Replaced, Result};
use super::handle::Handle;
use super::modules::{ModuleFiles, ModuleTypes};
use super::struct_ops::Member;
use super::sys::{self, ProgramAttributes, ProgramBtf, flags};
use super::{Linux, btf, externs, jump_tables, parallel, refusal, replaced, struct_ops, verifier};
use crate::btf::{Btf, Kind};
use crate::model::identity::ObjectKind;
use crate::model::kinds::{AttachType, ProgramType};
use crate::model::map::{DataSection, MapOrigin, MapSpec};
use crate::model::program::{ProgramKind, ProgramSpec};
use crate::object::Image;
use crate::relocate::{
    Arena, AttachTarget, Binding, Contexts, Environment, KernelTypes, Linker, find_attach_target,
};

/// Loads the programs of all `requests`: all of them, or none.
///
/// Verifying is nearly all the work, and the kernel does it for several programs at a time, whichever
/// objects they are of. `progress` hears how many are loaded.
pub(super) fn load(
    linux: &Linux,
    requests: &[LoadRequest<'_, Handle>],
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<BTreeMap<String, Handle>>> {
    load_for(linux, requests, None, progress)
}

/// Loads the one program of `request` for the function that it replaces.
pub(super) fn load_replacement(
    linux: &Linux,
    request: &LoadRequest<'_, Handle>,
    replaced: &Replaced<'_, Handle>,
) -> Result<Handle> {
    let operation = || format!("load a program of object `{}`", request.image.path.display());
    let target =
        replaced::target(replaced).map_err(|reason| KernelError::reason(operation(), reason))?;
    let loaded = load_for(linux, std::slice::from_ref(request), Some(target), &mut |_| ())?;
    let program = loaded.into_iter().flatten().next();
    let (_, handle) = program.ok_or_else(|| KernelError::reason(operation(), "none was named"))?;
    Ok(handle)
}

fn load_for(
    linux: &Linux,
    requests: &[LoadRequest<'_, Handle>],
    replaced: Option<AttachTarget>,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<BTreeMap<String, Handle>>> {
    progress(0);
    let objects =
        requests.iter().map(|request| Object::open(linux, request)).collect::<Result<Vec<_>>>()?;
    let types = Types::read(linux, &objects)?;
    let files = ModuleFiles::default();
    let modules = types.kernel.as_ref().map(|own| ModuleTypes::new(&files, own));
    let kernel = types.kernel.as_ref().zip(modules.as_ref());
    let symbols = externs::kernel_symbols(objects.iter().map(|object| &object.linker))?;
    let shared = Shared {
        kernel: kernel.map(|(own, modules)| KernelTypes { own, modules }),
        given: types.given.as_ref(),
        symbols: &symbols,
        replaced,
    };
    let loaders = parallel::for_each(&objects, |object| Loader::new(object, shared), &mut |_| ())?;
    let programs: Vec<(usize, &Loader<'_>, &ProgramSpec)> = loaders
        .iter()
        .enumerate()
        .flat_map(|(at, loader)| {
            loader.object.request.programs.iter().map(move |program| (at, loader, *program))
        })
        .collect();
    let load = |(_, loader, program): &(usize, &Loader<'_>, &ProgramSpec)| loader.load(program);
    let handles = parallel::for_each(&programs, load, progress)?;
    let mut loaded: Vec<BTreeMap<String, Handle>> =
        requests.iter().map(|_| BTreeMap::new()).collect();
    for ((at, _, program), handle) in programs.into_iter().zip(handles) {
        if let Some(of_object) = loaded.get_mut(at) {
            of_object.insert(program.name.clone(), handle);
        }
    }
    Ok(loaded)
}

/// An object whose programs are to be loaded, with what can be had before the kernel's types.
struct Object<'a> {
    request: &'a LoadRequest<'a, Handle>,
    linker: Linker<'a>,
    btf: Option<BorrowedFd<'a>>,
    /// The descriptors of its maps, by name.
    maps: BTreeMap<String, i32>,
    arena: Option<Arena>,
    /// What describes contexts to a kernel that does not know their tag.
    contexts: Contexts,
    /// Needed until the programs that use it hold it.
    _kconfig: Option<OwnedFd>,
}

impl<'a> Object<'a> {
    fn open(linux: &Linux, request: &'a LoadRequest<'a, Handle>) -> Result<Self> {
        let linker = open(request.image)?;
        let btf = request
            .btf
            .map(|btf| btf.expect(ObjectKind::Btf))
            .transpose()
            .map_err(|errno| KernelError::errno("use the object's BTF", errno))?;
        let kconfig = externs::kconfig_map(request.image, &linker, btf)?;
        let maps = request
            .maps
            .iter()
            .map(|(name, map)| (*name, map.as_fd()))
            .chain(kconfig.iter().map(|map| (externs::KCONFIG, map.as_fd())))
            .map(|(name, map)| (name.to_owned(), map.as_raw_fd()))
            .collect();
        let arena = arena(linux, request)?;
        let contexts = contexts(request.image, &linker)?;
        Ok(Self { request, linker, btf, maps, arena, contexts, _kconfig: kconfig })
    }

    /// Whether it needs the kernel's own types, whatever types CO-RE adjusts to.
    fn needs_kernel_types(&self) -> bool {
        let by_type = |program: &&ProgramSpec| attaches_by_btf(program);
        self.linker.needs_kernel_btf() || self.request.programs.iter().any(by_type)
    }
}

/// The types of the kernel, read once for all objects and only if one of them needs them.
struct Types<'a> {
    kernel: Option<Btf<'a>>,
    /// Those that CO-RE adjusts to instead.
    given: Option<Btf<'a>>,
}

impl<'a> Types<'a> {
    fn read(linux: &'a Linux, objects: &[Object<'_>]) -> Result<Self> {
        let core = objects.iter().any(|object| object.linker.needs_core_btf());
        let own =
            (core && linux.core_btf.is_none()) || objects.iter().any(Object::needs_kernel_types);
        let given = linux.core_btf.as_deref().filter(|_| core).map(Btf::parse).transpose();
        Ok(Self {
            kernel: own.then(|| linux.kernel_btf()).transpose()?,
            given: given
                .map_err(|error| KernelError::reason("read the BTF given", error.to_string()))?,
        })
    }
}

/// What the object's BTF was loaded with for a kernel that does not know the tag of a context.
fn contexts(image: &Image, linker: &Linker<'_>) -> Result<Contexts> {
    let programs = btf::tagless(image);
    if programs.is_empty() {
        return Ok(Contexts::default());
    }
    let completed = linker.btf_for(&programs).map_err(|error| {
        KernelError::reason(format!("read object `{}`", image.path.display()), error.to_string())
    })?;
    Ok(completed.map(|(_, contexts)| contexts).unwrap_or_default())
}

/// The arena that holds the object's variables, if it has one.
fn arena(linux: &Linux, request: &LoadRequest<'_, Handle>) -> Result<Option<Arena>> {
    let found = request.image.spec.maps.iter().find_map(|map| match &map.origin {
        MapOrigin::Arena { contents } => Some((request.maps.get(map.name.as_str())?, contents)),
        _ => None,
    });
    let Some((map, contents)) = found else { return Ok(None) };
    let failed = |errno| KernelError::errno("describe the arena", errno);
    // It may have another size than the object says.
    let shape = sys::map_info(map.expect(ObjectKind::Map).map_err(failed)?).map_err(failed)?.shape;
    let size = contents.len() as u64;
    let offset = shape.arena_variables(size, linux.host_facts()?.page_size).unwrap_or_default();
    Ok(Some(Arena { descriptor: map.as_fd().as_raw_fd(), offset }))
}

/// Reads an object for linking.
pub(super) fn open(image: &Image) -> Result<Linker<'_>> {
    Linker::open(&image.bytes).map_err(|error| {
        KernelError::reason(format!("read object `{}`", image.path.display()), error.to_string())
    })
}

/// Whether it attaches to a type in the kernel's own BTF.
fn attaches_by_btf(program: &ProgramSpec) -> bool {
    let by_type =
        |kind: &ProgramKind| kind.needs_attach_btf && kind.program_type != ProgramType::EXT;
    program.kind.as_ref().is_some_and(by_type) || struct_ops::is_op(program)
}

/// What all objects are linked against.
#[derive(Clone, Copy)]
struct Shared<'a> {
    kernel: Option<KernelTypes<'a>>,
    /// The types that CO-RE adjusts to instead.
    given: Option<&'a Btf<'a>>,
    /// Addresses of the kernel's symbols.
    symbols: &'a BTreeMap<String, u64>,
    /// The function that the program replaces, if it does.
    replaced: Option<AttachTarget>,
}

/// One object being loaded; shared by the threads.
struct Loader<'a> {
    object: &'a Object<'a>,
    image: &'a Image,
    binding: Binding<'a, 'a>,
    kernel: Option<KernelTypes<'a>>,
    btf: Option<BorrowedFd<'a>>,
    /// Maps of constants, which every program holds.
    constants: Vec<BorrowedFd<'a>>,
    /// What the programs of struct ops are for.
    members: BTreeMap<String, Member>,
    /// The function that the one program to load replaces.
    replaced: Option<AttachTarget>,
}

/// What a program attaches to, as the kernel must know when it loads it.
#[derive(Clone, Copy, Default)]
struct Target {
    attach_type: u32,
    btf_id: u32,
    /// Descriptor of the module's BTF which that id is in; 0 for the kernel's own.
    object: i32,
}

impl<'a> Loader<'a> {
    fn new(object: &'a Object<'a>, shared: Shared<'a>) -> Result<Self> {
        let Object { request, linker, btf, .. } = object;
        let image = request.image;
        let Shared { kernel, given, symbols, replaced } = shared;
        let is_created = |map: &str| request.maps.contains_key(map);
        let members = struct_ops::members(linker, image, &request.programs, is_created, kernel)
            .map_err(|reason| {
                KernelError::reason(format!("load object `{}`", image.path.display()), reason)
            })?;
        let is_constant = |map: &&MapSpec| {
            matches!(map.origin, MapOrigin::Section { kind: DataSection::Rodata, .. })
        };
        let constants = image.spec.maps.iter().filter(is_constant);
        let binding = linker.bind(Environment {
            maps: &object.maps,
            arena: object.arena,
            kernel,
            core_btf: given,
            kernel_symbols: symbols,
        });
        Ok(Self {
            object,
            image,
            binding,
            kernel,
            btf: *btf,
            constants: constants
                .filter_map(|map| request.maps.get(map.name.as_str()).map(|map| map.as_fd()))
                .collect(),
            members,
            replaced,
        })
    }

    fn load(&self, program: &ProgramSpec) -> Result<Handle> {
        let operation =
            || format!("load program `{}` of object `{}`", program.name, self.image.path.display());
        let Some(kind) = &program.kind else {
            let reason = format!("section `{}` does not say what it is", program.section);
            return Err(KernelError::reason(operation(), reason));
        };
        let mut linked = self
            .binding
            .link(&program.name)
            .map_err(|error| KernelError::reason(operation(), error.to_string()))?;
        let record_size = linked.func_info_record_size;
        self.object.contexts.apply(kind.program_type, &mut linked.func_info, record_size);
        let called = kind.called_by_dispatcher();
        let kind = match kind.program_type {
            ProgramType::XDP if self.replaced.is_some() => &called,
            _ => kind,
        };
        let _held_until_loaded = jump_tables::create(&mut linked, &operation())?;
        let license = self.image.spec.license.as_deref();
        let target = self
            .target(program, kind)
            .map_err(|reason| KernelError::reason(operation(), reason))?;
        let attributes = ProgramAttributes {
            program_type: kind.program_type,
            name: &program.name,
            instructions: &linked.instructions,
            // Text ends at its first NUL, so none is inside.
            license: &CString::new(license.unwrap_or_default()).unwrap_or_default(),
            kernel_version: kernel_version(kind.program_type),
            flags: load_flags(kind),
            attach_type: target.attach_type,
            attach_btf_id: target.btf_id,
            attach_object: target.object,
            descriptors: self.binding.descriptors(),
            btf: self.btf.filter(|_| !linked.func_info.is_empty()).map(|btf| ProgramBtf {
                btf,
                functions: &linked.func_info,
                function_size: linked.func_info_record_size,
                lines: &linked.line_info,
                line_size: linked.line_info_record_size,
            }),
        };
        let fd =
            verifier::load(&attributes).map_err(|refusal| {
                let line = refusal::instruction(&refusal)
                    .and_then(|instruction| self.binding.source_line(&linked, instruction));
                let unresolved = &linked.unresolved;
                refusal::explain(operation(), &refusal, line.as_ref(), kind, license, unresolved)
                    .log(&self.image.path, &program.name, &refusal.log)
            })?;
        for map in &self.constants {
            // As libbpf does, so that tools find them. Older kernels cannot, and nothing hangs on it.
            let _unknown = sys::bind_map(fd.as_fd(), *map);
        }
        let handle = Handle::of_kind(fd, ObjectKind::Program)
            .map_err(|errno| KernelError::errno(operation(), errno))?;
        Ok(handle.loaded_for(kind.attach_type))
    }

    fn target(
        &self,
        program: &ProgramSpec,
        kind: &ProgramKind,
    ) -> std::result::Result<Target, String> {
        if kind.program_type == ProgramType::STRUCT_OPS {
            let member = self.members.get(&program.name).ok_or(
                "it is in no struct of operations that is created, so the kernel cannot be told what \
                 it is for",
            )?;
            let Member { type_id, btf, index } = *member;
            return Ok(Target { attach_type: index, btf_id: type_id, object: btf });
        }
        let attach_type = kind.attach_type.map_or(0, |attach_type| attach_type.0);
        let AttachTarget { type_id, btf } = self.attach_target(kind)?;
        Ok(Target { attach_type, btf_id: type_id, object: btf })
    }

    /// The type in the kernel's BTF that a program attaches to; all 0 if it attaches otherwise.
    fn attach_target(&self, kind: &ProgramKind) -> std::result::Result<AttachTarget, String> {
        if !kind.needs_attach_btf {
            return Ok(AttachTarget { type_id: 0, btf: 0 });
        }
        if kind.program_type == ProgramType::EXT {
            return self
                .replaced
                .ok_or_else(|| "it is not said which program's function it replaces".to_owned());
        }
        let Some(target) = kind.target.as_deref() else {
            return Err("its section does not say what it attaches to".to_owned());
        };
        let (prefix, wanted) = match kind.attach_type {
            Some(AttachType::TRACE_RAW_TP) => ("btf_trace_", Kind::Typedef),
            Some(AttachType::LSM_MAC | AttachType::LSM_CGROUP) => ("bpf_lsm_", Kind::Func),
            Some(AttachType::TRACE_ITER) => ("bpf_iter_", Kind::Func),
            _ => ("", Kind::Func),
        };
        let Some(kernel) = self.kernel else {
            return Err("the kernel's BTF was not read".to_owned());
        };
        find_attach_target(kernel, prefix, target, wanted).map_err(|error| error.to_string())
    }
}

/// `LINUX_VERSION_CODE` for the one type whose programs had to state it, before Linux 5.0.
fn kernel_version(program_type: ProgramType) -> u32 {
    if program_type != ProgramType::KPROBE {
        return 0;
    }
    aya::util::KernelVersion::current().map_or(0, aya::util::KernelVersion::code)
}

fn load_flags(kind: &ProgramKind) -> u32 {
    iter::empty()
        .chain(kind.sleepable.then_some(flags::SLEEPABLE))
        .chain(kind.xdp_frags.then_some(flags::XDP_HAS_FRAGS))
        .fold(0, |all, flag| all | flag)
}
