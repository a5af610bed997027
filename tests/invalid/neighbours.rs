//! Elements of one `attach` that name neighbours: each problem points at the element that has it.

use std::path::Path;

use ebpf_apply::model::code;
use ebpf_apply::model::release::Release;
use ebpf_apply::validate::{Demands, Problem, Severity, validate_for};

use crate::fixtures;
use crate::support;

/// `tc_count` at two interfaces, with a place at each.
fn problems(places: [&str; 2], kernel: Option<Release>) -> (String, Vec<Problem>) {
    support::object("tc_counter");
    let element = |interface: &str, place: &str| {
        format!(
            "{{ hook = \"tcx\", interface = \"{interface}\", direction = \"ingress\", {place} }}"
        )
    };
    let text = format!(
        "version = 1\nname = \"demo\"\n[objects.tc]\npath = \"bpf/out/tc_counter.bpf.o\"\nload = \
         \"listed\"\n[objects.tc.programs.classify]\nattach = [\n{},\n{},\n]\n\
         [objects.tc.programs.tc_count]\nattach = [\n{},\n{},\n]\n",
        element("eth0", places[0]),
        element("eth1", places[1]),
        element("eth0", "position = \"last\""),
        element("eth1", "position = \"last\""),
    );
    let demands = Demands { kernel, ..Demands::default() };
    let found = validate_for(Path::new("demo.toml"), &text, &demands, &fixtures::read).problems;
    (text, found)
}

fn line(text: &str, problem: &Problem) -> usize {
    let at = problem.span.as_ref().expect("a place").start;
    text[..at].lines().count() + usize::from(text[..at].ends_with('\n'))
}

#[test]
fn a_neighbour_that_is_not_there_is_told_where_it_is_named() {
    let places = ["before = \"tc.tc_count\"", "before = \"tc.nonesuch\""];
    let (text, found) = problems(places, None);
    let [problem] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((problem.code, line(&text, problem)), (code::UNKNOWN_PROGRAM, 9));
}

#[test]
fn only_what_is_beside_someone_else_s_program_has_no_stand_in() {
    let places = ["before = \"tc.tc_count\"", "before = \"someone\""];
    let (text, found) = problems(places, Some(Release::new(5, 15)));
    let told: Vec<_> = found.iter().map(|one| (one.severity, line(&text, one))).collect();
    let (warning, error) = (Severity::Warning, Severity::Error);
    assert_eq!(told, [(warning, 8), (error, 9), (warning, 13), (warning, 14)]);
}
