//! Symbols of the kernel by name, from `/proc/kallsyms`, in one pass.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};

/// One symbol a line: address, type, name, and for those of a module its name.
pub(super) const PATH: &str = "/proc/kallsyms";

/// The addresses of the symbols that are there (libbpf `bpf_object__read_kallsyms_file`).
pub(super) fn look_up(wanted: &BTreeSet<&str>) -> Result<BTreeMap<String, u64>, String> {
    let file = File::open(PATH).map_err(|error| error.to_string())?;
    addresses(BufReader::with_capacity(1 << 16, file), wanted)
}

/// Whether system calls have wrappers that take their arguments from `struct pt_regs`. libbpf places
/// a probe on one (`probe_kern_syscall_wrapper`); its name says the same, without a trace.
pub(super) fn has_syscall_wrapper() -> Result<bool, String> {
    let prefix = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        "riscv64" => "riscv",
        other => other,
    };
    let name = format!("__{prefix}_sys_bpf");
    Ok(look_up(&BTreeSet::from([name.as_str()]))?.contains_key(&name))
}

fn addresses(
    mut lines: impl BufRead,
    wanted: &BTreeSet<&str>,
) -> Result<BTreeMap<String, u64>, String> {
    let mut found = BTreeMap::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(|error| error.to_string())? == 0 {
            return Ok(found);
        }
        let Some((address, name)) = parse(&line).filter(|(_, name)| wanted.contains(name)) else {
            continue;
        };
        match found.get(name) {
            Some(other) if *other != address => {
                return Err(format!("symbol `{name}` is ambiguous: {other:#x} or {address:#x}"));
            }
            Some(_) => {}
            None => {
                found.insert(name.to_owned(), address);
            }
        }
    }
}

/// Address and name of a symbol; without what LLVM adds to the names of static data.
fn parse(line: &[u8]) -> Option<(u64, &str)> {
    let mut fields = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    let address = u64::from_str_radix(fields.next()?, 16).ok()?;
    let (kind, name) = (fields.next()?, fields.next()?);
    let name = match name.split_once(".llvm.") {
        Some((plain, _)) if kind == "d" => plain,
        _ => name,
    };
    Some((address, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[u8] = b"ffffffff81000000 T _stext\nffffffff81000010 t twice\n\
        ffffffff81000020 d data.llvm.123\nffffffff81000030 t text.llvm.123\n\
        ffffffff81000040 t twice\t[module]\n0000000000000000 T hidden\nnonsense\n";

    fn found(wanted: &[&str]) -> Result<BTreeMap<String, u64>, String> {
        addresses(LINES, &wanted.iter().copied().collect())
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        let symbols = found(&["_stext", "data", "text", "hidden", "absent"]).expect("unambiguous");
        let expected = [("_stext", 0xffff_ffff_8100_0000), ("data", 0xffff_ffff_8100_0020)];
        let expected = expected.into_iter().chain([("hidden", 0)]);
        assert_eq!(symbols, expected.map(|(name, at)| (name.to_owned(), at)).collect());
    }

    #[test]
    fn a_name_with_two_addresses_is_refused() {
        let error = found(&["twice"]).expect_err("it has two");
        assert!(error.contains("`twice`") && error.contains("0xffffffff81000040"), "{error}");
    }
}
