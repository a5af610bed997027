//! Where a probe's arguments are, as notes say it and as `usdt.bpf.h` reads it.
//!
//! Source: `parse_usdt_spec`, `parse_usdt_arg` and `calc_pt_regs_off` of libbpf's `src/usdt.c`, and
//! `struct __bpf_usdt_spec` of its `src/usdt.bpf.h`.

/// Most arguments of a probe (`BPF_USDT_MAX_ARG_CNT`).
const ARGUMENTS_MAX: usize = 12;
/// Size of `struct __bpf_usdt_spec`, in bytes.
pub(super) const SPEC_SIZE: usize = ARGUMENTS_MAX * 16 + 16;

/// Where one argument is, and how wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    source: Source,
    is_signed: bool,
    /// In bytes: 1, 2, 4 or 8.
    size: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Constant(i64),
    /// In a register, by its offset in `struct pt_regs`.
    Register(i16),
    /// In memory, from where a register points to.
    Memory {
        register: i16,
        offset: i64,
    },
    /// In memory, from where a register and a multiple of another one point to.
    Indexed {
        register: i16,
        index: i16,
        shift: u8,
        offset: i64,
    },
}

/// Reads what a note says: `-4@%eax 8@16(%rsp) 8@$5`.
pub(super) fn parse(text: &str) -> Result<Vec<Argument>, String> {
    let arguments: Vec<Argument> = split(text)
        .into_iter()
        .map(|argument| {
            one(argument).ok_or_else(|| {
                format!("`{argument}` is not understood for {}", std::env::consts::ARCH)
            })
        })
        .collect::<Result<_, _>>()?;
    if arguments.len() > ARGUMENTS_MAX {
        return Err(format!(
            "there are {}, and at most {ARGUMENTS_MAX} can be had",
            arguments.len()
        ));
    }
    Ok(arguments)
}

/// Splits at spaces, but not at those inside of brackets, as in `8@[sp, 16]`.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let at_space = move |character: char| {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && character == ' '
    };
    text.split(at_space).filter(|argument| !argument.is_empty()).collect()
}

fn one(text: &str) -> Option<Argument> {
    let (size, place) = text.split_once('@')?;
    let size: i8 = size.parse().ok()?;
    let (is_signed, size) = (size < 0, size.unsigned_abs());
    let source = match std::env::consts::ARCH {
        "x86_64" => x86_64(place),
        "aarch64" => aarch64(place),
        _ => None,
    }?;
    [1, 2, 4, 8].contains(&size).then_some(Argument { source, is_signed, size })
}

/// In the syntax of AT&T: `$5`, `%rax`, `16(%rsp)`, `-8(%rbp,%rax,4)`.
fn x86_64(place: &str) -> Option<Source> {
    let register = |name: &str| x86_64_register(name.trim().strip_prefix('%')?);
    if let Some(constant) = place.strip_prefix('$') {
        return number(constant).map(Source::Constant);
    }
    let Some((offset, inside)) = place.split_once('(') else {
        return register(place).map(Source::Register);
    };
    let offset = if offset.is_empty() { 0 } else { number(offset)? };
    let mut parts = inside.strip_suffix(')')?.split(',');
    let base = register(parts.next()?)?;
    let Some(index) = parts.next() else {
        return Some(Source::Memory { register: base, offset });
    };
    let index = register(index)?;
    let scale = parts.next().map_or(Some(1), |scale| scale.trim().parse().ok())?;
    let shift = [1, 2, 4, 8].iter().position(|known| *known == scale)?;
    let shift = u8::try_from(shift).ok()?;
    Some(Source::Indexed { register: base, index, shift, offset })
}

/// `5`, `x0`, `[sp]`, `[x0, 16]`.
fn aarch64(place: &str) -> Option<Source> {
    if let Some(inside) = place.strip_prefix('[') {
        let inside = inside.strip_suffix(']')?;
        let (register, offset) = match inside.split_once(',') {
            Some((register, offset)) => (register, number(offset.trim())?),
            None => (inside, 0),
        };
        return Some(Source::Memory { register: aarch64_register(register.trim())?, offset });
    }
    number(place).map(Source::Constant).or_else(|| aarch64_register(place).map(Source::Register))
}

fn number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let number = match digits.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -number } else { number })
}

/// The offset of a register in `struct pt_regs` (`arch/x86/include/asm/ptrace.h`).
#[rustfmt::skip]
fn x86_64_register(name: &str) -> Option<i16> {
    const NAMES: [&[&str]; 21] = [
        &["r15", "r15d", "r15w", "r15b"],
        &["r14", "r14d", "r14w", "r14b"],
        &["r13", "r13d", "r13w", "r13b"],
        &["r12", "r12d", "r12w", "r12b"],
        &["rbp", "ebp", "bp", "bpl"],
        &["rbx", "ebx", "bx", "bl"],
        &["r11", "r11d", "r11w", "r11b"],
        &["r10", "r10d", "r10w", "r10b"],
        &["r9", "r9d", "r9w", "r9b"],
        &["r8", "r8d", "r8w", "r8b"],
        &["rax", "eax", "ax", "al"],
        &["rcx", "ecx", "cx", "cl"],
        &["rdx", "edx", "dx", "dl"],
        &["rsi", "esi", "si", "sil"],
        &["rdi", "edi", "di", "dil"],
        &[],
        &["rip", "eip", "ip"],
        &[],
        &[],
        &["rsp", "esp", "sp", "spl"],
        &[],
    ];
    let at = NAMES.iter().position(|names| names.contains(&name))?;
    i16::try_from(at * 8).ok()
}

/// The offset of a register in `struct pt_regs` (`arch/arm64/include/asm/ptrace.h`).
fn aarch64_register(name: &str) -> Option<i16> {
    let at: i16 = match name {
        "sp" => 31,
        name => name.strip_prefix(['x', 'w'])?.parse().ok().filter(|at| (0..31).contains(at))?,
    };
    Some(at * 8)
}

/// A probe's `struct __bpf_usdt_spec`, in the byte order of this machine.
pub(super) fn spec(arguments: &[Argument], cookie: u64) -> [u8; SPEC_SIZE] {
    let mut spec = [0; SPEC_SIZE];
    for (place, argument) in spec.chunks_exact_mut(16).zip(arguments) {
        place.copy_from_slice(&argument.bytes());
    }
    let count = u16::try_from(arguments.len()).unwrap_or_default();
    let end = ARGUMENTS_MAX * 16;
    spec[end..end + 8].copy_from_slice(&cookie.to_ne_bytes());
    spec[end + 8..end + 10].copy_from_slice(&count.to_ne_bytes());
    spec
}

impl Argument {
    /// `struct __bpf_usdt_arg_spec`: the value or offset, the kind in a word that since libbpf 1.7 also
    /// holds the second register and the power of two it is multiplied by, the register, the sign, and
    /// how many bits are too many.
    fn bytes(self) -> [u8; 16] {
        let (kind, value, register) = match self.source {
            Source::Constant(value) => (0, value, 0),
            Source::Register(register) => (1, 0, register),
            Source::Memory { register, offset } => (2, offset, register),
            Source::Indexed { register, index, shift, offset } => {
                let index = u32::from(index.unsigned_abs()) << 8;
                (3 | index | u32::from(shift) << 20, offset, register)
            }
        };
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&value.to_ne_bytes());
        bytes[8..12].copy_from_slice(&kind.to_ne_bytes());
        bytes[12..14].copy_from_slice(&register.to_ne_bytes());
        bytes[14] = u8::from(self.is_signed);
        bytes[15] = 64 - self.size * 8;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_x86_64() {
        for (text, expected) in [
            ("$5", Source::Constant(5)),
            ("$-0x10", Source::Constant(-16)),
            ("%rax", Source::Register(80)),
            ("%r8d", Source::Register(72)),
            ("(%rsp)", Source::Memory { register: 152, offset: 0 }),
            ("-1204(%rbp)", Source::Memory { register: 32, offset: -1204 }),
            (
                "-96(%rbp,%rax,8)",
                Source::Indexed { register: 32, index: 80, shift: 3, offset: -96 },
            ),
            ("(%rbp,%rax)", Source::Indexed { register: 32, index: 80, shift: 0, offset: 0 }),
        ] {
            assert_eq!(x86_64(text), Some(expected), "{text}");
        }
        for wrong in ["", "%", "%xyz", "(%rax", "8(%rax,%rbx,3)", "rax", "$", "name(%rip)"] {
            assert_eq!(x86_64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn places_of_aarch64() {
        for (text, expected) in [
            ("5", Source::Constant(5)),
            ("x3", Source::Register(24)),
            ("w30", Source::Register(240)),
            ("[sp]", Source::Memory { register: 248, offset: 0 }),
            ("[x29, -4]", Source::Memory { register: 232, offset: -4 }),
        ] {
            assert_eq!(aarch64(text), Some(expected), "{text}");
        }
        assert_eq!(aarch64("x31"), None);
    }

    #[test]
    fn arguments_are_split_outside_of_brackets() {
        assert_eq!(split(" 8@[sp, 16]  -4@w0 "), ["8@[sp, 16]", "-4@w0"]);
    }

    #[test]
    fn the_layout_is_that_of_the_header() {
        let argument = Argument {
            source: Source::Memory { register: 32, offset: -4 },
            is_signed: true,
            size: 4,
        };
        let spec = spec(&[argument], 7);
        assert_eq!(spec[..8], (-4_i64).to_ne_bytes());
        assert_eq!(spec[8..12], 2_u32.to_ne_bytes());
        assert_eq!(spec[12..14], 32_i16.to_ne_bytes());
        assert_eq!(spec[14..16], [1, 32]);
        assert_eq!(spec[192..200], 7_u64.to_ne_bytes());
        assert_eq!(spec[200..202], 1_u16.to_ne_bytes());
        assert_eq!(spec.len(), 208);
    }
}
