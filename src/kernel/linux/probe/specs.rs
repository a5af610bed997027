//! The map of `usdt.bpf.h` that tells a program where the arguments of a probe are.
//!
//! A link's cookie is the number of an entry. Entry 0 stays empty: it is for probes that have neither
//! arguments nor a cookie.

use super::arguments::{self, SPEC_SIZE};
use super::usdt::Site;
use crate::kernel::linux::handle::Handle;
use crate::kernel::linux::sys::Elements;
use crate::model::identity::ObjectKind;
use crate::model::kinds::MapType;

/// The map, by its name in C.
pub(super) const MAP: &str = "__bpf_usdt_specs";

/// The number of an entry for each site, which is written unless it is there.
pub(super) fn enter(map: &Handle, sites: &[&Site], cookie: u64) -> Result<Vec<u64>, String> {
    let cannot = |errno| format!("map `{MAP}` cannot be filled: {errno}");
    let fd = map.expect(ObjectKind::Map).map_err(cannot)?;
    let (elements, info) = Elements::of(fd).map_err(cannot)?;
    let shape = info.shape;
    if shape.map_type != MapType::ARRAY || shape.key_size != 4 {
        return Err(format!("map `{MAP}` is not the one of `usdt.bpf.h`"));
    }
    if usize::try_from(shape.value_size) != Ok(SPEC_SIZE) {
        return Err(format!(
            "the entries of map `{MAP}` have {} bytes, not {SPEC_SIZE}: another `usdt.bpf.h` than is known",
            shape.value_size
        ));
    }
    let mut entries = Vec::new();
    for index in 0..shape.max_entries {
        let mut entry = [0; SPEC_SIZE];
        elements.lookup(&index.to_ne_bytes(), &mut entry, 0).map_err(cannot)?;
        entries.push((index, entry));
    }
    let mut numbers = Vec::new();
    for site in sites {
        let spec = arguments::spec(&site.arguments, cookie);
        let known = entries.iter().find(|(_, entry)| *entry == spec).map(|(number, _)| *number);
        let number = if let Some(known) = known {
            known
        } else {
            let free = entries.iter_mut().skip(1).find(|(_, entry)| *entry == [0; SPEC_SIZE]);
            let (number, entry) = free.ok_or_else(|| {
                format!(
                    "map `{MAP}` has no free entry: define BPF_USDT_MAX_SPEC_CNT larger than {} before \
                     `#include <bpf/usdt.bpf.h>`",
                    shape.max_entries
                )
            })?;
            elements.update(&number.to_ne_bytes(), &spec, 0).map_err(cannot)?;
            *entry = spec;
            *number
        };
        numbers.push(u64::from(number));
    }
    Ok(numbers)
}
