//! Files that are no objects, or not whole ones: `inspect` says what they are, and never panics.

mod support;

use std::fs;
use std::sync::LazyLock;

use ebpf_apply::object::{InspectError, inspect};
use proptest::prelude::*;

static OBJECTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    ["inspect_rich", "inspect_defects", "inspect_kernel", "inspect_legacy"]
        .map(|name| fs::read(support::object(name)).expect("what was built can be read"))
        .into()
});

fn object() -> Vec<u8> {
    OBJECTS.first().expect("there is one").clone()
}

/// The object with some bytes of its ELF header replaced.
fn with_header(offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut object = object();
    object[offset..offset + bytes.len()].copy_from_slice(bytes);
    object
}

#[test]
fn what_is_no_bpf_object_is_told_apart() {
    let error = |bytes: &[u8]| inspect(bytes).expect_err("it is no object");
    assert_eq!(error(b""), InspectError::Empty);
    assert_eq!(error(b"#include <linux/bpf.h>\n"), InspectError::Source);
    assert_eq!(error(b"BC\xc0\xde"), InspectError::NotElf);
    assert_eq!(error(&[0; 4096]), InspectError::NotElf);
    assert_eq!(error(&with_header(4, &[1])), InspectError::Not64Bit);
    assert_eq!(error(&with_header(5, &[2])), InspectError::BigEndian);
    assert_eq!(error(&with_header(18, &[62, 0])), InspectError::NotBpf(62));
    assert_eq!(error(&with_header(16, &[2, 0])), InspectError::NotRelocatable(2));
    assert_eq!(error(&with_header(40, &[0; 8])), InspectError::NoSections);
    assert!(matches!(error(&with_header(58, &[1, 0])), InspectError::Malformed(_)));
    assert!(error(&with_header(18, &[62, 0])).to_string().contains("x86-64"));
}

#[test]
fn a_half_written_file_is_told() {
    let whole = object();
    for length in [4, 5, 63, 64, whole.len() / 2, whole.len() - 1] {
        let part = whole.get(..length).expect("it is shorter");
        let error = inspect(part).expect_err("it is not whole");
        let InspectError::Truncated { expected, actual } = error else { panic!("{error}") };
        assert_eq!(actual, length as u64);
        assert!(expected > actual && expected <= whole.len() as u64);
    }
    assert_eq!(
        inspect(whole.get(..64).expect("it is shorter")).map_err(|error| error.to_string()),
        Err(format!("the file has 64 bytes, its header announces {} (half-written?)", whole.len()))
    );
}

#[test]
fn no_length_makes_it_panic() {
    let whole = object();
    for length in 0..whole.len() {
        assert!(inspect(whole.get(..length).expect("it is shorter")).is_err());
    }
}

/// Where a mutation strikes, as a share of the file, and what it leaves there.
fn mutation() -> impl Strategy<Value = (prop::sample::Index, Vec<u8>)> {
    let bytes = prop_oneof![
        any::<[u8; 1]>().prop_map(|bytes| bytes.to_vec()),
        any::<[u8; 4]>().prop_map(|bytes| bytes.to_vec()),
        (0_u32..300).prop_map(|number| number.to_le_bytes().to_vec()),
        Just(u32::MAX.to_le_bytes().to_vec()),
        Just(u64::MAX.to_le_bytes().to_vec()),
    ];
    (any::<prop::sample::Index>(), bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_makes_it_panic(
        object in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(mutation(), 1..12),
    ) {
        let mut bytes = object.get(&OBJECTS).clone();
        for (index, replacement) in mutations {
            // Even offsets: most fields of ELF and BTF begin there.
            let at = index.index(bytes.len()) & !1;
            for (byte, new) in bytes.iter_mut().skip(at).zip(replacement) {
                *byte = new;
            }
        }
        if let Ok(spec) = inspect(&bytes) {
            prop_assert!(serde_json::to_string(&spec).is_ok());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(tail in prop::collection::vec(any::<u8>(), 0..2000)) {
        let header = object().get(..64).expect("it has a header").to_vec();
        let mut bytes = header;
        bytes[40..48].copy_from_slice(&64_u64.to_le_bytes());
        bytes[60..62].copy_from_slice(&u16::try_from(tail.len() / 64).unwrap_or(0).to_le_bytes());
        bytes[62..64].copy_from_slice(&[1, 0]);
        bytes.extend(tail);
        let _ = inspect(&bytes);
    }
}
