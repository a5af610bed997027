//! The maps of `usdt.bpf.h` that tell a program where the arguments of a probe are.
//!
//! A link's cookie is the number of an entry. Entry 0 stays empty: it is for probes that have neither
//! arguments nor a cookie. Where there are no cookies, another map tells the number by the address of the
//! probe's instruction (`__bpf_usdt_spec_id`).

use rustix::io::Errno;

use super::arguments::{self, SPEC_SIZE};
use super::usdt::Site;
use crate::kernel::linux::handle::Handle;
use crate::kernel::linux::sys::Elements;
use crate::model::identity::ObjectKind;
use crate::model::kinds::MapType;
use crate::model::probe::{USDT_ADDRESSES, USDT_SPECS};

/// The number of an entry for each site, which is written unless it is there.
pub(super) fn enter(map: &Handle, sites: &[&Site], cookie: u64) -> Result<Vec<u64>, String> {
    let cannot = |errno| format!("map `{USDT_SPECS}` cannot be filled: {errno}");
    let fd = map.expect(ObjectKind::Map).map_err(cannot)?;
    let (elements, info) = Elements::of(fd).map_err(cannot)?;
    let shape = info.shape;
    if shape.map_type != MapType::ARRAY || shape.key_size != 4 {
        return Err(format!("map `{USDT_SPECS}` is not the one of `usdt.bpf.h`"));
    }
    if usize::try_from(shape.value_size) != Ok(SPEC_SIZE) {
        return Err(format!(
            "the entries of map `{USDT_SPECS}` have {} bytes, not {SPEC_SIZE}: another `usdt.bpf.h` than is known",
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
                    "map `{USDT_SPECS}` has no free entry: define BPF_USDT_MAX_SPEC_CNT larger than {} before \
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

/// Has the instruction at each of these addresses stand for the entry of that number.
pub(super) fn enter_addresses(map: &Handle, addresses: &[u64], number: u64) -> Result<(), String> {
    /// `BPF_NOEXIST`
    const NEW: u64 = 1;
    let cannot = |errno| format!("map `{USDT_ADDRESSES}` cannot be filled: {errno}");
    let fd = map.expect(ObjectKind::Map).map_err(cannot)?;
    let (elements, info) = Elements::of(fd).map_err(cannot)?;
    let shape = info.shape;
    if (shape.map_type, shape.key_size, shape.value_size) != (MapType::HASH, 8, 4) {
        return Err(format!("map `{USDT_ADDRESSES}` is not the one of `usdt.bpf.h`"));
    }
    let number = u32::try_from(number).map_err(|_beyond| cannot(Errno::RANGE))?.to_ne_bytes();
    for address in addresses {
        let key = address.to_ne_bytes();
        match elements.update(&key, &number, NEW) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let mut there = [0; 4];
                elements.lookup(&key, &mut there, 0).map_err(cannot)?;
                if there != number {
                    return Err(format!(
                        "the instruction at {address:#x} stands for another probe or cookie already: \
                         before Linux 5.15, programs of one object cannot tell probes at the same address \
                         apart (map `{USDT_ADDRESSES}`); put them into objects of their own"
                    ));
                }
            }
            Err(Errno::TOOBIG) => {
                return Err(format!(
                    "map `{USDT_ADDRESSES}` is full: define BPF_USDT_MAX_IP_CNT larger than {} before \
                     `#include <bpf/usdt.bpf.h>`, or say so by the map's `max-entries`",
                    shape.max_entries
                ));
            }
            Err(errno) => return Err(cannot(errno)),
        }
    }
    Ok(())
}
