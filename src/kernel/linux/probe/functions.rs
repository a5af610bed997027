//! The kernel's functions that can be probed together, by name.
//!
//! Source: `libbpf_available_kprobes_parse` and `libbpf_available_kallsyms_parse` of libbpf's
//! `src/libbpf.c`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;

use crate::kernel::linux::tracefs;
use crate::model::probe::{is_pattern, matches};

/// Functions with their addresses, since Linux 6.5.
const WITH_ADDRESSES: &str = "available_filter_functions_addrs";
/// Their names.
const NAMES: &str = "available_filter_functions";
/// Every symbol with its address.
const SYMBOLS: &str = "/proc/kallsyms";

/// The functions that are meant, with their addresses: all of a pattern that can be probed, or those of
/// a list.
pub(super) fn look_up(names: &[String]) -> Result<Vec<(String, u64)>, String> {
    let wanted = |name: &str| match names {
        [pattern] if is_pattern(pattern) => matches(pattern, name),
        names => names.iter().any(|known| known == name),
    };
    let found = if let Some(text) = read(WITH_ADDRESSES)? {
        with_addresses(&text, wanted)
    } else {
        let text = read(NAMES)?.ok_or_else(|| {
            format!("tracefs has no `{NAMES}`: the kernel was built without function tracing")
        })?;
        let symbols = fs::read_to_string(SYMBOLS)
            .map_err(|error| format!("{SYMBOLS} cannot be read: {error}"))?;
        from_symbols(&text, &symbols, wanted)
    };
    missing(names, &found)?;
    if found.iter().any(|(_, address)| *address == 0) {
        return Err(format!(
            "{SYMBOLS} hides addresses: it needs CAP_SYSLOG, or kptr_restrict of 0"
        ));
    }
    Ok(found)
}

/// Those of a list must all be there, of a pattern at least one.
fn missing(names: &[String], found: &[(String, u64)]) -> Result<(), String> {
    match names {
        [pattern] if is_pattern(pattern) => {
            if found.is_empty() {
                return Err(format!(
                    "the kernel has no function of the pattern `{pattern}` to probe"
                ));
            }
        }
        names => {
            let has = |name: &String| found.iter().any(|(known, _)| known == name);
            if let Some(name) = names.iter().find(|name| !has(name)) {
                return Err(format!("the kernel has no function `{name}` that can be probed"));
            }
        }
    }
    Ok(())
}

/// A file of tracefs; `None` if it has none of that name.
fn read(name: &str) -> Result<Option<String>, String> {
    for mount in tracefs::MOUNTS {
        let path = format!("{mount}/{name}");
        match fs::read_to_string(&path) {
            Ok(text) => return Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(format!("{path} cannot be read: {error}"));
            }
            Err(_) => {}
        }
    }
    if tracefs::MOUNTS.iter().any(|mount| fs::metadata(format!("{mount}/events")).is_ok()) {
        return Ok(None);
    }
    Err("tracefs is not mounted, so the kernel's functions are not known; mount it with `mount -t \
         tracefs tracefs /sys/kernel/tracing`"
        .to_owned())
}

/// `ffffffff81000000 name [module]`.
fn with_addresses(text: &str, wanted: impl Fn(&str) -> bool) -> Vec<(String, u64)> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(address), Some(name)) = (fields.next(), fields.next()) else { continue };
        if wanted(name)
            && let Ok(address) = u64::from_str_radix(address, 16)
        {
            found.entry(address).or_insert_with(|| name.to_owned());
        }
    }
    found.into_iter().map(|(address, name)| (name, address)).collect()
}

/// Names from the one, `name [module]`, addresses from the other.
fn from_symbols(text: &str, symbols: &str, wanted: impl Fn(&str) -> bool) -> Vec<(String, u64)> {
    let names: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().next())
        .filter(|name| wanted(name))
        .collect();
    let mut found = BTreeMap::new();
    for line in symbols.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(address), Some(kind), Some(name)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if matches!(kind, "t" | "T" | "w" | "W")
            && names.contains(name)
            && let Ok(address) = u64::from_str_radix(address, 16)
        {
            found.entry(address).or_insert_with(|| name.to_owned());
        }
    }
    found.into_iter().map(|(address, name)| (name, address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_the_same() {
        let names = "tcp_connect\ntcp_close\nudp_sendmsg [udp]\ninit_once\n";
        let symbols = "ffffffff00000010 T tcp_connect\nffffffff00000020 t tcp_close\n\
            ffffffff00000030 t udp_sendmsg\t[udp]\nffffffff00000040 D tcp_data\n\
            ffffffff00000050 t tcp_hidden\n";
        let both = "ffffffff00000010 tcp_connect\nffffffff00000020 tcp_close\n\
            ffffffff00000030 udp_sendmsg [udp]\n";
        let wanted = |name: &str| matches("tcp_*", name);
        let found = with_addresses(both, wanted);
        let expected: Vec<_> =
            [("tcp_connect", 0xffff_ffff_0000_0010), ("tcp_close", 0xffff_ffff_0000_0020)]
                .into_iter()
                .map(|(name, at): (&str, u64)| (name.to_owned(), at))
                .collect();
        assert_eq!(found, expected);
        assert_eq!(from_symbols(names, symbols, wanted), expected);
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = [("a".to_owned(), 1)];
        assert_eq!(missing(&["a".to_owned()], &found), Ok(()));
        let error = missing(&["a".to_owned(), "b".to_owned()], &found).expect_err("b is missing");
        assert!(error.contains("`b`"), "{error}");
        assert!(missing(&["c*".to_owned()], &[]).is_err());
    }
}
