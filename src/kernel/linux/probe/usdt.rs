//! Statically defined probes: where a file has them, by its notes of systemtap's format.
//!
//! Source: `collect_usdt_targets` and `parse_usdt_note` of libbpf's `src/usdt.c`, and systemtap's
//! `includes/sys/sdt.h`.

use super::arguments::{self, Argument};
use super::elf::{Binary, Segment};

const NOTES: &str = ".note.stapsdt";
/// Its address tells how far a file was moved after its notes were written.
const BASE: &str = ".stapsdt.base";
/// `USDT_NOTE_TYPE`, `USDT_NOTE_NAME`.
const NOTE: (u32, &[u8]) = (3, b"stapsdt\0");

/// One place in the code that has a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// Where its instruction lies in the file.
    pub(super) offset: u64,
    /// Its address, by what the file says.
    pub(super) address: u64,
    /// Where its counter lies in the file, which says whether anybody watches; 0 for none.
    pub(super) counter: u64,
    pub(super) arguments: Vec<Argument>,
}

/// Every place that has the probe, in the order of the notes.
pub(super) fn sites(binary: &Binary, provider: &str, name: &str) -> Result<Vec<Site>, String> {
    let Some((_, notes)) = binary.section(NOTES)? else {
        return Err("it has no statically defined probes (no section `.note.stapsdt`)".to_owned());
    };
    let base = binary.section(BASE)?.map(|(address, _)| address);
    let segments = binary.segments()?;
    let reader = Reader { word: binary.word(), little: binary.is_little_endian() };
    let mut sites = Vec::new();
    let mut others = Vec::new();
    for note in reader.notes(notes) {
        let note = note.ok_or("its section `.note.stapsdt` is damaged")?;
        if (note.provider, note.name) == (provider, name) {
            sites.push(site(&note, base, &segments)?);
        } else if note.provider == provider {
            others.push(note.name);
        }
    }
    if sites.is_empty() {
        others.sort_unstable();
        others.dedup();
        let has = match others.as_slice() {
            [] => String::new(),
            others => format!("; of `{provider}` it has {}", others.join(", ")),
        };
        return Err(format!("it has no probe `{provider}:{name}`{has}"));
    }
    Ok(sites)
}

/// One note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note<'a> {
    location: u64,
    base: u64,
    counter: u64,
    provider: &'a str,
    name: &'a str,
    arguments: &'a str,
}

fn site(note: &Note<'_>, base: Option<u64>, segments: &[Segment]) -> Result<Site, String> {
    let probe = || format!("probe `{}:{}`", note.provider, note.name);
    let moved = base.filter(|_| note.base != 0).map_or(0, |base| base.wrapping_sub(note.base));
    let in_file = |address: u64, is_code: bool| {
        let address = address.wrapping_add(moved);
        let within = |segment: &&Segment| {
            segment.is_code == is_code
                && address >= segment.address
                && address - segment.address < segment.size
        };
        let segment = segments.iter().find(within)?;
        (address - segment.address).checked_add(segment.offset)
    };
    let offset = in_file(note.location, true)
        .ok_or_else(|| format!("{} is at an address that holds no code", probe()))?;
    let counter = match note.counter {
        0 => 0,
        counter => in_file(counter, false)
            .ok_or_else(|| format!("the counter of {} is at an address without data", probe()))?,
    };
    let arguments = arguments::parse(note.arguments)
        .map_err(|reason| format!("the arguments of {}: {reason}", probe()))?;
    let address = note.location.wrapping_add(moved);
    Ok(Site { offset, address, counter, arguments })
}

/// What was read of a section of notes.
#[derive(Clone, Copy, Debug)]
enum Read<'a> {
    Note(Note<'a>),
    /// Another kind of note.
    Other,
}

/// How the file's machine writes numbers.
#[derive(Clone, Copy, Debug)]
struct Reader {
    word: usize,
    little: bool,
}

impl Reader {
    /// The notes of a section; `None` where one is damaged, and it is the last.
    fn notes(self, mut rest: &[u8]) -> Vec<Option<Note<'_>>> {
        let mut notes = Vec::new();
        while !rest.is_empty() {
            match self.next(&mut rest) {
                Some(Read::Note(note)) => notes.push(Some(note)),
                Some(Read::Other) => {}
                None => {
                    notes.push(None);
                    return notes;
                }
            }
        }
        notes
    }

    fn next<'a>(self, rest: &mut &'a [u8]) -> Option<Read<'a>> {
        let name_size = self.number(take(rest, 4)?)?;
        let size = self.number(take(rest, 4)?)?;
        let kind = self.number(take(rest, 4)?)?;
        let name = padded(rest, name_size)?;
        let description = padded(rest, size)?;
        if (u32::try_from(kind).ok()?, name) != NOTE {
            return Some(Read::Other);
        }
        self.note(description).map(Read::Note)
    }

    fn note(self, mut rest: &[u8]) -> Option<Note<'_>> {
        let mut word = || self.number(take(&mut rest, self.word)?);
        let (location, base, counter) = (word()?, word()?, word()?);
        let mut texts = rest.split(|byte| *byte == 0).map(|text| std::str::from_utf8(text).ok());
        let (provider, name) = (texts.next()??, texts.next()??);
        let arguments = texts.next().flatten().unwrap_or_default();
        Some(Note { location, base, counter, provider, name, arguments })
    }

    fn number(self, bytes: &[u8]) -> Option<u64> {
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        (bytes.len() <= 8).then(|| {
            if self.little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
        })
    }
}

fn take<'a>(rest: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(size)?;
    *rest = left;
    Some(taken)
}

/// What has a size and is filled up to whole words of 4 bytes; the last may not be.
fn padded<'a>(rest: &mut &'a [u8], size: u64) -> Option<&'a [u8]> {
    let size = usize::try_from(size).ok()?;
    let taken = take(rest, size)?;
    let padding = (4 - size % 4) % 4;
    take(rest, padding.min(rest.len()))?;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READER: Reader = Reader { word: 8, little: true };

    fn note(location: u64, base: u64, counter: u64, texts: &[u8]) -> Vec<u8> {
        let description: Vec<u8> = [location, base, counter]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .chain(texts.iter().copied())
            .collect();
        let size = u32::try_from(description.len()).expect("it is short");
        let head = [8, size, 3].into_iter().flat_map(u32::to_le_bytes);
        let mut note: Vec<u8> = head.chain(*b"stapsdt\0").chain(description).collect();
        note.resize(note.len().next_multiple_of(4), 0);
        note
    }

    #[test]
    fn notes_are_read_and_others_passed_over() {
        let other = [4_u32, 4, 1].into_iter().flat_map(u32::to_le_bytes).chain(*b"GNU\0abcd");
        let bytes: Vec<u8> =
            other.chain(note(0x1010, 0x2000, 0x3004, b"libc\0setjmp\08@%rdi -4@%esi\0")).collect();
        let expected = Note {
            location: 0x1010,
            base: 0x2000,
            counter: 0x3004,
            provider: "libc",
            name: "setjmp",
            arguments: "8@%rdi -4@%esi",
        };
        assert_eq!(READER.notes(&bytes), [Some(expected)]);
        for end in 1..bytes.len() {
            // Whatever is missing, nothing else than the note itself is found.
            let found = READER.notes(&bytes[..end]);
            assert!(found.iter().flatten().all(|note| note.name == "setjmp"), "{end}");
        }
    }

    #[test]
    fn addresses_become_places_in_the_file() {
        let segments = [
            Segment { address: 0x1000, size: 0x100, offset: 0x400, is_code: true },
            Segment { address: 0x3000, size: 0x100, offset: 0x800, is_code: false },
        ];
        let note = Note {
            location: 0x10,
            base: 0x2000,
            counter: 0x2004,
            provider: "p",
            name: "n",
            arguments: "",
        };
        // The file was moved by 0x1000 after the note was written.
        let found = site(&note, Some(0x3000), &segments).expect("both are there");
        assert_eq!((found.offset, found.address, found.counter), (0x410, 0x1010, 0x804));
        let error = site(&note, None, &segments).expect_err("it is nowhere");
        assert!(error.contains("`p:n`"), "{error}");
    }
}
