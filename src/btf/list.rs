//! Runs of equal records that are decoded one by one.

use std::marker::PhantomData;

use super::bytes::Strings;

/// A record of a fixed size that can be decoded from its bytes.
pub trait Record<'a>: sealed::Decode<'a> {}

pub(super) mod sealed {
    use super::Strings;

    /// How a record is decoded.
    pub trait Decode<'a>: Sized {
        /// Bytes of one record.
        const SIZE: usize;

        /// Decodes a record of `SIZE` bytes. `flag` is the `kind_flag` of the type it belongs to.
        fn decode(record: &'a [u8], strings: Strings<'a>, flag: bool) -> Self;
    }
}

impl<'a, R: sealed::Decode<'a>> Record<'a> for R {}

/// Records of one type, such as the members of a struct.
#[derive(Debug)]
pub struct List<'a, R> {
    bytes: &'a [u8],
    strings: Strings<'a>,
    flag: bool,
    record: PhantomData<fn() -> R>,
}

impl<R> Clone for List<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for List<'_, R> {}

impl<'a, R: Record<'a>> List<'a, R> {
    pub(super) fn new(bytes: &'a [u8], strings: Strings<'a>, flag: bool) -> Self {
        Self { bytes, strings, flag, record: PhantomData }
    }

    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.bytes.len() / R::SIZE
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The record at `index`.
    #[must_use]
    pub fn get(self, index: usize) -> Option<R> {
        let start = index.checked_mul(R::SIZE)?;
        let record = self.bytes.get(start..start.checked_add(R::SIZE)?)?;
        Some(R::decode(record, self.strings, self.flag))
    }

    /// All of them in order.
    #[must_use]
    pub fn iter(self) -> Iter<'a, R> {
        Iter { list: self, next: 0 }
    }
}

impl<'a, R: Record<'a>> IntoIterator for List<'a, R> {
    type Item = R;
    type IntoIter = Iter<'a, R>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterates over a [`List`].
#[derive(Debug)]
pub struct Iter<'a, R> {
    list: List<'a, R>,
    next: usize,
}

impl<'a, R: Record<'a>> Iterator for Iter<'a, R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        let record = self.list.get(self.next)?;
        self.next += 1;
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.list.len().saturating_sub(self.next);
        (left, Some(left))
    }
}

impl<'a, R: Record<'a>> ExactSizeIterator for Iter<'a, R> {}
