//! BTF written by hand, for types that the compiler at hand does not emit.

use crate::btf::Kind;

/// BTF under construction.
pub(super) struct TestBtf {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl TestBtf {
    pub(super) fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0], count: 0 }
    }

    /// Adds a type and returns its id. `tail` is what follows the common part of its record.
    pub(super) fn add(
        &mut self,
        name: &str,
        kind: Kind,
        vlen: u32,
        size_or_type: u32,
        tail: &[u32],
    ) -> u32 {
        let name = self.string(name);
        let info = (kind as u32) << 24 | vlen;
        for word in [name, info, size_or_type].iter().chain(tail) {
            self.types.extend(word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }

    /// Adds a name and returns its offset; 0 for the empty one.
    pub(super) fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let offset = u32::try_from(self.strings.len()).expect("tests are small");
        self.strings.extend(text.bytes().chain([0]));
        offset
    }

    /// Adds `int`.
    pub(super) fn int(&mut self) -> u32 {
        self.add("int", Kind::Int, 0, 4, &[1 << 24 | 32])
    }

    /// Adds a pointer.
    pub(super) fn pointer(&mut self, target: u32) -> u32 {
        self.add("", Kind::Ptr, 0, target, &[])
    }

    /// Adds an array.
    pub(super) fn array(&mut self, element: u32, count: u32) -> u32 {
        self.add("", Kind::Array, 0, 0, &[element, element, count])
    }

    /// Adds a struct of members that follow one another, 8 bytes each.
    pub(super) fn structure(&mut self, members: &[(&str, u32)]) -> u32 {
        self.structure_named("", members)
    }

    /// The same with a name.
    pub(super) fn structure_named(&mut self, name: &str, members: &[(&str, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (offset, (name, id)) in (0..).step_by(64).zip(members) {
            tail.extend([self.string(name), *id, offset]);
        }
        let count = u32::try_from(members.len()).expect("tests are small");
        self.add(name, Kind::Struct, count, 8 * count, &tail)
    }

    /// The section.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let length = |part: &[u8]| u32::try_from(part.len()).expect("tests are small");
        let types = length(&self.types);
        let header = [0x0001_eb9f, 24, 0, types, types, length(&self.strings)];
        let header = header.iter().flat_map(|word| word.to_le_bytes());
        header.chain(self.types.iter().copied()).chain(self.strings.iter().copied()).collect()
    }
}
