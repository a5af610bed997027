//! Values against types, and the bytes they come to.

use proptest::prelude::*;

use super::*;
use crate::model::code;

fn of(name: &str, size: u32, kind: CTypeKind) -> CType {
    CType { name: name.to_owned(), size, kind }
}

fn int(size: u32, signed: bool) -> CType {
    of("int", size, CTypeKind::Int { signed })
}

fn array(element: CType, count: u32) -> CType {
    let size = element.size * count;
    of("T[]", size, CTypeKind::Array { element: Box::new(element), count })
}

fn member(name: &str, bit_offset: u32, bit_width: Option<u32>, ctype: CType) -> Member {
    Member { name: name.to_owned(), bit_offset, bit_width, ctype }
}

fn value(text: &str) -> GlobalValue {
    let table: BTreeMap<String, GlobalValue> =
        toml::from_str(&format!("v = {text}")).expect("TOML");
    table["v"].clone()
}

/// The bytes after writing over `0xaa`s, or the codes of what does not fit.
fn written(ctype: &CType, text: &str) -> Result<Vec<u8>, Vec<&'static str>> {
    let mut out = vec![0xaa; ctype.size as usize];
    let misfits = encode(ctype, &value(text), &mut out, &KeyPath::of(["v"]));
    if misfits.is_empty() { Ok(out) } else { Err(misfits.iter().map(|m| m.flaw.code).collect()) }
}

#[test]
fn integers_by_their_ranges() {
    assert_eq!(written(&int(1, false), "255"), Ok(vec![255]));
    assert_eq!(written(&int(1, false), "256"), Err(vec![code::GLOBAL_RANGE]));
    assert_eq!(written(&int(1, true), "-128"), Ok(vec![0x80]));
    assert_eq!(written(&int(1, true), "128"), Err(vec![code::GLOBAL_RANGE]));
    assert_eq!(written(&int(8, false), "18446744073709551615"), Ok(vec![0xff; 8]));
    assert_eq!(written(&int(8, true), "9223372036854775808"), Err(vec![code::GLOBAL_RANGE]));
    assert_eq!(written(&int(16, true), "-1"), Ok(vec![0xff; 16]));
    assert_eq!(written(&int(16, false), "-1"), Err(vec![code::GLOBAL_RANGE]));
    assert_eq!(written(&int(4, false), "true"), Err(vec![code::GLOBAL_TYPE]));
    assert_eq!(written(&int(4, false), "1.0"), Err(vec![code::GLOBAL_TYPE]));
}

#[test]
fn texts_lists_and_enums() {
    let text = array(of("char", 1, CTypeKind::Char { signed: true }), 4);
    assert_eq!(written(&text, "'abc'"), Ok(b"abc\0".to_vec()));
    assert_eq!(written(&text, "'a'"), Ok(b"a\0\0\0".to_vec()));
    assert_eq!(written(&text, "'abcd'"), Err(vec![code::GLOBAL_RANGE]));
    assert_eq!(written(&text, "\"a\\u0000\""), Err(vec![code::GLOBAL_RANGE]));
    assert_eq!(written(&text, "['x', 7]"), Ok(vec![b'x', 7, 0, 0]));
    let ports = array(int(2, false), 2);
    assert_eq!(written(&ports, "[8080]"), Ok(vec![0x90, 0x1f, 0, 0]));
    assert_eq!(written(&ports, "[1, 2, 3]"), Err(vec![code::GLOBAL_RANGE]));
    assert_eq!(written(&ports, "[-1, 'x']"), Err(vec![code::GLOBAL_RANGE, code::GLOBAL_TYPE]));
    assert_eq!(written(&ports, "'ab'"), Err(vec![code::GLOBAL_TYPE]));
    let variants = vec![("OFF".to_owned(), 0), ("ALL".to_owned(), -1)];
    let mode = of("enum mode", 8, CTypeKind::Enum { signed: false, variants });
    assert_eq!(written(&mode, "'ALL'"), Ok(vec![0xff; 8]));
    assert_eq!(written(&mode, "7"), Ok(vec![7, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(written(&mode, "'All'"), Err(vec![code::GLOBAL_TYPE]));
}

#[test]
fn floats_and_booleans() {
    assert_eq!(written(&of("bool", 1, CTypeKind::Bool), "true"), Ok(vec![1]));
    assert_eq!(written(&of("bool", 1, CTypeKind::Bool), "1"), Err(vec![code::GLOBAL_TYPE]));
    let single = of("float", 4, CTypeKind::Float);
    assert_eq!(written(&single, "1.5"), Ok(1.5_f32.to_le_bytes().to_vec()));
    assert_eq!(written(&single, "1e300"), Err(vec![code::GLOBAL_RANGE]));
    assert_eq!(written(&of("double", 8, CTypeKind::Float), "3"), Ok(3_f64.to_le_bytes().to_vec()));
    let pointer = of("void *", 8, CTypeKind::Pointer);
    assert_eq!(written(&pointer, "1"), Err(vec![code::GLOBAL_UNSUPPORTED]));
}

#[test]
fn structs_keep_what_is_not_named() {
    let inner = CTypeKind::Struct {
        union: true,
        members: vec![member("raw", 0, None, int(2, false)), member("low", 0, None, int(1, false))],
    };
    let point = of(
        "struct point",
        8,
        CTypeKind::Struct {
            union: false,
            members: vec![
                member("x", 0, None, int(4, false)),
                member("", 32, None, of("", 2, inner.clone())),
                member("a", 48, Some(3), int(4, false)),
                member("b", 51, Some(9), int(4, true)),
            ],
        },
    );
    assert_eq!(written(&point, "{ x = 1 }"), Ok(vec![1, 0, 0, 0, 0xaa, 0xaa, 0xaa, 0xaa]));
    assert_eq!(
        written(&point, "{ low = 2 }"),
        Ok(vec![0xaa, 0xaa, 0xaa, 0xaa, 2, 0xaa, 0xaa, 0xaa])
    );
    assert_eq!(
        written(&point, "{ a = 5, b = -1 }").map(|bytes| bytes[6..].to_vec()),
        Ok(vec![0b1111_1101, 0b1010_1111])
    );
    assert_eq!(written(&point, "{ a = 8 }"), Err(vec![code::GLOBAL_RANGE]));
    assert_eq!(written(&point, "{ y = 1 }"), Err(vec![code::GLOBAL_TYPE]));
    let union = of("union u", 2, inner);
    assert_eq!(written(&union, "{ raw = 1, low = 1 }"), Err(vec![code::GLOBAL_TYPE]));
}

#[test]
fn members_of_anonymous_structs_are_listed_among_the_others() {
    let ports =
        vec![member("low", 0, None, int(2, false)), member("high", 16, None, int(2, false))];
    let ports = of("struct {…}", 4, CTypeKind::Struct { union: false, members: ports });
    let members = vec![
        member("address", 0, None, int(4, false)),
        member("", 32, None, ports),
        member("", 64, Some(2), int(1, false)),
    ];
    let rule = of("struct rule", 12, CTypeKind::Struct { union: false, members });
    let mut out = vec![0; 12];
    let help = |text: &str, out: &mut [u8]| {
        let misfits = encode(&rule, &value(text), out, &KeyPath::of(["v"]));
        misfits.into_iter().next().and_then(|misfit| misfit.flaw.help)
    };
    let listed = help("{ nonesuch = 1 }", &mut out);
    assert_eq!(listed.as_deref(), Some("it has `address`, `low`, `high`"));
    assert_eq!(help("{ hihg = 1 }", &mut out).as_deref(), Some("did you mean `high`?"));
}

#[test]
fn a_type_that_lies_about_its_size_is_survived() {
    let short = of(
        "struct s",
        2,
        CTypeKind::Struct {
            union: false,
            members: vec![
                member("far", u32::MAX, None, int(4, false)),
                member("bits", u32::MAX, Some(8), int(4, false)),
            ],
        },
    );
    assert_eq!(written(&short, "{ far = 1 }"), Err(vec![code::GLOBAL_UNSUPPORTED]));
    assert_eq!(written(&short, "{ bits = 1 }"), Err(vec![code::GLOBAL_RANGE]));
    assert_eq!(written(&int(17, true), "1"), Err(vec![code::GLOBAL_UNSUPPORTED]));
    assert_eq!(written(&array(int(0, true), 3), "[1]"), Ok(vec![]));
}

proptest! {
    #[test]
    fn an_integer_is_written_exactly_when_it_fits(number: i64, power in 0_u32..4, signed: bool) {
        let size = 1 << power;
        let bytes = written(&int(size, signed), &number.to_string());
        let bits = size * 8;
        let fits = if signed {
            bits == 64 || (-(1_i64 << (bits - 1))..1 << (bits - 1)).contains(&number)
        } else {
            number >= 0 && (bits == 64 || number < 1 << bits)
        };
        prop_assert_eq!(bytes.is_ok(), fits);
        if let Ok(bytes) = bytes {
            prop_assert_eq!(&bytes[..], &number.to_le_bytes()[..bytes.len()]);
        }
    }
}
