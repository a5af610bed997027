//! BTF made by hand, for tests.

use super::Kind;

/// Added to the number of members or constants, it sets the `kind_flag`.
pub(crate) const FLAG: u32 = 1 << 31;

/// Records and names, one after the other.
#[derive(Default)]
pub(crate) struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
    /// Bytes of the names that these continue.
    names_before: u32,
}

impl Writer {
    /// Continues another, as the BTF of a module does the kernel's. To that nothing may be added any
    /// more.
    pub(crate) fn behind(base: &mut Self) -> Self {
        base.name("");
        let names_before = u32::try_from(base.strings.len()).unwrap();
        Self { count: base.count, names_before, ..Self::default() }
    }

    /// Adds a name and gives its offset.
    pub(crate) fn name(&mut self, name: &str) -> u32 {
        if self.strings.is_empty() && self.names_before == 0 {
            self.strings.push(0);
        }
        if name.is_empty() {
            return 0;
        }
        let offset = self.names_before + u32::try_from(self.strings.len()).unwrap();
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        offset
    }

    /// Adds a type and gives its id. `size` is a size or an id, as the kind says.
    pub(crate) fn add(
        &mut self,
        name: &str,
        kind: Kind,
        vlen: u32,
        size: u32,
        tail: &[u32],
    ) -> u32 {
        let name = self.name(name);
        let info = ((kind as u32) << 24) | vlen;
        for word in [name, info, size].iter().chain(tail) {
            self.types.extend_from_slice(&word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }

    /// An integer of `bits`.
    pub(crate) fn int(&mut self, name: &str, bits: u32, signed: bool) -> u32 {
        self.add(name, Kind::Int, 0, bits / 8, &[u32::from(signed) << 24 | bits])
    }

    /// A pointer.
    pub(crate) fn pointer(&mut self, to: u32) -> u32 {
        self.add("", Kind::Ptr, 0, to, &[])
    }

    /// An array.
    pub(crate) fn array(&mut self, of: u32, count: u32) -> u32 {
        self.add("", Kind::Array, 0, 0, &[of, 1, count])
    }

    /// A struct of members with name, type and offset in bits; with `FLAG` in `kind`'s place for
    /// bitfields, whose offset holds the width above bit 24.
    pub(crate) fn composite(
        &mut self,
        kind: Kind,
        name: &str,
        size: u32,
        flag: u32,
        members: &[(&str, u32, u32)],
    ) -> u32 {
        let tail: Vec<u32> =
            members.iter().flat_map(|(name, of, offset)| [self.name(name), *of, *offset]).collect();
        let vlen = u32::try_from(members.len()).unwrap();
        self.add(name, kind, vlen | flag, size, &tail)
    }

    /// A struct without bitfields.
    pub(crate) fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.composite(Kind::Struct, name, size, 0, members)
    }

    /// An enum of 32 bits, unsigned unless `flag` is `FLAG`.
    pub(crate) fn enumeration(&mut self, name: &str, flag: u32, constants: &[(&str, u32)]) -> u32 {
        let tail: Vec<u32> =
            constants.iter().flat_map(|(name, value)| [self.name(name), *value]).collect();
        let vlen = u32::try_from(constants.len()).unwrap();
        self.add(name, Kind::Enum, vlen | flag, 4, &tail)
    }

    /// An unsigned enum of 64 bits.
    pub(crate) fn enumeration64(&mut self, name: &str, constants: &[(&str, u64)]) -> u32 {
        let word = |bits: u64| u32::try_from(bits & 0xffff_ffff).unwrap();
        let tail: Vec<u32> = constants
            .iter()
            .flat_map(|(name, value)| [self.name(name), word(*value), word(value >> 32)])
            .collect();
        self.add(name, Kind::Enum64, u32::try_from(constants.len()).unwrap(), 8, &tail)
    }

    /// The blob.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.name("");
        let (types, strings) = (self.types.len(), self.strings.len());
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types, types, strings] {
            bytes.extend_from_slice(&u32::try_from(word).unwrap().to_le_bytes());
        }
        bytes.extend_from_slice(&self.types);
        bytes.extend_from_slice(&self.strings);
        bytes
    }
}
