//! Some entries beside each other, as the kernel's batch operations exchange them.

/// Keys and values of a fixed size.
#[derive(Clone, Debug, Default)]
pub(in crate::kernel) struct Portion {
    key_size: usize,
    value_size: usize,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl Portion {
    /// An empty one; neither size is 0, as no map's is.
    pub(in crate::kernel) fn new(key_size: usize, value_size: usize) -> Self {
        let (key_size, value_size) = (key_size.max(1), value_size.max(1));
        Self { key_size, value_size, keys: Vec::new(), values: Vec::new() }
    }

    pub(in crate::kernel) fn len(&self) -> usize {
        self.keys.len() / self.key_size
    }

    pub(in crate::kernel) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(in crate::kernel) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.keys.extend_from_slice(key);
        self.values.extend_from_slice(value);
    }

    /// Adds the entries of another one with the same sizes.
    pub(super) fn append(&mut self, other: &Self) {
        self.keys.extend_from_slice(&other.keys);
        self.values.extend_from_slice(&other.values);
    }

    pub(in crate::kernel) fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        self.iter().nth(index)
    }

    pub(in crate::kernel) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.keys.chunks_exact(self.key_size).zip(self.values.chunks_exact(self.value_size))
    }

    pub(in crate::kernel) fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
    }

    /// Makes it as long as `count` entries, for the kernel to write into.
    pub(in crate::kernel) fn resize(&mut self, count: usize) {
        self.keys.resize(count * self.key_size, 0);
        self.values.resize(count * self.value_size, 0);
    }

    /// All keys, all values.
    pub(in crate::kernel) fn parts(&self) -> (&[u8], &[u8]) {
        (&self.keys, &self.values)
    }

    /// All keys, all values.
    pub(in crate::kernel) fn parts_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        (&mut self.keys, &mut self.values)
    }
}
