//! The value of a dispatcher's map (`struct xdp_dispatcher_config`, `xdp/prog_dispatcher.h`).

use super::super::sys::flags as sys_flags;
use crate::model::dispatch::PROGRAMS_MAX;

/// Says of a value that it is of version 2 or later (`XDP_DISPATCHER_MAGIC`).
const MAGIC: u8 = 236;

/// Bytes of version 1: the number of programs, and two arrays of numbers.
const SIZE_OF_1: usize = 84;

/// Bytes of version 2: four numbers of one byte, and three arrays.
const SIZE_OF_2: usize = 4 + 3 * ARRAY;

/// Bytes of version 3, which says at the end whether the dispatcher is bound to a device.
const SIZE_OF_3: usize = SIZE_OF_2 + 4;

/// Bytes of an array.
const ARRAY: usize = 4 * PROGRAMS_MAX;

/// More bytes than any version has; later ones may add arrays.
pub(super) const SIZE_MAX: u32 = 4096;

/// The version of dispatchers that are made here where none was: libxdp 1.3 to 1.5 can change it, and
/// later ones read it.
pub(super) const VERSION: u8 = 2;

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
        let most = u8::try_from(PROGRAMS_MAX).unwrap_or(u8::MAX);
        Some(Self { version, programs: programs.min(most) })
    }
}

/// All that the versions tell which can be written here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Calls {
    /// 2 or 3.
    pub(super) version: u8,
    /// The programs, in the order in which they are called.
    pub(super) slots: Vec<Slot>,
    /// Whether the dispatcher takes packets of several buffers.
    pub(super) frags: bool,
}

/// How one program is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Bits of the actions after which the next is called.
    pub(super) actions: u32,
    pub(super) priority: u32,
    /// What the program would be loaded with by itself.
    pub(super) flags: u32,
}

impl Calls {
    /// Reads a value, or says why it is not one that could be written again.
    pub(super) fn parse(value: &[u8]) -> Result<Self, String> {
        let (version, count) = match value {
            [MAGIC, version, count, ..] => (*version, usize::from(*count)),
            _ => return Err("is of version 1".to_owned()),
        };
        match (version, value.len()) {
            (2, SIZE_OF_2) => {}
            (3, SIZE_OF_3) => {
                if value.get(SIZE_OF_2).is_some_and(|bound| *bound != 0) {
                    return Err("is bound to a device".to_owned());
                }
            }
            _ => return Err(format!("is of version {version}")),
        }
        if count > PROGRAMS_MAX {
            return Err(format!("calls {count} programs"));
        }
        let word = |array: usize, slot: usize| {
            let at = 4 + array * ARRAY + 4 * slot;
            let bytes = value.get(at..).and_then(<[u8]>::first_chunk);
            bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
        };
        let slots = (0..count).map(|slot| Slot {
            actions: word(0, slot),
            priority: word(1, slot),
            flags: word(2, slot),
        });
        let frags = value.get(3).is_some_and(|frags| *frags != 0);
        Ok(Self { version, slots: slots.collect(), frags })
    }

    /// The value.
    pub(super) fn encode(&self) -> Vec<u8> {
        let count = u8::try_from(self.slots.len()).unwrap_or_default();
        let mut value = vec![MAGIC, self.version, count, u8::from(self.frags)];
        let members: [fn(&Slot) -> u32; 3] =
            [|slot| slot.actions, |slot| slot.priority, |slot| slot.flags];
        for member in members {
            let mut array: Vec<u8> =
                self.slots.iter().map(member).flat_map(u32::to_ne_bytes).collect();
            array.resize(ARRAY, 0);
            value.extend(array);
        }
        if self.version > 2 {
            value.resize(SIZE_OF_3, 0);
        }
        value
    }

    /// Whether no program would misread a packet of several buffers.
    pub(super) fn all_take_frags(&self) -> bool {
        self.slots.iter().all(|slot| slot.flags & sys_flags::XDP_HAS_FRAGS != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_and_the_number_of_programs_are_read() {
        let mut two = [0; SIZE_OF_2];
        two[..4].copy_from_slice(&[MAGIC, 2, 3, 1]);
        assert_eq!(Config::parse(&two), Some(Config { version: 2, programs: 3 }));
        let mut one = [0; SIZE_OF_1];
        one[0] = 4;
        assert_eq!(Config::parse(&one), Some(Config { version: 1, programs: 4 }));
        let later = [MAGIC, 9, 200, 0, 0];
        assert_eq!(Config::parse(&later), Some(Config { version: 9, programs: 10 }));
    }

    #[test]
    fn another_value_is_of_no_dispatcher() {
        for other in [&[][..], &[MAGIC], &[MAGIC, 2], &[1, 2, 3], &[0; 124]] {
            assert_eq!(Config::parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let slot = |priority| Slot { actions: 1 << 31 | 4, priority, flags: 32 };
        for (version, size) in [(2, 124), (3, 128)] {
            let calls = Calls { version, slots: vec![slot(7), slot(50)], frags: true };
            let value = calls.encode();
            assert_eq!(value.len(), size);
            assert_eq!(value[..4], [MAGIC, version, 2, 1]);
            assert_eq!(value[44..48], 7_u32.to_ne_bytes(), "the first priority");
            assert_eq!(Calls::parse(&value), Ok(calls));
        }
    }

    #[test]
    fn what_could_not_be_written_again_is_said() {
        let mut bound = Calls { version: 3, slots: Vec::new(), frags: false }.encode();
        bound[124] = 1;
        for (value, reason) in [
            (bound, "is bound to a device"),
            (vec![0; SIZE_OF_1], "is of version 1"),
            (vec![MAGIC, 4, 0, 0], "is of version 4"),
            (vec![MAGIC, 2, 0, 0], "is of version 2"),
        ] {
            assert_eq!(Calls::parse(&value), Err(reason.to_owned()));
        }
    }
}
