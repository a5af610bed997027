//! Loading programs: link, fill in what the section says, verify; several at a time.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{iter, thread};

use super::super::{KernelError, LoadRequest, Result};
use super::handle::Handle;
use super::sys::{ObjectKind, ProgramAttributes, ProgramBtf, flags};
use super::{Linux, refusal, verifier};
use crate::btf::{Btf, Kind};
use crate::model::kinds::{AttachType, ProgramType};
use crate::model::program::{ProgramKind, ProgramSpec};
use crate::object::Image;
use crate::relocate::{Binding, Environment, Linker, find_attach_btf_id};

/// Loads the programs of `request`: all of them, or none.
pub(super) fn load(
    linux: &Linux,
    image: &Image,
    request: &LoadRequest<'_, Handle>,
) -> Result<BTreeMap<String, Handle>> {
    let linker = open(image)?;
    let maps: BTreeMap<String, i32> = request
        .maps
        .iter()
        .map(|(name, map)| ((*name).to_owned(), map.as_fd().as_raw_fd()))
        .collect();
    let kernel_btf =
        if linker.needs_kernel_btf() || request.programs.iter().any(|p| attaches_by_btf(p)) {
            Some(linux.kernel_btf()?)
        } else {
            None
        };
    let kernel_symbols = kernel_symbols(&linker)?;
    let environment = Environment {
        maps: &maps,
        kernel_btf: kernel_btf.as_ref(),
        kernel_symbols: &kernel_symbols,
    };
    let btf = request
        .btf
        .map(|btf| btf.expect(ObjectKind::Btf))
        .transpose()
        .map_err(|errno| KernelError::errno("use the object's BTF", errno))?;
    let loader =
        Loader { image, binding: linker.bind(environment), kernel_btf: kernel_btf.as_ref(), btf };
    loader.load_all(&request.programs)
}

/// Reads an object for linking.
pub(super) fn open(image: &Image) -> Result<Linker<'_>> {
    Linker::open(&image.bytes).map_err(|error| {
        KernelError::reason(format!("read object `{}`", image.path.display()), error.to_string())
    })
}

fn attaches_by_btf(program: &ProgramSpec) -> bool {
    program.kind.as_ref().is_some_and(|kind| kind.needs_attach_btf)
}

/// Addresses of the kernel symbols the object names without a type, if it does.
fn kernel_symbols(linker: &Linker<'_>) -> Result<BTreeMap<String, u64>> {
    const PATH: &str = "/proc/kallsyms";
    let wanted: Vec<&str> = linker.kernel_symbols().collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let text = std::fs::read_to_string(PATH).map_err(|error| {
        KernelError::reason("look up kernel symbols", error.to_string()).at(PATH)
    })?;
    let symbols = text.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let address = u64::from_str_radix(fields.next()?, 16).ok()?;
        let name = fields.nth(1)?;
        // An address of 0 is one that may not be seen (`kptr_restrict`).
        (address != 0 && wanted.contains(&name)).then(|| (name.to_owned(), address))
    });
    Ok(symbols.collect())
}

/// One object being loaded; shared by the threads.
struct Loader<'a> {
    image: &'a Image,
    binding: Binding<'a, 'a>,
    kernel_btf: Option<&'a Btf<'a>>,
    btf: Option<BorrowedFd<'a>>,
}

impl Loader<'_> {
    /// Verifying is nearly all the work, and the kernel does it for several programs at a time.
    fn load_all(&self, programs: &[&ProgramSpec]) -> Result<BTreeMap<String, Handle>> {
        let named = |program: &&ProgramSpec| Ok((program.name.clone(), self.load(program)?));
        if programs.len() < 2 {
            return programs.iter().map(named).collect();
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicUsize::new(0);
        let done = Mutex::new(BTreeMap::new());
        let work = || {
            while let Some((index, program)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                programs.get(index).map(|program| (index, program))
            } {
                let answer = named(program);
                if answer.is_err() {
                    // Nobody begins another; what the others are at, they finish.
                    next.store(programs.len(), Ordering::Relaxed);
                }
                done.lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .insert(index, answer);
            }
        };
        thread::scope(|scope| {
            for _ in 1..cores.min(programs.len()) {
                scope.spawn(work);
            }
            work();
        });
        // By index, so that of several refusals always the same is told.
        let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.into_values().collect()
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
        let attributes = ProgramAttributes {
            program_type: kind.program_type,
            name: &program.name,
            instructions: &linked.instructions,
            // Text ends at its first NUL, so none is inside.
            license: &CString::new(license.unwrap_or_default()).unwrap_or_default(),
            kernel_version: kernel_version(kind.program_type),
            flags: load_flags(kind),
            attach_type: kind.attach_type.map_or(0, |attach_type| attach_type.0),
            attach_btf_id: self
                .attach_btf_id(kind)
                .map_err(|reason| KernelError::reason(operation(), reason))?,
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
        let handle = Handle::of_kind(fd, ObjectKind::Program)
            .map_err(|errno| KernelError::errno(operation(), errno))?;
        Ok(handle.loaded_for(kind.attach_type))
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
