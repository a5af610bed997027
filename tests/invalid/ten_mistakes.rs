//! One manifest with ten mistakes, three of them syntax: all are found in one pass.

use std::path::Path;
use std::time::Instant;

use ebpf_apply::model::code;

use crate::fixtures::Fixture;
use crate::position;

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the time it takes is of interest, and no machine's promise"
)]
fn ten_mistakes_are_found_in_one_pass() {
    let fixture = Fixture::read(Path::new("examples/ten-mistakes.toml"));
    let began = Instant::now();
    let validation = fixture.validate();
    println!("ten mistakes in {:?}", began.elapsed());
    let text = &fixture.text;
    let found: Vec<(&str, String, &str)> = validation
        .problems
        .iter()
        .map(|problem| {
            let span = problem.span.clone().expect("each has its place");
            (problem.code, position(text, span.start), &text[span])
        })
        .collect();
    let place = |line: usize, column: usize| format!("{line}:{column}");
    assert_eq!(
        found,
        [
            (code::TOML_SYNTAX, place(5, 8), "edge"),
            (code::BAD_PIN_ROOT, place(6, 12), "\"/sys/fs/bpf/edge.d\""),
            (code::TOML_SYNTAX, place(10, 11), "fw"),
            (code::UNKNOWN_KEY, place(11, 1), "loads"),
            (code::BAD_VALUE, place(14, 7), "\"persist\""),
            (code::GLOBAL_TYPE, place(17, 13), "\"two\""),
            (code::HOOK_MISMATCH, place(20, 20), "\"tcx\""),
            (code::PIN_ATTRIBUTE_MISSING, place(26, 7), "\"by-name\""),
            (code::UNKNOWN_PROGRAM, place(28, 27), "count_flow"),
            (code::TOML_SYNTAX, place(31, 7), "\"by-name"),
        ]
    );
    assert!(validation.desired.is_none());
}
