//! The value of a `.kconfig` map: each variable's value where it belongs, as libbpf writes it
//! (`bpf_object__process_kconfig_line`, `set_kcfg_value_tri`, `set_kcfg_value_str`,
//! `set_kcfg_value_num`).

use std::collections::{BTreeMap, BTreeSet};

use crate::relocate::{KconfigKind, KconfigVariable};

/// What is asked for like a value of the configuration, and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Virtual {
    /// `LINUX_KERNEL_VERSION`: as `KERNEL_VERSION(a, b, c)` makes it.
    KernelVersion,
    /// `LINUX_HAS_BPF_COOKIE`: whether there is `bpf_get_attach_cookie`.
    BpfCookie,
    /// `LINUX_HAS_SYSCALL_WRAPPER`: whether system calls have wrappers.
    SyscallWrapper,
}

/// Bytes of the largest value of a map that is made of them.
const SIZE_MAX: u64 = 1 << 20;

/// The map's value. The configuration is only read if a variable needs it; `virtual_value` is only
/// asked for what is there.
pub(super) fn fill(
    variables: &[&KconfigVariable],
    virtual_value: impl Fn(Virtual) -> Result<u64, String>,
    config: impl FnOnce() -> Result<String, String>,
) -> Result<Vec<u8>, String> {
    let mut value = zeroes(variables)?;
    let mut options = BTreeMap::new();
    for variable in variables {
        if variable.name.starts_with("CONFIG_") {
            options.insert(variable.name.as_str(), *variable);
            continue;
        }
        let number = match variable.name.as_str() {
            "LINUX_KERNEL_VERSION" => virtual_value(Virtual::KernelVersion)?,
            "LINUX_HAS_BPF_COOKIE" => virtual_value(Virtual::BpfCookie)?,
            "LINUX_HAS_SYSCALL_WRAPPER" => virtual_value(Virtual::SyscallWrapper)?,
            name if name.starts_with("LINUX_") && variable.weak => 0,
            name => {
                return Err(format!(
                    "`{name}` is nothing that can be supplied: names begin with `CONFIG_`, or are \
                     `LINUX_KERNEL_VERSION`, `LINUX_HAS_BPF_COOKIE`, `LINUX_HAS_SYSCALL_WRAPPER`"
                ));
            }
        };
        write(&mut value, variable, &number_bytes(variable, number)?);
    }
    if options.is_empty() {
        return Ok(value);
    }
    let text = config()?;
    let mut set = BTreeSet::new();
    for (name, written) in text.lines().filter_map(|line| line.split_once('=')) {
        // The first line counts, as with libbpf.
        if let Some(variable) = options.get(name).filter(|_| set.insert(name)) {
            write(&mut value, variable, &bytes(variable, written)?);
        }
    }
    match options.values().find(|option| !option.weak && !set.contains(option.name.as_str())) {
        None => Ok(value),
        Some(missing) => Err(format!(
            "the running kernel's configuration does not set `{}`; `__weak` on its declaration makes \
             it 0 there",
            missing.name
        )),
    }
}

fn zeroes(variables: &[&KconfigVariable]) -> Result<Vec<u8>, String> {
    let ends = variables.iter().map(|one| u64::from(one.offset) + u64::from(one.size));
    let size = ends.max().unwrap_or_default();
    let length = usize::try_from(size).ok().filter(|_| size <= SIZE_MAX);
    length.map(|length| vec![0; length]).ok_or_else(|| format!("its variables take {size} bytes"))
}

fn write(value: &mut [u8], variable: &KconfigVariable, bytes: &[u8]) {
    let start = variable.offset as usize;
    if let Some(place) = value.get_mut(start..).and_then(|rest| rest.get_mut(..bytes.len())) {
        place.copy_from_slice(bytes);
    }
}

/// A value as the configuration writes it.
fn bytes(variable: &KconfigVariable, written: &str) -> Result<Vec<u8>, String> {
    match written.as_bytes() {
        [choice @ (b'y' | b'n' | b'm'), ..] => choice_bytes(variable, *choice),
        [b'"', ..] => text_bytes(variable, written),
        _ => {
            let number = parse(written).ok_or_else(|| implies(variable, written, "no number"))?;
            match variable.kind {
                KconfigKind::Int { .. } | KconfigKind::Char { .. } => {
                    number_bytes(variable, number)
                }
                _ => Err(implies(variable, written, "an integer")),
            }
        }
    }
}

fn choice_bytes(variable: &KconfigVariable, choice: u8) -> Result<Vec<u8>, String> {
    let written = char::from(choice).to_string();
    match variable.kind {
        KconfigKind::Bool if choice == b'm' => Err(implies(variable, "m", "a tristate or a char")),
        KconfigKind::Bool => Ok(vec![u8::from(choice == b'y')]),
        KconfigKind::Char { .. } => Ok(vec![choice]),
        KconfigKind::Tristate => {
            // `TRI_NO`, `TRI_YES`, `TRI_MODULE`
            let number: u8 = match choice {
                b'y' => 1,
                b'm' => 2,
                _ => 0,
            };
            let mut bytes = vec![0; variable.size as usize];
            if let Some(low) = bytes.first_mut() {
                *low = number;
            }
            Ok(bytes)
        }
        _ => Err(implies(variable, &written, "a bool, a tristate or a char")),
    }
}

/// The text between the quotes; what does not fit is cut off, a NUL always ends it.
fn text_bytes(variable: &KconfigVariable, written: &str) -> Result<Vec<u8>, String> {
    if variable.kind != KconfigKind::Text {
        return Err(implies(variable, written, "an array of char"));
    }
    let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let inner = inner.ok_or_else(|| implies(variable, written, "no text that ends"))?;
    let room = (variable.size as usize).saturating_sub(1);
    let mut bytes: Vec<u8> = inner.bytes().take(room).collect();
    if inner.len() > room {
        tracing::warn!("extern `{}`: \"{inner}\" is cut to {room} bytes", variable.name);
    }
    bytes.push(0);
    Ok(bytes)
}

fn number_bytes(variable: &KconfigVariable, number: u64) -> Result<Vec<u8>, String> {
    let fits = match variable.kind {
        KconfigKind::Bool => number <= 1,
        KconfigKind::Char { signed } | KconfigKind::Int { signed } => {
            fits(number, variable.size, signed)
        }
        KconfigKind::Tristate | KconfigKind::Text => {
            return Err(implies(variable, &number.to_string(), "an integer, a char or a bool"));
        }
    };
    let size = variable.size as usize;
    let bytes = number.to_ne_bytes();
    let low = if cfg!(target_endian = "little") {
        bytes.get(..size)
    } else {
        bytes.get(bytes.len().saturating_sub(size)..)
    };
    match low {
        Some(low) if fits => Ok(low.to_vec()),
        _ => Err(format!(
            "extern `{}` has {} bytes, and the value {number} does not fit in",
            variable.name, variable.size
        )),
    }
}

/// Whether the number is the same in fewer bytes (libbpf `is_kcfg_value_in_range`).
fn fits(number: u64, bytes: u32, signed: bool) -> bool {
    let bits = bytes.saturating_mul(8);
    if bits >= 64 {
        true
    } else if signed {
        number.wrapping_add(1 << bits.saturating_sub(1)) < 1 << bits
    } else {
        number >> bits == 0
    }
}

/// A number as `strtoull` with base 0 takes it: decimal, hexadecimal, octal, and negative ones
/// wrapped around.
fn parse(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let number = match (hexadecimal, digits.strip_prefix('0')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16),
        (None, Some(octal)) if !octal.is_empty() => u64::from_str_radix(octal, 8),
        _ => digits.parse(),
    };
    let number = number.ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}

fn implies(variable: &KconfigVariable, written: &str, what: &str) -> String {
    format!(
        "`{}` is {written} in the kernel's configuration, which is {what}; extern `{}` is declared as \
         something else",
        variable.name, variable.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "# CONFIG_ABSENT is not set\nCONFIG_Y=y\nCONFIG_M=m\nCONFIG_N=n\n\
        CONFIG_HZ=250\nCONFIG_HZ=1000\nCONFIG_ADDRESS=0xffffffff81000000\nCONFIG_MINUS=-2\n\
        CONFIG_NAME=\"(none)\"\nCONFIG_BAD=\"open\nCONFIG_WORD=word\n";

    fn variable(name: &str, kind: KconfigKind, size: u32) -> KconfigVariable {
        KconfigVariable { name: name.into(), kind, offset: 0, size, align: 1, weak: false }
    }

    fn value(name: &str, kind: KconfigKind, size: u32) -> Result<Vec<u8>, String> {
        let known = |what| match what {
            Virtual::KernelVersion => Ok(0x0006_122c),
            Virtual::BpfCookie => Ok(1),
            Virtual::SyscallWrapper => Err("no symbols".to_owned()),
        };
        fill(&[&variable(name, kind, size)], known, || Ok(CONFIG.to_owned()))
    }

    const UNSIGNED: KconfigKind = KconfigKind::Int { signed: false };
    const CHAR: KconfigKind = KconfigKind::Char { signed: false };
    const SIGNED: KconfigKind = KconfigKind::Int { signed: true };

    #[test]
    fn choices() {
        assert_eq!(value("CONFIG_Y", KconfigKind::Bool, 1), Ok(vec![1]));
        assert_eq!(value("CONFIG_N", KconfigKind::Bool, 1), Ok(vec![0]));
        assert!(value("CONFIG_M", KconfigKind::Bool, 1).is_err());
        assert_eq!(value("CONFIG_M", CHAR, 1), Ok(vec![b'm']));
        assert_eq!(value("CONFIG_M", KconfigKind::Tristate, 4), Ok(vec![2, 0, 0, 0]));
        assert!(value("CONFIG_Y", UNSIGNED, 4).is_err());
    }

    #[test]
    fn numbers_fit_or_are_refused() {
        assert_eq!(value("CONFIG_HZ", UNSIGNED, 8), Ok(250_u64.to_ne_bytes().to_vec()));
        assert_eq!(value("CONFIG_HZ", UNSIGNED, 2), Ok(250_u16.to_ne_bytes().to_vec()));
        assert_eq!(value("CONFIG_HZ", CHAR, 1), Ok(vec![250]));
        assert!(value("CONFIG_HZ", KconfigKind::Bool, 1).is_err());
        assert!(value("CONFIG_ADDRESS", UNSIGNED, 4).is_err());
        assert!(value("CONFIG_ADDRESS", UNSIGNED, 8).is_ok());
        assert_eq!(value("CONFIG_MINUS", SIGNED, 4), Ok((-2_i32).to_ne_bytes().to_vec()));
        assert!(value("CONFIG_MINUS", UNSIGNED, 4).is_err());
        assert!(value("CONFIG_WORD", UNSIGNED, 4).is_err());
        for (number, signed, fit) in
            [(127, true, true), (128, true, false), (255, false, true), (256, false, false)]
        {
            assert_eq!(fits(number, 1, signed), fit, "{number}");
        }
        assert_eq!(
            ["010", "0x1f", "0", "08", ""].map(parse),
            [Some(8), Some(31), Some(0), None, None]
        );
    }

    #[test]
    fn text_is_cut_to_its_room() {
        assert_eq!(value("CONFIG_NAME", KconfigKind::Text, 10), Ok(b"(none)\0\0\0\0".to_vec()));
        assert_eq!(value("CONFIG_NAME", KconfigKind::Text, 4), Ok(b"(no\0".to_vec()));
        assert!(value("CONFIG_NAME", UNSIGNED, 4).is_err());
        assert!(value("CONFIG_BAD", KconfigKind::Text, 9).is_err());
    }

    #[test]
    fn what_is_not_set_is_zero_if_it_is_weak() {
        let error = value("CONFIG_ABSENT", KconfigKind::Bool, 1).expect_err("it is strong");
        assert!(error.contains("`CONFIG_ABSENT`"), "{error}");
        let weak = KconfigVariable { weak: true, ..variable("CONFIG_ABSENT", UNSIGNED, 4) };
        let known = |_| Err(String::new());
        assert_eq!(fill(&[&weak], known, || Ok(CONFIG.to_owned())), Ok(vec![0; 4]));
        let future = KconfigVariable { name: "LINUX_HAS_FUTURE".into(), ..weak };
        assert_eq!(fill(&[&future], known, || Err("not read".to_owned())), Ok(vec![0; 4]));
    }

    #[test]
    fn what_is_no_configuration_needs_none() {
        let version = variable("LINUX_KERNEL_VERSION", UNSIGNED, 4);
        let known = |_| Ok(0x0006_122c);
        let filled = fill(&[&version], known, || Err("not read".to_owned()));
        assert_eq!(filled, Ok(0x0006_122c_u32.to_ne_bytes().to_vec()));
        assert_eq!(value("LINUX_HAS_BPF_COOKIE", KconfigKind::Bool, 1), Ok(vec![1]));
        assert!(value("LINUX_HAS_SYSCALL_WRAPPER", KconfigKind::Bool, 1).is_err());
        assert!(value("HZ", UNSIGNED, 4).expect_err("unknown").contains("`HZ`"));
    }
}
