//! Structs of operations, brought into the layout that the running kernel gives them (libbpf
//! `bpf_map__init_kern_struct_ops`).

use crate::btf::{Btf, Kind, Member, Shape, Type};

use super::core::essential;
use super::error::RelocateError;
use super::linker::Linker;
use super::modules::KernelTypes;

/// What the kernel puts before the name of a struct of operations for the value of its map.
const VALUE_PREFIX: &str = "bpf_struct_ops_";

/// A struct of operations as the running kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelOps {
    /// Descriptor of the module's BTF that the ids are in; 0 for the kernel's own.
    pub btf: i32,
    /// Id of the type of the map's value in the kernel's BTF: `struct bpf_struct_ops_…`.
    pub value_type_id: u32,
    /// Id of the struct itself, which its programs attach to.
    pub type_id: u32,
    /// The map's value with everything but the programs in it.
    pub value: Vec<u8>,
    /// Its programs.
    pub programs: Vec<KernelOp>,
}

/// A program of a struct of operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelOp {
    /// The program's name.
    pub program: String,
    /// Index of the member in the kernel's struct: the program's `expected_attach_type`.
    pub member: u32,
    /// Where its descriptor goes in the map's value, in bytes.
    pub offset: u32,
}

impl Linker<'_> {
    /// Brings the variable `map` of a section `.struct_ops` or `.struct_ops.link` into the kernel's
    /// layout. `programs` says which of its members point to which program.
    pub fn struct_ops(
        &self,
        map: &str,
        programs: &[(u32, String)],
        kernel: KernelTypes<'_>,
    ) -> Result<KernelOps, RelocateError> {
        let wrong = |reason: String| RelocateError::StructOps { map: map.to_owned(), reason };
        let (local, data) = self.ops_variable(map).map_err(|reason| wrong(reason.to_owned()))?;
        let mut layout = Layout::find(kernel, local).map_err(wrong)?;
        for (member, index) in local.1.members().iter().zip(0..) {
            let program = programs.iter().find(|(at, _)| *at == index).map(|(_, name)| name);
            layout
                .place(local.0, &member, data, program.map(String::as_str))
                .map_err(|reason| wrong(format!("member `{}` {reason}", member.name)))?;
        }
        Ok(layout.ops)
    }

    /// The type of a variable and its bytes.
    fn ops_variable(&self, map: &str) -> Result<(Local<'_>, &[u8]), &'static str> {
        let btf = &self.btf.as_ref().ok_or("the object has no BTF")?.types;
        let variable = btf.find(map, Kind::Var).ok_or("its variable is not in the object's BTF")?;
        let found = btf
            .resolve(variable.target().unwrap_or_default())
            .map_err(|_unreadable| "its type cannot be read")?;
        let symbol = self
            .elf
            .symbols
            .iter()
            .find(|symbol| symbol.name == map && self.is_ops_section(symbol.section))
            .ok_or("its variable has no symbol")?;
        let data = self.elf.sections.get(symbol.section).map_or(&[][..], |section| section.data);
        let size = found.size().unwrap_or_default() as usize;
        let start = usize::try_from(symbol.value).unwrap_or(usize::MAX);
        let bytes = data.get(start..).and_then(|rest| rest.get(..size));
        Ok(((btf, found), bytes.ok_or("it lies beyond the end of its section")?))
    }

    fn is_ops_section(&self, index: usize) -> bool {
        self.elf.sections.get(index).is_some_and(|section| {
            let name = section.name.strip_prefix('?').unwrap_or(section.name);
            matches!(name, ".struct_ops" | ".struct_ops.link")
        })
    }
}

/// The struct as the object knows it.
type Local<'l> = (&'l Btf<'l>, Type<'l>);

/// The kernel's struct while it is filled.
struct Layout<'k> {
    kernel: &'k Btf<'k>,
    found: Type<'k>,
    /// Where the struct begins in the map's value, in bytes.
    start: u32,
    ops: KernelOps,
}

impl<'k> Layout<'k> {
    fn find(types: KernelTypes<'k>, (_, local): Local<'_>) -> Result<Self, String> {
        let name = String::from_utf8_lossy(essential(local.name_bytes())).into_owned();
        let value_name = format!("{VALUE_PREFIX}{name}");
        let wanted = [(value_name.as_str(), Kind::Struct)];
        let value = types.find_all(&wanted).pop().flatten();
        let value = value.ok_or_else(|| {
            format!("the running kernel has no operations `struct {name}` to implement")
        })?;
        let btf = types.descriptor(&value)?;
        let kernel = value.among;
        let value = value.found;
        // Of several structs of that name, the one that is registered is in the value. A module's value
        // may hold one of the kernel's own.
        let held = value.members().iter().find_map(|member| {
            let found = kernel.resolve(member.type_id).ok()?;
            (found.kind() == Kind::Struct && found.name() == name).then_some((member, found))
        });
        let (data, found) =
            held.ok_or_else(|| format!("`struct {value_name}` does not hold its struct"))?;
        let size = value.size().unwrap_or_default() as usize;
        let ops = KernelOps {
            btf,
            value_type_id: value.id(),
            type_id: found.id(),
            value: vec![0; size],
            programs: Vec::new(),
        };
        Ok(Self { kernel, found, start: data.bit_offset / 8, ops })
    }

    /// Puts one member where the kernel has it.
    fn place(
        &mut self,
        local: &Btf<'_>,
        member: &Member<'_>,
        data: &[u8],
        program: Option<&str>,
    ) -> Result<(), String> {
        let unreadable = |error: crate::btf::BtfError| format!("cannot be read: {error}");
        let size = local.size_of(member.type_id).map_err(unreadable)?;
        let from = (member.bit_offset / 8) as usize;
        let bytes = data.get(from..).and_then(|rest| rest.get(..size as usize));
        let bytes = bytes.ok_or("lies outside of its struct")?;
        let same = |(_, theirs): &(u32, Member<'k>)| theirs.name == member.name;
        let Some((index, theirs)) = (0..).zip(self.found.members().iter()).find(same) else {
            return if program.is_none() && bytes.iter().all(|byte| *byte == 0) {
                Ok(())
            } else {
                Err("is set, and the running kernel's struct has no such member".into())
            };
        };
        if member.bit_width != 0 || theirs.bit_width != 0 {
            return Err("is a bitfield, which cannot be set".into());
        }
        let ours = local.resolve(member.type_id).map_err(unreadable)?;
        let kernels = self.kernel.resolve(theirs.type_id).map_err(unreadable)?;
        if ours.kind() != kernels.kind() {
            return Err(format!("is a {}, and the kernel's is a {}", ours.kind(), kernels.kind()));
        }
        let offset = self.start.saturating_add(theirs.bit_offset / 8);
        if let Shape::Ptr(target) = kernels.shape() {
            let Some(program) = program else { return Ok(()) };
            let target = self.kernel.resolve(target).map_err(unreadable)?;
            if target.kind() != Kind::FuncProto {
                return Err("is no function in the running kernel".into());
            }
            let program = program.to_owned();
            self.ops.programs.push(KernelOp { program, member: index, offset });
            return Ok(());
        }
        let theirs = self.kernel.size_of(kernels.id()).map_err(unreadable)?;
        if theirs != size {
            return Err(format!("has {size} bytes, and {theirs} in the running kernel"));
        }
        let place = self.ops.value.get_mut(offset as usize..);
        let place = place.and_then(|rest| rest.get_mut(..bytes.len()));
        place.ok_or("lies outside of the kernel's struct")?.copy_from_slice(bytes);
        Ok(())
    }
}
