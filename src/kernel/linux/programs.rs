//! Loading programs: link, fill in what the section says, verify; several at a time.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::iter;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use super::super::{KernelError, LoadRequest, Result};
use super::handle::Handle;
use super::struct_ops::Member;
use super::sys::{self, ProgramAttributes, ProgramBtf, flags};
use super::{Linux, externs, parallel, refusal, struct_ops, verifier};
use crate::btf::{Btf, Kind};
use crate::model::identity::ObjectKind;
use crate::model::kinds::{AttachType, ProgramType};
use crate::model::map::{DataSection, MapOrigin, MapSpec};
use crate::model::program::{ProgramKind, ProgramSpec};
use crate::object::Image;
use crate::relocate::{Binding, Environment, Linker, find_attach_btf_id};

/// Loads the programs of all `requests`: all of them, or none.
///
/// Verifying is nearly all the work, and the kernel does it for several programs at a time, whichever
/// objects they are of.
pub(super) fn load(
    linux: &Linux,
    requests: &[LoadRequest<'_, Handle>],
) -> Result<Vec<BTreeMap<String, Handle>>> {
    let objects = requests.iter().map(Object::open).collect::<Result<Vec<_>>>()?;
    let types = Types::read(linux, &objects)?;
    let symbols = externs::kernel_symbols(objects.iter().map(|object| &object.linker))?;
    let loaders = parallel::for_each(&objects, |object| Loader::new(object, &types, &symbols))?;
    let programs: Vec<(usize, &Loader<'_>, &ProgramSpec)> = loaders
        .iter()
        .enumerate()
        .flat_map(|(at, loader)| {
            loader.object.request.programs.iter().map(move |program| (at, loader, *program))
        })
        .collect();
    let handles = parallel::for_each(&programs, |(_, loader, program)| loader.load(program))?;
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
    /// Needed until the programs that use it hold it.
    _kconfig: Option<OwnedFd>,
}

impl<'a> Object<'a> {
    fn open(request: &'a LoadRequest<'a, Handle>) -> Result<Self> {
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
        Ok(Self { request, linker, btf, maps, _kconfig: kconfig })
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

/// Reads an object for linking.
pub(super) fn open(image: &Image) -> Result<Linker<'_>> {
    Linker::open(&image.bytes).map_err(|error| {
        KernelError::reason(format!("read object `{}`", image.path.display()), error.to_string())
    })
}

fn attaches_by_btf(program: &ProgramSpec) -> bool {
    program.kind.as_ref().is_some_and(|kind| kind.needs_attach_btf) || struct_ops::is_op(program)
}

/// One object being loaded; shared by the threads.
struct Loader<'a> {
    object: &'a Object<'a>,
    image: &'a Image,
    binding: Binding<'a, 'a>,
    kernel_btf: Option<&'a Btf<'a>>,
    btf: Option<BorrowedFd<'a>>,
    /// Maps of constants, which every program holds.
    constants: Vec<BorrowedFd<'a>>,
    /// What the programs of struct ops are for.
    members: BTreeMap<String, Member>,
}

/// What a program attaches to, as the kernel must know when it loads it.
#[derive(Clone, Copy, Default)]
struct Target {
    attach_type: u32,
    btf_id: u32,
}

impl<'a> Loader<'a> {
    fn new(
        object: &'a Object<'a>,
        types: &'a Types<'a>,
        kernel_symbols: &'a BTreeMap<String, u64>,
    ) -> Result<Self> {
        let Object { request, linker, btf, .. } = object;
        let image = request.image;
        let kernel_btf = types.kernel.as_ref();
        let is_created = |map: &str| request.maps.contains_key(map);
        let members = struct_ops::members(linker, image, &request.programs, is_created, kernel_btf)
            .map_err(|reason| {
                KernelError::reason(format!("load object `{}`", image.path.display()), reason)
            })?;
        let is_constant = |map: &&MapSpec| {
            matches!(map.origin, MapOrigin::Section { kind: DataSection::Rodata, .. })
        };
        let constants = image.spec.maps.iter().filter(is_constant);
        let binding = linker.bind(Environment {
            maps: &object.maps,
            kernel_btf,
            core_btf: types.given.as_ref().or(kernel_btf),
            kernel_symbols,
        });
        Ok(Self {
            object,
            image,
            binding,
            kernel_btf,
            btf: *btf,
            constants: constants
                .filter_map(|map| request.maps.get(map.name.as_str()).map(|map| map.as_fd()))
                .collect(),
            members,
        })
    }

    fn load(&self, program: &ProgramSpec) -> Result<Handle> {
        let operation =
            || format!("load program `{}` of object `{}`", program.name, self.image.path.display());
        let Some(kind) = &program.kind else {
            let reason = format!("section `{}` does not say what it is", program.section);
            return Err(KernelError::reason(operation(), reason));
        };
        let linked = self
            .binding
            .link(&program.name)
            .map_err(|error| KernelError::reason(operation(), error.to_string()))?;
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
            return Ok(Target { attach_type: member.index, btf_id: member.type_id });
        }
        let attach_type = kind.attach_type.map_or(0, |attach_type| attach_type.0);
        Ok(Target { attach_type, btf_id: self.attach_btf_id(kind)? })
    }

    /// The type in the kernel's BTF that a program attaches to; 0 if it attaches otherwise.
    fn attach_btf_id(&self, kind: &ProgramKind) -> std::result::Result<u32, String> {
        if !kind.needs_attach_btf {
            return Ok(0);
        }
        let Some(target) = kind.target.as_deref() else {
            return Err("its section does not say what it attaches to".to_owned());
        };
        if kind.program_type == ProgramType::EXT {
            return Err(
                "programs that replace functions of others are not supported yet".to_owned()
            );
        }
        let (prefix, wanted) = match kind.attach_type {
            Some(AttachType::TRACE_RAW_TP) => ("btf_trace_", Kind::Typedef),
            Some(AttachType::LSM_MAC | AttachType::LSM_CGROUP) => ("bpf_lsm_", Kind::Func),
            Some(AttachType::TRACE_ITER) => ("bpf_iter_", Kind::Func),
            _ => ("", Kind::Func),
        };
        let Some(kernel) = self.kernel_btf else {
            return Err("the kernel's BTF was not read".to_owned());
        };
        find_attach_btf_id(kernel, prefix, target, wanted).map_err(|error| error.to_string())
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
