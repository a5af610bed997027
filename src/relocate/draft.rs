//! BTF that is being changed: a copy of the records in which numbers are replaced, and to which
//! types and names are added. Ids of types stay what they were.

use crate::btf::{Btf, BtfError, Kind};

/// Places within a record.
pub(super) const NAME: usize = 0;
pub(super) const INFO: usize = 4;
pub(super) const SIZE_OR_TYPE: usize = 8;
pub(super) const TAIL: usize = 12;
/// Bytes of a member, of a variable in a data section, and of a parameter.
pub(super) const MEMBER: usize = 12;
pub(super) const SEC_VAR: usize = 12;
pub(super) const PARAM: usize = 8;

/// A copy of the records that is being changed.
pub(super) struct Draft<'b, 'a> {
    pub(super) btf: &'b Btf<'a>,
    records: Vec<u8>,
    strings: Vec<u8>,
    /// Id of the next type to be added.
    next_id: u32,
}

impl<'b, 'a> Draft<'b, 'a> {
    pub(super) fn new(btf: &'b Btf<'a>) -> Self {
        Self {
            btf,
            records: btf.type_bytes().to_vec(),
            strings: btf.strings().as_bytes().to_vec(),
            next_id: btf.type_count(),
        }
    }

    /// Writes a number `within` the record of a type.
    pub(super) fn put(&mut self, id: u32, within: usize, value: u32) {
        let place = self.btf.record_offset(id).and_then(|start| {
            let start = start.checked_add(within)?;
            self.records.get_mut(start..)?.first_chunk_mut()
        });
        if let Some(place) = place {
            *place = value.to_le_bytes();
        }
    }

    /// Appends a type and gives its id.
    pub(super) fn add(&mut self, name: u32, info: u32, size_or_type: u32, tail: u32) -> u32 {
        self.append(&[name, info, size_or_type, tail])
    }

    /// The same of a whole record.
    pub(super) fn append(&mut self, words: &[u32]) -> u32 {
        self.records.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    pub(super) fn add_string(&mut self, text: &str) -> u32 {
        let offset = u32::try_from(self.strings.len()).unwrap_or(u32::MAX);
        self.strings.extend(text.as_bytes());
        self.strings.push(0);
        offset
    }

    /// The blob. Sizes of kinds go with it only where a type needs them: older kernels do not take
    /// them.
    pub(super) fn finish(self) -> Result<Vec<u8>, BtfError> {
        let unknown = self.btf.types().any(|found| found.kind() == Kind::Unknown);
        let layout = if unknown { self.btf.layout() } else { &[] };
        encode(&self.records, layout, &self.strings)
    }
}

/// Puts records, sizes of kinds and names behind a header.
pub(super) fn encode(records: &[u8], layout: &[u8], strings: &[u8]) -> Result<Vec<u8>, BtfError> {
    let length = |part: &[u8]| {
        u32::try_from(part.len()).ok().ok_or(BtfError::Header("it is larger than 4 GiB"))
    };
    let (types, kinds, names) = (length(records)?, length(layout)?, length(strings)?);
    let header = if layout.is_empty() { 24 } else { 32 };
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    for word in [header, 0, types, types.saturating_add(kinds), names] {
        bytes.extend(word.to_le_bytes());
    }
    if !layout.is_empty() {
        bytes.extend([types, kinds].into_iter().flat_map(u32::to_le_bytes));
    }
    bytes.extend(records);
    bytes.extend(layout);
    bytes.extend(strings);
    Ok(bytes)
}
