//! Whatever is done to a manifest or to the objects it names, validation answers: it does not panic,
//! it points into the text, it says the same each time, and something is desired exactly if no
//! problem is an error.

use std::io;
use std::path::Path;
use std::sync::OnceLock;

use ebpf_apply::model::problem::Severity;
use ebpf_apply::model::release::Release;
use ebpf_apply::validate::{Demands, Validation, validate_for};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use crate::fixtures::{self, Fixture};

/// The examples, those that are refused and those that are not.
fn manifests() -> &'static [Fixture] {
    static ALL: OnceLock<Vec<Fixture>> = OnceLock::new();
    ALL.get_or_init(|| {
        let good = fixtures::manifests("examples/manifests");
        let good = good.iter().map(|path| Fixture::read(path));
        fixtures::invalid().into_iter().chain(good).collect()
    })
}

/// The same for every run, so that a failure of one is a failure of all.
fn cases(cases: u32, seed: u64) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() }
}

/// One edit of a text by its lines.
#[derive(Clone, Debug)]
enum Edit {
    /// A line goes.
    Drop(usize),
    /// A line is there again, elsewhere.
    Copy(usize, usize),
    /// The value of one line becomes that of another.
    Swap(usize, usize),
    /// Some bytes of a line are others.
    Type(usize, usize, String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<usize>;
    prop_oneof![
        at().prop_map(Edit::Drop),
        (at(), at()).prop_map(|(from, to)| Edit::Copy(from, to)),
        (at(), at()).prop_map(|(line, other)| Edit::Swap(line, other)),
        (at(), at(), "[\\[\\]{}=\"'.,#\\\\a1é\n -]{0,4}")
            .prop_map(|(line, column, text)| Edit::Type(line, column, text)),
    ]
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for edit in edits {
        let count = lines.len();
        if count == 0 {
            break;
        }
        match edit {
            Edit::Drop(at) => drop(lines.remove(at % count)),
            Edit::Copy(from, to) => {
                let line = lines[from % count].clone();
                lines.insert(to % (count + 1), line);
            }
            Edit::Swap(at, other) => {
                let value = lines[other % count].split_once(" = ").map(|(_, v)| v.to_owned());
                let line = &mut lines[at % count];
                if let (Some(value), Some((key, _))) = (value, line.split_once(" = ")) {
                    *line = format!("{key} = {value}");
                }
            }
            Edit::Type(at, column, text) => {
                let line = &mut lines[at % count];
                let column = line.floor_char_boundary(column % (line.len() + 1));
                let end = line.ceil_char_boundary((column + text.len() / 2).min(line.len()));
                line.replace_range(column..end, text);
            }
        }
    }
    lines.join("\n")
}

fn assert_sound(text: &str, found: &Validation) {
    for problem in &found.problems {
        let related = problem.related.iter().map(|related| &related.span);
        for span in problem.span.iter().chain(related) {
            assert!(text.get(span.clone()).is_some(), "{span:?} of {problem:?} in\n{text}");
        }
        assert!(!problem.message.is_empty() && !problem.message.ends_with('.'), "{problem:?}");
    }
    let start = |span: &Option<std::ops::Range<usize>>| span.as_ref().map(|span| span.start);
    assert!(found.problems.is_sorted_by_key(|problem| start(&problem.span)), "{text}");
    let refused = found.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(found.desired.is_some(), !refused, "{text}");
}

type Read<'r> = dyn Fn(&Path) -> io::Result<Vec<u8>> + 'r;

fn validated(fixture: &Fixture, text: &str, read: &Read<'_>) -> Validation {
    let demands = Demands { kernel: Some(Release::new(5, 10)), ..fixture.demands.clone() };
    validate_for(&fixture.path, text, &demands, read)
}

proptest! {
    #![proptest_config(cases(2000, 4))]

    #[test]
    fn an_edited_manifest_is_answered(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec(edit(), 1..6),
    ) {
        let fixture = which.get(manifests());
        let text = edited(&fixture.text, &edits);
        let found = validated(fixture, &text, &fixtures::read);
        assert_sound(&text, &found);
        let again = validated(fixture, &text, &fixtures::read);
        prop_assert_eq!(found.problems, again.problems, "the same, in the same order");
    }
}

proptest! {
    #![proptest_config(cases(2000, 5))]

    #[test]
    fn a_damaged_object_is_answered(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let fixture = which.get(manifests());
        let read = |path: &Path| {
            let mut bytes = fixtures::read(path)?;
            let size = bytes.len();
            for (at, byte) in damage.iter().filter(|_| size > 0) {
                bytes[at.index(size)] = *byte;
            }
            if let Some(end) = end {
                bytes.truncate(end.index(bytes.len() + 1));
            }
            Ok(bytes)
        };
        let found = validated(fixture, &fixture.text, &read);
        assert_sound(&fixture.text, &found);
    }
}
