//! Any bytes as BTF and as BTF.ext, walked from end to end, resolved and written again.

#![no_main]

use std::collections::BTreeSet;

use ebpf_apply::btf::{Btf, BtfExt};
use ebpf_apply::object::expand_types;
use ebpf_apply::relocate::{BtfFeature, sanitize_btf};
use libfuzzer_sys::fuzz_target;

/// Ids to expand: enough to reach every kind of type, few enough to keep a run short.
const EXPANDED: u32 = 64;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(btf) = Btf::parse(bytes) {
        walk(&btf);
        if let Ok(split) = Btf::parse_split(bytes, &btf) {
            walk(&split);
        }
        for missing in [BTreeSet::new(), BtfFeature::ALL.into()] {
            if let Ok(written) = sanitize_btf(bytes, &missing) {
                let again = Btf::parse(&written).expect("what we write, we read");
                assert!(again.type_count() >= btf.type_count(), "ids stay what they were");
            }
        }
    }
    if let Ok(ext) = BtfExt::parse(bytes) {
        let tables = [ext.func_info, ext.line_info, ext.core_relo];
        let records: usize = tables
            .into_iter()
            .flat_map(|table| table.sections())
            .map(|section| section.records().count())
            .sum();
        assert!(records <= bytes.len());
        ext.core_relo.sections().flat_map(|section| section.core_relos()).for_each(drop);
    }
});

fn walk(btf: &Btf<'_>) {
    for found in btf.types() {
        let _ = (found.name(), found.shape(), found.size(), found.target());
        let _ =
            (btf.resolve(found.id()), btf.resolve_modifiers(found.id()), btf.size_of(found.id()));
        found.members().iter().for_each(drop);
        btf.variables(found).for_each(drop);
    }
    for id in 0..btf.type_count().min(EXPANDED) {
        let _ = expand_types(btf, [id, id + 1]);
    }
}
