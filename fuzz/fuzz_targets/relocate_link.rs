//! Any bytes as an object, linked against itself: its own BTF stands for the kernel's, and then for that
//! of a module of a kernel without types, so that relocations have something to match.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use ebpf_apply::btf::Btf;
use ebpf_apply::model::kinds::ProgramType;
use ebpf_apply::object::inspect;
use ebpf_apply::relocate::{
    Arena, BtfFeature, Environment, KernelTypes, Linker, Module, Modules, NoModules, find_attach_target,
    sanitize_btf,
};
use libfuzzer_sys::fuzz_target;

/// BTF without a type.
const NOTHING: [u8; 25] =
    [0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];

#[derive(Debug)]
struct Loaded<'m>([Module<'m>; 1]);

impl Modules for Loaded<'_> {
    fn all(&self) -> &[Module<'_>] {
        &self.0
    }

    fn descriptor(&self, _: &Module<'_>) -> Result<i32, String> {
        Ok(77)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(linker) = Linker::open(bytes) else { return };
    let programs = [ProgramType::XDP, ProgramType::KPROBE, ProgramType::RAW_TRACEPOINT];
    let btf = linker.btf_for(&programs.into()).ok().flatten().map(|(bytes, _)| bytes);
    if let Some(btf) = &btf {
        for missing in [BTreeSet::new(), BtfFeature::ALL.into()] {
            let _ = sanitize_btf(btf, &missing);
        }
    }
    let maps = maps(bytes);
    let own = btf.as_deref().and_then(|btf| Btf::parse(btf).ok());
    link(&linker, &maps, own.as_ref().map(|own| KernelTypes { own, modules: &NoModules }));

    let nothing = Btf::parse(&NOTHING).expect("it is BTF");
    let module = btf.as_deref().map(continuing).unwrap_or_default();
    let Ok(types) = Btf::parse_split(&module, &nothing) else { return };
    let modules = Loaded([Module { name: "module".to_owned(), types }]);
    link(&linker, &maps, Some(KernelTypes { own: &nothing, modules: &modules }));
});

fn link(linker: &Linker<'_>, maps: &BTreeMap<String, i32>, kernel: Option<KernelTypes<'_>>) {
    let symbols: BTreeMap<String, u64> = linker
        .kernel_symbols()
        .zip(1..)
        .map(|(name, at)| (name.to_owned(), at << 32 | at))
        .collect();
    let arena = Some(Arena { descriptor: 99, offset: u32::MAX });
    let binding =
        linker.bind(Environment { maps, arena, kernel, core_btf: None, kernel_symbols: &symbols });
    for program in linker.programs() {
        if let Ok(linked) = binding.link(program) {
            let count = linked.instructions.len();
            assert!(linked.unresolved.iter().all(|missing| missing.instruction < count));
        }
        if let Some(kernel) = kernel {
            let _ = find_attach_target(kernel, "", program, ebpf_apply::btf::Kind::Func);
        }
    }
}

/// BTF without the empty name at its beginning, which is the one that `NOTHING` has.
fn continuing(btf: &[u8]) -> Vec<u8> {
    let mut split = btf.to_vec();
    for (at, by) in [(16, 1), (20, u32::MAX)] {
        if let Some(field) = split.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
            *field = u32::from_le_bytes(*field).wrapping_add(by).to_le_bytes();
        }
    }
    split
}

/// A descriptor for each of the object's maps.
fn maps(bytes: &[u8]) -> BTreeMap<String, i32> {
    let names = inspect(bytes).map(|spec| spec.maps).unwrap_or_default();
    let names = names.into_iter().map(|map| map.name).chain([".kconfig".to_owned()]);
    names.zip(100..).collect()
}
