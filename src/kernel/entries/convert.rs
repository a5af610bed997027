//! How a value lies in memory, and what it becomes in another map.

/// A value as system calls exchange it: one, or one for each CPU beside each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) struct Lanes {
    /// How many.
    count: usize,
    /// Bytes of one, as the map is declared.
    size: usize,
    /// Distance between two (`bpf_map_value_size` in `kernel/bpf/syscall.c`).
    stride: usize,
}

impl Lanes {
    /// One value.
    pub(in crate::kernel) fn one(size: usize) -> Self {
        Self { count: 1, size, stride: size }
    }

    /// One value for each CPU, on multiples of 8 bytes.
    pub(in crate::kernel) fn per_cpu(size: usize, cpus: usize) -> Self {
        Self { count: cpus, size, stride: size.next_multiple_of(8) }
    }

    /// Bytes of all.
    pub(in crate::kernel) fn bytes(self) -> usize {
        self.count * self.stride
    }

    /// Zeroes what lies between them.
    pub(super) fn clear_padding(self, value: &mut [u8]) {
        for lane in value.chunks_exact_mut(self.stride) {
            lane[self.size..].fill(0);
        }
    }
}

/// What becomes of a value on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conversion {
    from: Lanes,
    to: Lanes,
    kept: usize,
}

impl Conversion {
    /// `kept` bytes are taken over, the rest is zero.
    pub(super) fn new(from: Lanes, to: Lanes, kept: u32) -> Self {
        let kept = usize::try_from(kept).unwrap_or(usize::MAX).min(from.size).min(to.size);
        Self { from, to, kept }
    }

    /// Makes `new` of `old`.
    pub(super) fn convert(&self, old: &[u8], new: &mut [u8]) {
        let lanes = old.chunks_exact(self.from.stride).zip(new.chunks_exact_mut(self.to.stride));
        for (old, new) in lanes {
            let (kept, rest) = new.split_at_mut(self.kept);
            kept.copy_from_slice(&old[..self.kept]);
            rest.fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_keeps_its_beginning() {
        let conversion = Conversion::new(Lanes::per_cpu(4, 2), Lanes::per_cpu(12, 2), 3);
        let old = [1, 2, 3, 4, 9, 9, 9, 9, 5, 6, 7, 8, 9, 9, 9, 9];
        let mut new = [7; 32];
        conversion.convert(&old, &mut new);
        let mut expected = [0; 32];
        expected[..3].copy_from_slice(&[1, 2, 3]);
        expected[16..19].copy_from_slice(&[5, 6, 7]);
        assert_eq!(new, expected);
    }

    #[test]
    fn padding_does_not_count() {
        let lanes = Lanes::per_cpu(4, 2);
        let mut value = [1; 16];
        lanes.clear_padding(&mut value);
        assert_eq!(value, [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]);
        let mut value = [1; 3];
        Lanes::one(3).clear_padding(&mut value);
        assert_eq!(value, [1; 3]);
    }
}
