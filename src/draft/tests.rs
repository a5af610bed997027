use super::text::{comment, key, quoted};
use super::*;

#[test]
fn names_are_quoted_where_they_must_be() {
    assert_eq!(key("flows"), "flows");
    assert_eq!(key("a.b"), "\"a.b\"");
    assert_eq!(key(""), "\"\"");
    assert_eq!(
        quoted("a\"\\\n\u{1b}é\u{202e}\u{e0041}"),
        "\"a\\\"\\\\\\u000A\\u001Bé\\u202E\\U000E0041\""
    );
    assert_eq!(comment("a\nversion = 2"), "a?version = 2");
}

#[test]
fn long_lists_are_wrapped() {
    let words: Vec<String> = (0..30).map(|n| format!("a_rather_long_name_{n}")).collect();
    let text = listed(&words);
    assert!(text.lines().all(|line| line.starts_with("# a_") && line.len() <= 100), "{text}");
    let back: Vec<&str> =
        text.split(|c: char| "#, \n".contains(c)).filter(|word| !word.is_empty()).collect();
    assert_eq!(back, words);
}

#[test]
fn values_are_written_by_their_types() {
    use super::globals::value;
    use crate::model::ctype::{CType, CTypeKind};

    let of = |kind, size| CType { name: "t".to_owned(), size, kind };
    let variants = |signed| CTypeKind::Enum {
        signed,
        variants: vec![("LOW".to_owned(), -1), ("HIGH".to_owned(), 0x1_0000_0000)],
    };
    let high = 0x1_0000_0000_u64.to_le_bytes();
    for (ctype, bytes, shown) in [
        (of(variants(true), 4), &[0xff; 4][..], Some("\"LOW\"")),
        (of(variants(true), 8), &high, Some("\"HIGH\"")),
        (of(variants(false), 8), &[0xff; 8], Some("\"LOW\"")),
        (of(variants(true), 8), &[2, 0, 0, 0, 0, 0, 0, 0], Some("2")),
        (of(CTypeKind::Float, 4), &0.1_f32.to_le_bytes(), Some("0.1")),
        (of(CTypeKind::Float, 8), &1e300_f64.to_le_bytes(), Some("1e300")),
        (of(CTypeKind::Float, 8), &f64::NAN.to_le_bytes(), None),
        (of(CTypeKind::Int { signed: false }, 8), &[0xff; 8], None),
        (of(CTypeKind::Pointer, 8), &[0; 8], None),
    ] {
        assert_eq!(value(&ctype, bytes).as_deref(), shown, "{ctype:?}");
    }
}
