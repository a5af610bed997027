//! What an object uses and does not define: kernel functions and variables (`.ksyms`), values of
//! the kernel's configuration (`.kconfig`) (libbpf `bpf_object__collect_externs`,
//! `bpf_object__resolve_ksyms_btf_id`).

use std::collections::BTreeMap;

use crate::btf::{Btf, Kind, Linkage, Shape, Type};

use super::core::{At, Fuel, essential, types_are_compatible};
use super::elf::Elf;
use super::environment::Environment;
use super::insn::{Insn, PSEUDO_BTF_ID, PSEUDO_KFUNC_CALL, PSEUDO_MAP_VALUE, split};
use super::kconfig::{KconfigKind, KconfigVariable};
use super::linker::Binding;
use super::modules::{KernelType, KernelTypes};
use super::poison;

/// The externs of an object, in libbpf's order.
#[derive(Default)]
pub(super) struct Externs<'a>(Vec<Declared<'a>>);

/// An extern as the object declares it.
pub(super) struct Declared<'a> {
    symbol: usize,
    name: &'a str,
    weak: bool,
    what: What,
}

/// What must supply an extern.
#[derive(Clone, Debug)]
enum What {
    /// The kernel's configuration: place in `.kconfig`.
    Config(KconfigVariable),
    /// A kernel function; the id of its prototype.
    Function(u32),
    /// A kernel variable with a type; its id, looked through.
    Variable(u32),
    /// Any symbol of the kernel, for its address only.
    Symbol,
    /// Nothing can; why.
    Unusable(String),
}

/// An extern that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Extern {
    /// A kernel function or variable.
    Kernel(KernelSymbol),
    /// Address of a kernel symbol.
    Address(u64),
    /// Offset within `.kconfig`.
    Config(u32),
    /// Weak and not there; its index in libbpf's order.
    Missing(i32),
}

/// A function or variable of the kernel or of one of its modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KernelSymbol {
    /// Its BTF id.
    id: u32,
    /// Descriptor of the module's BTF; 0 for the kernel's own.
    btf: i32,
    /// Where that descriptor is in [`Resolved::descriptors`]; 0 for the kernel's own.
    slot: i16,
}

/// Externs that were looked for.
#[derive(Default)]
pub(super) struct Resolved {
    /// By symbol index: what supplies it, or why nothing does.
    by_symbol: BTreeMap<usize, Result<Extern, String>>,
    /// Descriptors of the modules' BTF that calls refer to by index: `fd_array` of `BPF_PROG_LOAD`.
    /// The first is not used.
    descriptors: Vec<i32>,
}

impl<'a> Externs<'a> {
    pub(super) fn collect(elf: &Elf<'a>, btf: Option<&Btf<'a>>) -> Self {
        let undefined = elf
            .symbols
            .iter()
            .enumerate()
            .filter(|(_, symbol)| symbol.is_extern() && !symbol.name.is_empty());
        let mut declarations = None;
        let mut externs: Vec<_> = undefined
            .map(|(index, symbol)| Declared {
                symbol: index,
                name: symbol.name,
                weak: symbol.is_weak(),
                what: match btf {
                    Some(btf) => declarations
                        .get_or_insert_with(|| Declarations::read(btf))
                        .what(symbol.name, symbol.is_weak()),
                    None => unusable("the object has no BTF that says what it is"),
                },
            })
            .collect();
        externs.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let mut end = 0_u32;
        for declared in &mut externs {
            if let What::Config(variable) = &mut declared.what {
                variable.offset = end.next_multiple_of(variable.align.max(1));
                end = variable.offset.saturating_add(variable.size);
            }
        }
        Self(externs)
    }

    /// The variables of `.kconfig`, by offset.
    pub(super) fn kconfig(&self) -> impl Iterator<Item = &KconfigVariable> {
        self.0.iter().filter_map(|declared| match &declared.what {
            What::Config(variable) => Some(variable),
            _ => None,
        })
    }

    /// The symbols whose address is needed.
    pub(super) fn symbols(&self) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(|declared| matches!(declared.what, What::Symbol))
            .map(|declared| declared.name)
    }

    pub(super) fn needs_kernel_btf(&self) -> bool {
        self.0.iter().any(|declared| matches!(declared.what, What::Function(_) | What::Variable(_)))
    }

    /// Looks for all of them; at most once through the types of the kernel and of each module.
    pub(super) fn resolve(
        &self,
        local: Option<&Btf<'_>>,
        environment: &Environment<'_>,
    ) -> Resolved {
        let wanted: Vec<_> = self
            .0
            .iter()
            .filter_map(|declared| Some((declared.kernel_name()?, declared.kernel_kind()?)))
            .collect();
        let found = environment.kernel.map(|kernel| kernel.find_all(&wanted)).unwrap_or_default();
        let mut found = found.into_iter();
        let mut resolution = Resolved::default();
        for (declared, index) in self.0.iter().zip(0..) {
            let candidate = declared.kernel_kind().and_then(|_| found.next()).flatten();
            let resolved = match &declared.what {
                What::Config(variable) => Ok(Some(Extern::Config(variable.offset))),
                What::Symbol => match environment.kernel_symbols.get(declared.name).copied() {
                    Some(0) | None if declared.weak => Ok(Some(Extern::Address(0))),
                    Some(0) => Err("its address is hidden from this process \
                                        (kernel.kptr_restrict, CAP_SYSLOG)"
                        .to_owned()),
                    Some(address) => Ok(Some(Extern::Address(address))),
                    None => Err("the kernel has no such symbol".to_owned()),
                },
                What::Unusable(reason) => Err(reason.clone()),
                What::Function(id) | What::Variable(id) => {
                    let local = local.map(|btf| At { btf, id: *id });
                    match environment.kernel.zip(local) {
                        Some((kernel, local)) => declared
                            .check(local, candidate)
                            .and_then(|found| resolution.refer(kernel, found)),
                        None => Err("the kernel's BTF is needed and not there".to_owned()),
                    }
                }
            };
            let resolved = resolved.map(|found| found.unwrap_or(Extern::Missing(index)));
            resolution.by_symbol.insert(declared.symbol, resolved);
        }
        resolution
    }
}

impl Resolved {
    pub(super) fn get(&self, symbol: usize) -> Option<&Result<Extern, String>> {
        self.by_symbol.get(&symbol)
    }

    pub(super) fn descriptors(&self) -> &[i32] {
        &self.descriptors
    }

    /// How instructions refer to what was found.
    fn refer(
        &mut self,
        kernel: KernelTypes<'_>,
        found: Option<KernelType<'_>>,
    ) -> Result<Option<Extern>, String> {
        let Some(found) = found else { return Ok(None) };
        let btf = kernel.descriptor(&found)?;
        let slot = if btf == 0 { 0 } else { self.slot(btf)? };
        Ok(Some(Extern::Kernel(KernelSymbol { id: found.found.id(), btf, slot })))
    }

    /// Where a descriptor is in [`Resolved::descriptors`].
    fn slot(&mut self, btf: i32) -> Result<i16, String> {
        let at = self.descriptors.iter().position(|known| *known == btf).unwrap_or_else(|| {
            // Index 0 means the kernel itself.
            self.descriptors.resize(self.descriptors.len().max(1), 0);
            self.descriptors.push(btf);
            self.descriptors.len() - 1
        });
        i16::try_from(at).map_err(|_beyond| "it is in one module too many".to_owned())
    }
}

impl Declared<'_> {
    /// By kind; those of `.kconfig` by alignment, size and name, the rest by name (libbpf
    /// `cmp_externs`).
    fn rank(&self) -> (u8, u32, u32, &str) {
        match &self.what {
            What::Config(variable) => (1, u32::MAX - variable.align, variable.size, self.name),
            What::Unusable(_) => (0, 0, 0, self.name),
            _ => (2, 0, 0, self.name),
        }
    }

    fn kernel_kind(&self) -> Option<Kind> {
        match self.what {
            What::Function(_) => Some(Kind::Func),
            What::Variable(_) => Some(Kind::Var),
            _ => None,
        }
    }

    /// Its name in the kernel: of a function, without a flavour.
    fn kernel_name(&self) -> Option<&str> {
        match self.what {
            What::Function(_) => std::str::from_utf8(essential(self.name.as_bytes())).ok(),
            _ => Some(self.name),
        }
    }

    /// Whether what was found in the kernel is what the object means. `None` for a weak extern that
    /// is not there.
    fn check<'k>(
        &self,
        local: At<'_, '_>,
        found: Option<KernelType<'k>>,
    ) -> Result<Option<KernelType<'k>>, String> {
        let Some(found) = found else {
            return if self.weak {
                Ok(None)
            } else {
                Err("neither the kernel nor a module that is loaded has one of that name".into())
            };
        };
        let id = found.found.target().unwrap_or_default();
        let target = match found.found.kind() {
            Kind::Var => found.among.resolve(id).map_err(|error| error.to_string())?.id(),
            _ => id,
        };
        let target = At { btf: found.among, id: target };
        match types_are_compatible(local, target, &Fuel::new()) {
            Ok(true) => Ok(Some(found)),
            // libbpf lets only functions be of another type and weak.
            _ if self.weak && found.found.kind() == Kind::Func => Ok(None),
            Ok(false) => Err("the kernel's is of another type".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn unusable(reason: &str) -> What {
    What::Unusable(reason.to_owned())
}

/// What an object's BTF declares `extern`, and where; of several, the first.
struct Declarations<'b, 'a> {
    btf: &'b Btf<'a>,
    /// Variables and functions by name.
    types: BTreeMap<&'a str, Type<'a>>,
    /// Names of the sections that hold them, by id.
    sections: BTreeMap<u32, &'a str>,
}

impl<'b, 'a> Declarations<'b, 'a> {
    fn read(btf: &'b Btf<'a>) -> Self {
        let mut declarations = Self { btf, types: BTreeMap::new(), sections: BTreeMap::new() };
        for found in btf.types() {
            match found.shape() {
                Shape::Var { linkage: Linkage::Extern, .. }
                | Shape::Func { linkage: Linkage::Extern, .. } => {
                    declarations.types.entry(found.name()).or_insert(found);
                }
                Shape::Datasec(variables) => {
                    for variable in variables {
                        declarations.sections.entry(variable.type_id).or_insert(found.name());
                    }
                }
                _ => {}
            }
        }
        declarations
    }

    /// What must supply an extern.
    fn what(&self, name: &str, weak: bool) -> What {
        match self.types.get(name) {
            Some(declared) => {
                let section = self.sections.get(&declared.id()).copied();
                declaration(self.btf, *declared, section, weak)
            }
            None => unusable("the object declares it nowhere in its BTF"),
        }
    }
}

/// What an extern declared in a section is.
fn declaration(btf: &Btf<'_>, declared: Type<'_>, section: Option<&str>, weak: bool) -> What {
    let target = declared.target().unwrap_or_default();
    match (section, declared.kind()) {
        (Some(".ksyms"), Kind::Func) => What::Function(target),
        (Some(".ksyms"), _) => match btf.resolve(target) {
            Ok(found) if found.kind() == Kind::Void => What::Symbol,
            Ok(found) => What::Variable(found.id()),
            Err(error) => What::Unusable(error.to_string()),
        },
        (Some(".kconfig"), Kind::Var) => match KconfigKind::of(btf, target) {
            Some((kind, size, align)) => What::Config(KconfigVariable {
                name: declared.name().to_owned(),
                kind,
                offset: 0,
                size,
                align,
                weak,
            }),
            None => unusable("its type is none that a value of the configuration can have"),
        },
        (Some(".kconfig"), _) => unusable("a function cannot be in .kconfig"),
        (Some(other), _) => What::Unusable(format!("externs cannot be in section `{other}`")),
        (None, _) => unusable("it is in no section that says where it comes from"),
    }
}

impl Binding<'_, '_> {
    /// Fills an extern into an instruction, and gives its name if it is called and not there, so
    /// that the instruction was poisoned. Fails with its name and why.
    pub(super) fn fill_extern(
        &self,
        symbol: usize,
        call: bool,
        first: &mut Insn,
        second: Option<&mut Insn>,
    ) -> Result<Option<&str>, (String, String)> {
        let name = self.linker.elf.symbols.get(symbol).map_or("?", |symbol| symbol.name);
        let fail = |reason: &str| (name.to_owned(), reason.to_owned());
        let found = match self.externs.get(symbol) {
            Some(Ok(found)) => found,
            Some(Err(reason)) => return Err(fail(reason)),
            None => return Err(fail("it is nowhere declared")),
        };
        if call {
            let (insn, missing) = match found {
                Extern::Kernel(KernelSymbol { id, slot, .. }) => {
                    let call = first.with_src(PSEUDO_KFUNC_CALL).with_off(*slot);
                    (call.with_imm(id.cast_signed()), None)
                }
                Extern::Missing(index) => (poison::missing_function(*index), Some(name)),
                Extern::Address(_) | Extern::Config(_) => {
                    return Err(fail("it is called, but is no function"));
                }
            };
            *first = insn;
            return Ok(missing);
        }
        let Some(second) = second else { return Err(fail("its instruction is cut short")) };
        let (src, low, high) = match found {
            Extern::Kernel(KernelSymbol { id, btf, .. }) => (PSEUDO_BTF_ID, id.cast_signed(), *btf),
            Extern::Config(offset) => {
                let fd = self.environment.maps.get(".kconfig").copied();
                let fd = fd.ok_or_else(|| fail("map `.kconfig` was not created"))?;
                (PSEUDO_MAP_VALUE, fd, offset.cast_signed())
            }
            Extern::Missing(_) => (first.src(), 0, 0),
            Extern::Address(address) => {
                let (low, high) = split(*address);
                (first.src(), low, high)
            }
        };
        *first = first.with_src(src).with_imm(low);
        *second = second.with_imm(high);
        Ok(None)
    }
}
