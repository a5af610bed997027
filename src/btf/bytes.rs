//! Little-endian numbers at offsets that may be anything, and the string table.

/// The `u32` at `offset`, if it lies within `bytes`.
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().copied().map(u32::from_le_bytes)
}

/// The `u16` at `offset`, if it lies within `bytes`.
pub(super) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().copied().map(u16::from_le_bytes)
}

/// The `u32` at `offset` of a record whose length was checked; 0 beyond its end.
pub(super) fn field(record: &[u8], offset: usize) -> u32 {
    u32_at(record, offset).unwrap_or_default()
}

/// The names of a BTF blob, each ended by NUL and found by its offset.
///
/// Those of a kernel module continue the kernel's own: offsets below the end of the kernel's names are
/// in the kernel's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strings<'a> {
    /// Those that come before; empty but in split BTF.
    base: &'a [u8],
    own: &'a [u8],
}

impl<'a> Strings<'a> {
    pub(super) const EMPTY: Strings<'static> = Strings { base: &[], own: &[] };

    pub(super) fn new(own: &'a [u8]) -> Self {
        Self { base: &[], own }
    }

    /// The same names behind those of `base`.
    pub(super) fn behind(self, base: Self) -> Self {
        Self { base: base.own, own: self.own }
    }

    /// All of them with their NULs, but those of the base.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        self.own
    }

    /// The bytes of the name at `offset` without their NUL.
    #[must_use]
    pub fn bytes(self, offset: u32) -> Option<&'a [u8]> {
        let rest = self.from(offset)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        rest.get(..end)
    }

    /// The name at `offset`; `None` also for one that is not UTF-8.
    #[must_use]
    pub fn text(self, offset: u32) -> Option<&'a str> {
        std::str::from_utf8(self.bytes(offset)?).ok()
    }

    /// Whether the name at `offset` is `name`, without looking for its end.
    #[must_use]
    pub fn is(self, offset: u32, name: &[u8]) -> bool {
        self.from(offset)
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    fn from(self, offset: u32) -> Option<&'a [u8]> {
        let offset = offset as usize;
        match offset.checked_sub(self.base.len()) {
            Some(within) => self.own.get(within..),
            None => self.base.get(offset..),
        }
    }
}
