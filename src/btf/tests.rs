//! Reading real and broken BTF.

use proptest::prelude::*;

use super::writer::Writer;
use super::{Btf, BtfError, BtfExt, Kind, Shape, Type};

fn sample() -> Vec<u8> {
    let mut writer = Writer::default();
    writer.add("int", Kind::Int, 0, 4, &[0x0100_0020]);
    writer.add("u32", Kind::Typedef, 0, 1, &[]);
    let (a, b) = (writer.name("a"), writer.name("b"));
    let flagged = 2 | 1 << 31;
    writer.add("pair", Kind::Struct, flagged, 8, &[a, 2, 0x0300_0000, b, 4, 32]);
    writer.add("", Kind::Array, 0, 0, &[5, 1, 3]);
    writer.add("", Kind::Const, 0, 2, &[]);
    let (low, high) = (writer.name("LOW"), writer.name("HIGH"));
    writer.add("level", Kind::Enum, flagged, 4, &[low, u32::MAX, high, 7]);
    writer.add("", Kind::Const, 0, 7, &[]);
    writer.add("", Kind::Array, 0, 0, &[4, 1, u32::MAX]);
    writer.finish()
}

#[test]
fn types_are_found_and_decoded() {
    let bytes = sample();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.type_count(), 9);
    let pair = btf.find("pair", Kind::Struct).unwrap();
    assert_eq!(pair.id(), 3);
    let members: Vec<_> = pair.members().iter().collect();
    assert_eq!(members[0].name, "a");
    assert_eq!((members[0].bit_offset, members[0].bit_width), (0, 3));
    assert_eq!((members[1].bit_offset, members[1].bit_width), (32, 0));
    let Shape::Enum(level) = btf.get(6).unwrap().shape() else { panic!("not an enum") };
    assert_eq!(level.get(0).unwrap().bits, u64::MAX);
    assert_eq!(level.get(1).unwrap().name, "HIGH");
    assert!(btf.find("pair", Kind::Union).is_none());
    assert!(btf.find("pai", Kind::Struct).is_none());
}

#[test]
fn split_btf_continues_its_base() {
    let mut base = Writer::default();
    let int = base.int("int", 32, true);
    let shared = base.structure("shared", 4, &[("n", int, 0)]);
    let mut own = Writer::behind(&mut base);
    let pair = own.structure("pair", 8, &[("one", shared, 0), ("other", shared, 32)]);
    let array = own.array(pair, 3);
    let (base, own) = (base.finish(), own.finish());
    let base = Btf::parse(&base).unwrap();
    assert!(matches!(Btf::parse(&own), Err(BtfError::Header(_))), "alone it makes no sense");
    let btf = Btf::parse_split(&own, &base).unwrap();
    assert_eq!((btf.first_id(), btf.type_count()), (base.type_count(), array + 1));
    assert_eq!(btf.types().map(Type::id).collect::<Vec<_>>(), [pair, array]);
    assert_eq!(btf.find("pair", Kind::Struct).unwrap().id(), pair);
    assert!(btf.find("shared", Kind::Struct).is_none(), "that is the base's");
    let member = btf.get(pair).unwrap().members().get(1).unwrap();
    assert_eq!((member.name, btf.get(member.type_id).unwrap().name()), ("other", "shared"));
    assert!(btf.get(pair).unwrap().is_named("pair") && btf.get(int).unwrap().is_named("int"));
    assert_eq!(btf.size_of(array), Ok(24));
    assert_eq!(btf.get(0).unwrap().kind(), Kind::Void);
    assert_eq!(btf.type_of(array + 1).unwrap_err(), BtfError::NoSuchType(array + 1));

    let empty = Writer::behind(&mut Writer::default()).finish();
    assert_eq!(Btf::parse_split(&empty, &base).unwrap().types().count(), 0);
}

#[test]
fn sizes_look_through_arrays_and_typedefs() {
    let bytes = sample();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.size_of(4), Ok(12));
    assert_eq!(btf.resolve(5).unwrap().id(), 1);
    assert_eq!(btf.resolve_modifiers(5).unwrap().id(), 2);
    assert_eq!(btf.size_of(0), Err(BtfError::Unsized(0)));
    assert_eq!(btf.size_of(7), Err(BtfError::TooDeep(7)));
    assert_eq!(btf.size_of(8), Err(BtfError::TooLarge(8)));
    assert_eq!(btf.size_of(99), Err(BtfError::NoSuchType(99)));
}

#[test]
fn other_byte_order_and_other_files_are_named() {
    assert_eq!(Btf::parse(&[0xeb, 0x9f, 1, 0]).unwrap_err(), BtfError::BigEndian);
    assert_eq!(Btf::parse(b"\x7fELF").unwrap_err(), BtfError::Magic(0x457f));
    assert_eq!(Btf::parse(&[]).unwrap_err(), BtfError::Truncated { need: 2, have: 0 });
}

#[test]
fn a_kind_newer_than_the_program_is_skipped_if_its_size_is_known() {
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    for word in [32_u32, 0, 28, 116, 1, 28, 88] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for word in [0_u32, 21 << 24, 0, 0xaaaa_aaaa, 0, 16 << 24, 8] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&[0; 84]);
    bytes.extend_from_slice(&[4, 0, 0, 0, 0]);
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.get(1).unwrap().kind(), Kind::Unknown);
    assert_eq!(btf.size_of(2), Ok(8));
}

/// Asks everything of everything.
fn exercise(btf: &Btf<'_>) {
    for found in btf.types() {
        let _ = (found.name(), found.is_anonymous(), btf.record_offset(found.id()));
        let _ = (btf.size_of(found.id()), btf.resolve(found.id()));
        match found.shape() {
            Shape::Struct(members) | Shape::Union(members) => {
                let _ = members.iter().map(|member| member.name.len()).sum::<usize>();
            }
            Shape::Enum(list) | Shape::Enum64(list) => {
                let _ = list.iter().map(|constant| constant.name.len()).sum::<usize>();
            }
            Shape::FuncProto { params, .. } => {
                let _ = params.iter().map(|param| param.name.len()).sum::<usize>();
            }
            Shape::Datasec(_) => {
                let _ = btf.variables(found).count();
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
                              cut in any::<prop::sample::Index>()) {
        let mut bytes = sample();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(btf) = Btf::parse(&bytes) {
            exercise(&btf);
        }
        let end = cut.index(bytes.len());
        if let Ok(btf) = Btf::parse(&bytes[..end]) {
            exercise(&btf);
        }
        if let Ok(ext) = BtfExt::parse(&bytes) {
            let _ = ext.core_relo.sections().map(|section| section.core_relos().count()).sum::<usize>();
        }
    }
}

#[test]
fn the_running_kernel_is_read() {
    let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.pointer_size() as usize, size_of::<usize>());
    let task = btf.find("task_struct", Kind::Struct).unwrap();
    assert!(task.members().iter().any(|member| member.name == "pid"));
    exercise(&btf);
}
