//! BTF for kernels that do not know all of its kinds: what they do not know becomes something they
//! do (libbpf `bpf_object__sanitize_btf`).
//!
//! Whether a kernel knows a kind, only the kernel can tell: each [`BtfFeature`] has a blob that loads
//! only where it is known. Asking is the loader's affair.

use std::collections::BTreeSet;

use crate::btf::{Btf, BtfError, Kind, Shape, Type};

use super::draft::{Draft, INFO, MEMBER, NAME, SIZE_OR_TYPE, TAIL, encode};

/// Something that kernels learned one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BtfFeature {
    /// Functions and their prototypes: 5.0.
    Func,
    /// Variables and data sections: 5.2.
    Datasec,
    /// Functions that are global: 5.6.
    GlobalFunc,
    /// Floating point numbers: 5.13.
    Float,
    /// Tags on declarations: 5.16.
    DeclTag,
    /// Tags on types: 5.17.
    TypeTag,
    /// Enums of 64 bits, and signed enums: 6.0.
    Enum64,
    /// Data sections whose name begins with `?`: 6.9.
    OptionalDatasec,
}

/// `BTF_KIND_INT` of one byte, to stand for what has a size of its own.
const BYTE: u32 = 8;

impl BtfFeature {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Func,
        Self::Datasec,
        Self::GlobalFunc,
        Self::Float,
        Self::DeclTag,
        Self::TypeTag,
        Self::Enum64,
        Self::OptionalDatasec,
    ];

    /// BTF that `BPF_BTF_LOAD` takes only if the kernel has the feature (libbpf `features.c`).
    #[must_use]
    pub fn probe(self) -> Vec<u8> {
        let kind = |kind: Kind, vlen: u32| (kind as u32) << 24 | vlen;
        let int = [1, kind(Kind::Int, 0), 4, 1 << 24 | 0x20];
        let variable = [5, kind(Kind::Var, 0), 1, 0];
        let prototype = [0, kind(Kind::FuncProto, 1), 1, 7, 1];
        let section = [7, kind(Kind::Datasec, 1), 4, 2, 0, 4];
        let (records, names): (Vec<u32>, &str) = match self {
            Self::Func => {
                let function = [5, kind(Kind::Func, 0), 2];
                ([&int[..], &prototype, &function].concat(), "\0int\0x\0a\0")
            }
            Self::GlobalFunc => {
                let function = [5, kind(Kind::Func, 1), 2];
                ([&int[..], &prototype, &function].concat(), "\0int\0x\0a\0")
            }
            Self::Datasec => ([&int[..], &variable, &section].concat(), "\0int\0x\0.data\0"),
            Self::OptionalDatasec => {
                ([&int[..], &variable, &section].concat(), "\0int\0x\0?.data\0")
            }
            Self::Float => (vec![1, kind(Kind::Float, 0), 4], "\0float\0"),
            Self::DeclTag => {
                let tag = [7, kind(Kind::DeclTag, 0), 2, u32::MAX];
                ([&int[..], &variable, &tag].concat(), "\0int\0x\0tag\0")
            }
            Self::TypeTag => {
                let tag = [5, kind(Kind::TypeTag, 0), 1];
                let pointer = [0, kind(Kind::Ptr, 0), 2];
                ([&int[..], &tag, &pointer].concat(), "\0int\0tag\0")
            }
            Self::Enum64 => (vec![1, kind(Kind::Enum64, 0), 8], "\0enum64\0"),
        };
        let records: Vec<u8> = records.into_iter().flat_map(u32::to_le_bytes).collect();
        // A few dozen bytes cannot be too many.
        encode(&records, &[], names.as_bytes()).unwrap_or_default()
    }
}

/// The same BTF without the features in `missing`. Ids of types stay what they were.
pub fn sanitize_btf(btf: &[u8], missing: &BTreeSet<BtfFeature>) -> Result<Vec<u8>, BtfError> {
    let types = Btf::parse(btf)?;
    let mut draft = Draft::new(&types);
    let mut placeholder = None;
    for found in types.types() {
        draft.sanitize(found, missing, &mut placeholder);
    }
    draft.finish()
}

impl<'a> Draft<'_, 'a> {
    fn sanitize(
        &mut self,
        found: Type<'a>,
        missing: &BTreeSet<BtfFeature>,
        placeholder: &mut Option<u32>,
    ) {
        let lacks = |feature| missing.contains(&feature);
        let id = found.id();
        match found.shape() {
            // One byte: the size of the variable is not known here, and less does no harm.
            Shape::Var { .. } if lacks(BtfFeature::Datasec) => self.become_byte(id),
            Shape::DeclTag { .. } if lacks(BtfFeature::DeclTag) => self.become_byte(id),
            Shape::Datasec(_) if lacks(BtfFeature::Datasec) => self.become_struct(found),
            Shape::Datasec(_)
                if lacks(BtfFeature::OptionalDatasec) && found.name().starts_with('?') =>
            {
                let name = self.add_string(&found.name().replacen('?', "_", 1));
                self.put(id, NAME, name);
            }
            // Parameters and constants have the same form: a name and a number.
            Shape::FuncProto { .. } if lacks(BtfFeature::Func) => {
                self.become_kind(id, Kind::Enum, found.vlen());
                self.put(id, SIZE_OR_TYPE, 4);
            }
            Shape::Func { .. } if lacks(BtfFeature::Func) => {
                self.become_kind(id, Kind::Typedef, 0);
            }
            Shape::Func { .. } if lacks(BtfFeature::GlobalFunc) => {
                self.become_kind(id, Kind::Func, 0);
            }
            // `float` is no name a struct can have.
            Shape::Float if lacks(BtfFeature::Float) => {
                self.put(id, NAME, 0);
                self.become_kind(id, Kind::Struct, 0);
            }
            Shape::TypeTag(_) if lacks(BtfFeature::TypeTag) => {
                self.put(id, NAME, 0);
                self.become_kind(id, Kind::Const, 0);
            }
            Shape::Enum(_) if lacks(BtfFeature::Enum64) => {
                self.become_kind(id, Kind::Enum, found.vlen());
            }
            Shape::Enum64(list) if lacks(BtfFeature::Enum64) => {
                let member = *placeholder.get_or_insert_with(|| {
                    let name = self.add_string("enum64_placeholder");
                    self.add(name, (Kind::Int as u32) << 24, 1, BYTE)
                });
                self.become_kind(id, Kind::Union, found.vlen());
                for index in 0..list.len() {
                    self.put(id, TAIL + index * MEMBER + 4, member);
                    self.put(id, TAIL + index * MEMBER + 8, 0);
                }
            }
            _ => {}
        }
    }

    /// Replaces kind and number of parts, and clears the `kind_flag`.
    fn become_kind(&mut self, id: u32, kind: Kind, vlen: u32) {
        self.put(id, INFO, (kind as u32) << 24 | vlen);
    }

    fn become_byte(&mut self, id: u32) {
        self.become_kind(id, Kind::Int, 0);
        self.put(id, SIZE_OR_TYPE, 1);
        self.put(id, TAIL, BYTE);
    }

    /// A data section whose variables are members.
    fn become_struct(&mut self, section: Type<'a>) {
        let Shape::Datasec(variables) = section.shape() else { return };
        let id = section.id();
        let name = self.add_string(&section.name().replace(['.', '?'], "_"));
        self.put(id, NAME, name);
        self.become_kind(id, Kind::Struct, section.vlen());
        for (index, variable) in variables.iter().enumerate() {
            let name = self.btf.get(variable.type_id).map_or(0, Type::name_offset);
            let place = TAIL + index * MEMBER;
            self.put(id, place, name);
            self.put(id, place + 4, variable.type_id);
            self.put(id, place + 8, variable.offset.saturating_mul(8));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::writer::{FLAG, Writer};

    fn sample() -> Vec<u8> {
        let mut writer = Writer::default();
        let int = writer.int("int", 32, true);
        let param = writer.name("x");
        let prototype = writer.add("", Kind::FuncProto, 1, int, &[param, int]);
        writer.add("function", Kind::Func, 1, prototype, &[]);
        let variable = writer.add("counter", Kind::Var, 0, int, &[1]);
        writer.add("?.data.x", Kind::Datasec, 1, 4, &[variable, 0, 4]);
        writer.add("float", Kind::Float, 0, 4, &[]);
        writer.add("tag", Kind::DeclTag, 0, variable, &[u32::MAX]);
        writer.add("tag", Kind::TypeTag, 0, int, &[]);
        writer.enumeration64("wide", &[("HUGE", 1 << 40)]);
        writer.enumeration("signed", FLAG, &[("MINUS", u32::MAX)]);
        writer.finish()
    }

    fn kinds(btf: &[u8]) -> Vec<Kind> {
        Btf::parse(btf).unwrap().types().map(Type::kind).collect()
    }

    #[test]
    fn what_no_kernel_lacks_stays() {
        assert_eq!(sanitize_btf(&sample(), &BTreeSet::new()), Ok(sample()));
    }

    #[test]
    fn a_kind_of_the_future_keeps_its_size() {
        // One type of kind 24, which has eight bytes of its own; the last entry says so.
        let record: Vec<u8> =
            [0, 24 << 24, 0, 7, 7].into_iter().flat_map(u32::to_le_bytes).collect();
        let layout = [vec![0; 24 * 4], vec![8, 0, 0, 0]].concat();
        let bytes = encode(&record, &layout, b"\0").unwrap();
        assert_eq!(kinds(&bytes), [Kind::Unknown]);
        assert_eq!(sanitize_btf(&bytes, &BtfFeature::ALL.into()), Ok(bytes.clone()));
        // Where nothing needs them, older kernels are spared the sizes.
        let sample = sample();
        let known = Btf::parse(&sample).unwrap();
        let names = known.strings().as_bytes();
        let with = encode(known.type_bytes(), &layout, names).unwrap();
        assert_eq!(sanitize_btf(&with, &BTreeSet::new()), Ok(sample.clone()));
    }

    #[test]
    fn an_old_kernel_sees_only_what_it_knows() {
        let bytes = sanitize_btf(&sample(), &BtfFeature::ALL.into()).unwrap();
        let known = [
            Kind::Int,
            Kind::Enum,
            Kind::Typedef,
            Kind::Int,
            Kind::Struct,
            Kind::Struct,
            Kind::Int,
            Kind::Const,
            Kind::Union,
            Kind::Enum,
            Kind::Int,
        ];
        assert_eq!(kinds(&bytes), known);
        let btf = Btf::parse(&bytes).unwrap();
        let section = btf.get(5).unwrap();
        assert_eq!(section.name(), "__data_x");
        assert_eq!(section.members().get(0).unwrap().name, "counter");
        assert!(!btf.get(10).unwrap().flag());
    }

    #[test]
    fn each_feature_is_taken_out_by_itself() {
        let missing = [BtfFeature::OptionalDatasec].into();
        let bytes = sanitize_btf(&sample(), &missing).unwrap();
        assert_eq!(kinds(&bytes), kinds(&sample()));
        assert_eq!(Btf::parse(&bytes).unwrap().get(5).unwrap().name(), "_.data.x");
        let bytes = sanitize_btf(&sample(), &[BtfFeature::GlobalFunc].into()).unwrap();
        assert_eq!(kinds(&bytes), kinds(&sample()));
        assert_eq!(Btf::parse(&bytes).unwrap().get(3).unwrap().vlen(), 0);
    }

    #[test]
    fn probes_have_what_they_ask_for() {
        let has = |feature: BtfFeature, kind| kinds(&feature.probe()).contains(&kind);
        assert!(has(BtfFeature::Func, Kind::Func));
        assert!(has(BtfFeature::Datasec, Kind::Datasec));
        assert!(has(BtfFeature::Float, Kind::Float));
        assert!(has(BtfFeature::DeclTag, Kind::DeclTag));
        assert!(has(BtfFeature::TypeTag, Kind::TypeTag));
        assert!(has(BtfFeature::Enum64, Kind::Enum64));
        for feature in BtfFeature::ALL {
            let probe = feature.probe();
            let without = sanitize_btf(&probe, &[feature].into()).unwrap();
            assert_ne!(probe, without, "{feature:?}");
        }
    }
}
