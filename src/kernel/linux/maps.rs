//! Creating maps the way libbpf does (`bpf_object__create_map`, `bpf_object__populate_internal_map`).

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::super::{KernelError, Result};
use super::handle::Handle;
use super::sys::{self, MapAttributes, MapTypes};
use super::{Linux, capability, since, struct_ops};
use crate::model;
use crate::model::identity::ObjectKind;
use crate::model::kinds::MapType;
use crate::model::map::{DataSection, MapOrigin, MapShape, MapSpec};
use crate::object::Image;

/// How deep maps may lie in maps; the kernel allows one level.
const INNER_DEPTH: u32 = 1;

/// Creates the map, fills a data section's contents in, and freezes it where it is read-only.
pub(super) fn create(
    linux: &Linux,
    image: &Image,
    spec: &MapSpec,
    btf: Option<&Handle>,
) -> Result<Handle> {
    let operation = format!("create map `{}`", spec.name);
    let btf = btf
        .map(|btf| btf.expect(ObjectKind::Btf))
        .transpose()
        .map_err(|errno| KernelError::errno(operation.as_str(), errno))?;
    let fd = match spec.origin {
        MapOrigin::StructOps { .. } => struct_ops::create(linux, image, spec, btf)?,
        _ => create_empty(linux, image.name(), spec, btf, 0)?,
    };
    if let MapOrigin::Section { kind, contents } = &spec.origin {
        fill(fd.as_fd(), spec, contents)?;
        if *kind == DataSection::Rodata {
            sys::freeze_map(fd.as_fd()).map_err(|errno| {
                KernelError::errno(format!("freeze map `{}`", spec.name), errno)
            })?;
        }
    }
    if spec.shape.map_type == MapType::ARENA {
        map_arena(linux, fd.as_fd(), spec)?;
    }
    Handle::of_kind(fd, ObjectKind::Map).map_err(|errno| KernelError::errno(operation, errno))
}

/// Gives an arena its address, and its variables their values.
fn map_arena(linux: &Linux, map: BorrowedFd<'_>, spec: &MapSpec) -> Result<()> {
    let page_size = linux.host_facts()?.page_size;
    let contents = match &spec.origin {
        MapOrigin::Arena { contents } => contents.as_slice(),
        _ => &[],
    };
    let operation = || format!("map arena `{}`", spec.name);
    let offset = spec.shape.arena_variables(contents.len() as u64, page_size).ok_or_else(|| {
        let reason = format!(
            "its {} pages of {page_size} bytes do not hold the {} bytes of its `__arena` variables",
            spec.shape.max_entries,
            contents.len()
        );
        KernelError::reason(operation(), reason)
    })?;
    sys::map_arena(map, page_size, offset, contents).map_err(|errno| {
        let error = KernelError::errno(operation(), errno);
        if errno == Errno::FAULT {
            error.advice(
                "there is no memory for its variables, or it has the flag `BPF_F_SEGV_ON_FAULT`, \
                 with which it cannot have any",
            )
        } else {
            error
        }
    })
}

fn create_empty(
    linux: &Linux,
    object: &str,
    spec: &MapSpec,
    btf: Option<BorrowedFd<'_>>,
    depth: u32,
) -> Result<OwnedFd> {
    let operation = || format!("create map `{}` ({})", spec.name, describe(&spec.shape));
    let inner = match &spec.inner {
        Some(_) if depth >= INNER_DEPTH => {
            return Err(KernelError::reason(operation(), "a map lies in a map that lies in a map"));
        }
        // A template: the kernel takes its shape, and it is gone when this returns.
        Some(inner) => Some(create_empty(linux, object, inner, btf, depth + 1)?),
        None => None,
    };
    let attributes = MapAttributes {
        shape: normalised(linux, spec.shape)?,
        name: &spec.kernel_name(object),
        numa_node: spec.numa_node,
        inner: inner.as_ref().map(OwnedFd::as_fd),
        types: btf.and_then(|btf| types(spec, btf)),
        kernel_value: 0,
        kernel_value_btf: 0,
    };
    let created = sys::create_map(&attributes).or_else(|errno| {
        if attributes.types.is_none() {
            return Err(errno);
        }
        // As libbpf does: some kernels refuse some types as keys or values, and can do without.
        sys::create_map(&MapAttributes { types: None, ..attributes }).map_err(|_again| errno)
    });
    created.map_err(|errno| refused(operation(), errno, spec))
}

/// Asks the host for facts only where they matter.
fn normalised(linux: &Linux, shape: MapShape) -> Result<MapShape> {
    match shape.map_type {
        MapType::PERF_EVENT_ARRAY | MapType::RINGBUF | MapType::USER_RINGBUF => {
            Ok(shape.normalised(&linux.host_facts()?))
        }
        _ => Ok(shape),
    }
}

/// BTF types of key and value, for the map types that take them (libbpf clears the others').
fn types<'a>(spec: &MapSpec, btf: BorrowedFd<'a>) -> Option<MapTypes<'a>> {
    let untyped = matches!(
        spec.shape.map_type,
        MapType::PERF_EVENT_ARRAY
            | MapType::CGROUP_ARRAY
            | MapType::STACK_TRACE
            | MapType::ARRAY_OF_MAPS
            | MapType::HASH_OF_MAPS
            | MapType::DEVMAP
            | MapType::DEVMAP_HASH
            | MapType::CPUMAP
            | MapType::XSKMAP
            | MapType::SOCKMAP
            | MapType::SOCKHASH
            | MapType::QUEUE
            | MapType::STACK
            | MapType::ARENA
    );
    if untyped || (spec.key_type_id == 0 && spec.value_type_id == 0) {
        return None;
    }
    Some(MapTypes { btf, key: spec.key_type_id, value: spec.value_type_id })
}

fn fill(map: BorrowedFd<'_>, spec: &MapSpec, contents: &[u8]) -> Result<()> {
    // A new array map is all zeroes.
    if contents.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    let operation = || format!("fill map `{}`", spec.name);
    let size = usize::try_from(spec.shape.value_size).unwrap_or(usize::MAX);
    if contents.len() > size {
        return Err(KernelError::reason(
            operation(),
            format!("its section has {} bytes and its value only {size}", contents.len()),
        ));
    }
    let answer = if contents.len() == size {
        sys::set_array_value(map, contents)
    } else {
        let mut padded = contents.to_vec();
        padded.resize(size, 0);
        sys::set_array_value(map, &padded)
    };
    answer.map_err(|errno| KernelError::errno(operation(), errno))
}

fn describe(shape: &MapShape) -> String {
    format!(
        "{}, key {} bytes, value {} bytes, {} entries, flags {:#x}",
        shape.map_type, shape.key_size, shape.value_size, shape.max_entries, shape.map_flags
    )
}

/// What `EINVAL` means: a type that is too new, or a shape that this type does not take.
pub(super) fn invalid(shape: &MapShape) -> String {
    let map_type = shape.map_type;
    let flags = match shape.map_flags {
        0 => String::new(),
        flags => format!(" with flags {flags:#x}"),
    };
    match (model::since::of_shape(shape), since::running()) {
        (Some(since), Some(running)) if running < since => format!(
            "the running kernel does not know maps of type {map_type}{flags}; {}",
            since::compare(since, Some(running))
        ),
        _ => format!(
            "the running kernel does not know the type {map_type}, or does not take these sizes or \
             flags with it"
        ),
    }
}

pub(super) fn refused(operation: String, errno: Errno, spec: &MapSpec) -> KernelError {
    let error = KernelError::errno(operation, errno);
    let map_type = spec.shape.map_type;
    match errno {
        Errno::PERM => error.advice(capability::advice(capability::for_map(map_type))),
        Errno::TOOBIG => error.advice(format!(
            "a map of type {map_type} cannot have values or entries of this size; lower them"
        )),
        Errno::NOMEM => {
            error.advice("the kernel has no memory for a map of this size; lower `max-entries`")
        }
        Errno::INVAL => error.advice(invalid(&spec.shape)),
        _ => error,
    }
}
