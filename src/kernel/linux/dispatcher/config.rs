//! The value of a dispatcher's map (`struct xdp_dispatcher_config`, `xdp/prog_dispatcher.h`).

/// Says of a value that it is of version 2 or later (`XDP_DISPATCHER_MAGIC`).
const MAGIC: u8 = 236;

/// Most programs that a dispatcher calls (`MAX_DISPATCHER_ACTIONS`).
const PROGRAMS_MAX: u8 = 10;

/// Bytes of version 1: the number of programs, and two arrays of numbers.
const SIZE_OF_1: usize = 84;

/// More bytes than any version has; later ones may add arrays.
pub(super) const SIZE_MAX: u32 = 4096;

/// What every version tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) version: u8,
    /// How many programs it calls.
    pub(super) programs: u8,
}

impl Config {
    /// Reads a value; `None` if it is of no dispatcher.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (version, programs) = match value {
            [MAGIC, version, programs, ..] => (*version, *programs),
            // Version 1 has no magic number.
            [programs, ..] if value.len() == SIZE_OF_1 => (1, *programs),
            _ => return None,
        };
        // One of a later version may call more, and this is for messages.
        Some(Self { version, programs: programs.min(PROGRAMS_MAX) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_and_the_number_of_programs_are_read() {
        let mut two = [0; 124];
        two[..4].copy_from_slice(&[MAGIC, 2, 3, 1]);
        assert_eq!(Config::parse(&two), Some(Config { version: 2, programs: 3 }));
        let mut one = [0; SIZE_OF_1];
        one[0] = 4;
        assert_eq!(Config::parse(&one), Some(Config { version: 1, programs: 4 }));
        let later = [MAGIC, 9, 200, 0, 0];
        assert_eq!(Config::parse(&later), Some(Config { version: 9, programs: PROGRAMS_MAX }));
    }

    #[test]
    fn another_value_is_of_no_dispatcher() {
        for other in [&[][..], &[MAGIC], &[MAGIC, 2], &[1, 2, 3], &[0; 124]] {
            assert_eq!(Config::parse(other), None, "{other:?}");
        }
    }
}
