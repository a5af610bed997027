//! Any bytes as an object, linked against itself: its own BTF stands for the kernel's, so that
//! relocations have something to match.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use ebpf_apply::btf::Btf;
use ebpf_apply::object::inspect;
use ebpf_apply::relocate::{BtfFeature, Environment, Linker, sanitize_btf};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(linker) = Linker::open(bytes) else { return };
    let btf = linker.btf().ok().flatten();
    if let Some(btf) = &btf {
        for missing in [BTreeSet::new(), BtfFeature::ALL.into()] {
            let _ = sanitize_btf(btf, &missing);
        }
    }
    let kernel = btf.as_deref().and_then(|btf| Btf::parse(btf).ok());
    let maps = maps(bytes);
    let symbols: BTreeMap<String, u64> = linker
        .kernel_symbols()
        .zip(1..)
        .map(|(name, at)| (name.to_owned(), at << 32 | at))
        .collect();
    let environment = Environment {
        maps: &maps,
        kernel_btf: kernel.as_ref(),
        core_btf: kernel.as_ref(),
        kernel_symbols: &symbols,
    };
    let binding = linker.bind(environment);
    for program in linker.programs() {
        if let Ok(linked) = binding.link(program) {
            let count = linked.instructions.len();
            assert!(linked.unresolved.iter().all(|missing| missing.instruction < count));
        }
    }
});

/// A descriptor for each of the object's maps.
fn maps(bytes: &[u8]) -> BTreeMap<String, i32> {
    let names = inspect(bytes).map(|spec| spec.maps).unwrap_or_default();
    let names = names.into_iter().map(|map| map.name).chain([".kconfig".to_owned()]);
    names.zip(100..).collect()
}
