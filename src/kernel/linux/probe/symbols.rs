//! Functions by the names that people write: as they are in the file, with a version, or as they were
//! in C++ or Rust.

use std::collections::BTreeMap;

use super::elf::{Binary, Symbol, Table};
use crate::model::probe::{is_pattern, matches};

/// The offsets of functions: each name has one, a pattern as many as match it.
pub(super) fn look_up(binary: &Binary, names: &[String]) -> Result<Vec<u64>, String> {
    match names {
        [pattern] if is_pattern(pattern) => {
            Ok(all_of(binary, pattern)?.into_iter().map(|(_, offset)| offset).collect())
        }
        names => names.iter().map(|name| one(binary, name)).collect(),
    }
}

/// The functions of a pattern by a name that stands for each alone, with their offsets. Several names
/// of one function count once.
pub(super) fn all_of(binary: &Binary, pattern: &str) -> Result<Vec<(String, u64)>, String> {
    for table in [Table::All, Table::Dynamic] {
        let mut found = BTreeMap::new();
        binary.functions(table, &mut |symbol| {
            let is_meant = matches(pattern, symbol.name)
                || demangled(symbol.name).is_some_and(|name| matches(pattern, &name));
            if is_meant {
                found.entry(symbol.offset).or_insert_with(|| symbol.name.to_owned());
            }
        })?;
        if !found.is_empty() {
            return Ok(found.into_iter().map(|(offset, name)| (name, offset)).collect());
        }
    }
    Err(format!("it has no function of the pattern `{pattern}`"))
}

fn one(binary: &Binary, wanted: &str) -> Result<u64, String> {
    let as_written = |symbol: &Symbol<'_>| is_named(symbol, wanted);
    let in_source = |symbol: &Symbol<'_>| is_called(symbol.name, wanted);
    let ways: [&dyn Fn(&Symbol<'_>) -> bool; 2] = [&as_written, &in_source];
    for is_meant in ways {
        for table in [Table::Dynamic, Table::All] {
            let mut found: Vec<(String, u64, bool)> = Vec::new();
            binary.functions(table, &mut |symbol| {
                if is_meant(&symbol) {
                    found.push((symbol.name.to_owned(), symbol.offset, symbol.is_weak));
                }
            })?;
            if let Some(offset) = choose(&found, wanted)? {
                return Ok(offset);
            }
        }
    }
    Err(format!(
        "it has no function `{wanted}`; `nm --demangle` and `nm --dynamic` list what it has"
    ))
}

/// The one that is meant: a strong symbol before weak ones, if all are of one place.
fn choose(found: &[(String, u64, bool)], wanted: &str) -> Result<Option<u64>, String> {
    let strong: Vec<_> = found.iter().filter(|(.., is_weak)| !is_weak).collect();
    let found = if strong.is_empty() { found.iter().collect() } else { strong };
    let Some((first, offset, is_weak)) = found.first() else { return Ok(None) };
    match found.iter().find(|(_, other, _)| other != offset) {
        Some((other, at, _)) if !is_weak => Err(format!(
            "several functions are called `{wanted}`, such as `{first}` at {offset:#x} and `{other}` at \
             {at:#x}: write the name of one as it is in the file, or a pattern for all"
        )),
        _ => Ok(Some(*offset)),
    }
}

/// Whether a symbol has that name: `malloc` is the version that programs are linked to now,
/// `malloc@GLIBC_2.2.5` or `malloc@@GLIBC_2.2.5` another one.
fn is_named(symbol: &Symbol<'_>, wanted: &str) -> bool {
    let Some((name, version)) = wanted.split_once('@') else {
        return symbol.name == wanted && !symbol.is_hidden;
    };
    let version = version.strip_prefix('@').unwrap_or(version);
    symbol.name == wanted || (symbol.name == name && symbol.version == Some(version))
}

/// Whether that is how the source calls a function. Of one of C++, the arguments may be left out.
fn is_called(mangled: &str, wanted: &str) -> bool {
    demangled(mangled).is_some_and(|name| {
        let without_arguments =
            || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('('));
        name == wanted || without_arguments()
    })
}

/// The name of a function of C++ or Rust as the source has it; of the latter without the hash.
fn demangled(name: &str) -> Option<String> {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return Some(format!("{rust:#}"));
    }
    if !name.starts_with("_Z") {
        return None;
    }
    cpp_demangle::Symbol::new(name).ok()?.demangle().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol<'a>(name: &'a str, version: Option<&'a str>, is_hidden: bool) -> Symbol<'a> {
        Symbol { name, version, is_hidden, is_weak: false, offset: 0 }
    }

    #[test]
    fn a_version_tells_functions_of_one_name_apart() {
        let old = symbol("memcpy", Some("GLIBC_2.2.5"), true);
        let new = symbol("memcpy", Some("GLIBC_2.14"), false);
        assert!(!is_named(&old, "memcpy") && is_named(&new, "memcpy"));
        for name in ["memcpy@GLIBC_2.2.5", "memcpy@@GLIBC_2.2.5"] {
            assert!(is_named(&old, name) && !is_named(&new, name), "{name}");
        }
        assert!(is_named(&symbol("memcpy@plain", None, false), "memcpy@plain"));
    }

    #[test]
    fn names_of_the_source() {
        for (mangled, written) in [
            ("_ZN3foo3barEi", "foo::bar(int)"),
            ("_ZN3foo3barEi", "foo::bar"),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
        ] {
            assert!(is_called(mangled, written), "{mangled}: {:?}", demangled(mangled));
        }
        assert!(!is_called("_ZN3foo3barEi", "foo::ba"));
        assert!(!is_called("plain", "plain"));
    }

    #[test]
    fn ambiguity_is_told_and_a_strong_symbol_wins() {
        let found = |list: &[(&str, u64, bool)]| -> Vec<(String, u64, bool)> {
            list.iter().map(|(name, at, weak)| ((*name).to_owned(), *at, *weak)).collect()
        };
        assert_eq!(choose(&found(&[]), "f"), Ok(None));
        assert_eq!(choose(&found(&[("f", 1, true), ("f", 2, false)]), "f"), Ok(Some(2)));
        assert_eq!(choose(&found(&[("f", 1, true), ("f", 2, true)]), "f"), Ok(Some(1)));
        assert_eq!(choose(&found(&[("f", 3, false), ("f", 3, false)]), "f"), Ok(Some(3)));
        let error = choose(&found(&[("f", 1, false), ("f", 2, false)]), "f").expect_err("two");
        assert!(error.contains("0x1") && error.contains("0x2"), "{error}");
    }
}
