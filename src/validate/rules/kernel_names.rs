//! Names as the kernel keeps them: the first 15 bytes (`BPF_OBJ_NAME_LEN`).

use std::collections::BTreeMap;

use crate::model::code;
use crate::model::map::{KERNEL_NAME_MAX, MapSpec};
use crate::model::problem::Problem;
use crate::validate::desired::DesiredMap;
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// Looks for maps of one object that `bpftool map` shows under one name. Programs are told apart by
/// their BTF, and pins by their full names.
pub(in crate::validate) fn check(
    subject: &Subject<'_>,
    maps: &[DesiredMap],
    findings: &mut Findings<'_>,
) {
    let mut taken = BTreeMap::<String, &MapSpec>::new();
    for map in maps.iter().map(|map| &map.spec).filter(|map| map.is_declared()) {
        let shown = map.kernel_name(subject.image.name());
        let Some(first) = taken.get(&shown).filter(|first| first.name != map.name) else {
            taken.entry(shown).or_insert(map);
            continue;
        };
        let message =
            format!("the kernel shows maps `{}` and `{}` both as `{shown}`", first.name, map.name);
        let problem = Problem::warning(code::KERNEL_NAME_CLASH, None, message).help(format!(
            "it keeps {KERNEL_NAME_MAX} bytes of a name, so tools that list maps cannot tell them \
             apart; their pins have the full names. Rename one in C"
        ));
        findings.at(&subject.map_spot(&map.name), problem);
    }
}
