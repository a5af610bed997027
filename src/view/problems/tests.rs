use super::*;
use crate::view::Style;

const SOURCE: &str = "näme = 1\ntwo = 1\n";

fn problem() -> Problem {
    Problem::error("pin-path-clash", Some(10..13), "two maps: one path, 100 %")
        .label("this one too")
        .related(Some(0..5), "first here")
        .help("give one of them\na `subpath`")
}

fn report(problems: &[Problem]) -> Report<'_> {
    Report { file: "a b/m,1:2.toml", source: SOURCE, problems }
}

#[test]
fn both_places_of_a_problem_are_drawn() {
    let problems = [problem()];
    let text = human(&report(&problems), Style::PLAIN);
    for part in ["pin-path-clash", "m,1:2.toml:2:1", "first here", "this one too", "1 error"] {
        assert!(text.contains(part), "{part} is missing from:\n{text}");
    }
}

#[test]
fn a_place_in_another_manifest_is_drawn_there() {
    let problems = [Problem::error("pin-path-clash", Some(0..5), "one path").related_in(
        "other.toml",
        Some(4..9),
        "first here",
    )];
    let other = Report { file: "other.toml", source: "\n\nx = [1]\n", problems: &[] };
    let reports = [other, report(&problems)];
    let text = full(&reports, Style::PLAIN);
    for part in ["m,1:2.toml:1:1", "other.toml:3:3", "first here", "2 manifests: 1 error"] {
        assert!(text.contains(part), "{part} is missing from:\n{text}");
    }
    let document = json(&reports);
    let related = &document["problems"][0]["related"][0];
    assert_eq!(related["file"], "other.toml");
    assert_eq!(related["span"]["start"]["line"], 3);
    let location = &sarif(&reports)["runs"][0]["results"][0]["relatedLocations"][0];
    assert_eq!(location["physicalLocation"]["artifactLocation"]["uri"], "other.toml");
    assert!(github(&reports).contains("first here: other.toml:3:3"));
}

#[test]
fn workflow_commands_are_escaped() {
    let problems = [problem()];
    assert_eq!(
        github(&[report(&problems)]),
        "::error file=a b/m%2C1%3A2.toml,line=2,endLine=2,col=1,endColumn=4,title=pin-path-clash::\
         two maps: one path, 100 %25%0Afirst here: a b/m,1:2.toml:1:1%0A\
         help: give one of them%0Aa `subpath`\n"
    );
    let problems = [Problem::warning("no-effect", Some(8..10), "over two lines")];
    let text = github(&[report(&problems)]);
    assert!(
        text.starts_with("::warning file=a b/m%2C1%3A2.toml,line=1,endLine=2,title="),
        "{text}"
    );
}

#[test]
fn a_problem_is_one_concise_line() {
    let problems = [
        Problem::error("manifest-unreadable", None, "it cannot\n\u{1b}[be read"),
        Problem::warning("no-effect", Some(6..7), "it does nothing"),
    ];
    assert_eq!(
        concise(&[report(&problems)], Style::PLAIN),
        "a b/m,1:2.toml: error[manifest-unreadable]: it cannot\u{fffd}\u{fffd}[be read\n\
         a b/m,1:2.toml:1:6: warning[no-effect]: it does nothing\n"
    );
}

#[test]
fn an_object_cannot_write_to_the_terminal() {
    let evil = "map `\u{1b}[2J\n::warning::`";
    let problems = [Problem::error("bad-name", Some(0..5), evil)
        .label(evil)
        .help(evil)
        .related(Some(10..13), evil)];
    let text = full(&[report(&problems)], Style::PLAIN);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.lines().all(|line| !line.starts_with("::")), "{text}");
}

#[test]
fn a_manifest_cannot_write_to_the_terminal() {
    let source = "a = 1\r\n# \u{1b}]0;x\u{7} \u{9b}2J \rb\tc\nnäme = 2\n";
    let at = source.find("näme").expect("it is there");
    let problems = [Problem::error("unknown-key", Some(at..at + "näme".len()), "no such key")];
    let file = "x\u{1b}[2J.toml";
    let text = full(&[Report { file, source, problems: &problems }], Style::PLAIN);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(text.contains("# ?]0;x? ¿2J ?b"), "the rest is as it was: {text}");
    assert!(text.contains(".toml:3:1]"), "the place is as it was: {text}");
}

#[test]
fn a_problem_ends_with_where_more_is_said_of_it() {
    let problems = [
        Problem::error("bad-name", Some(0..5), "bad").help("another").related(Some(10..13), "this"),
        Problem::error("of-no-page", None, "bad"),
    ];
    let text = full(&[report(&problems)], Style::PLAIN);
    assert!(text.contains("  help: another\n  see: ebpf-apply explain bad-name\n\n"), "{text}");
    assert_eq!(text.matches("see:").count(), 1, "a code without a page leads nowhere: {text}");
}

#[test]
fn paths_become_uris() {
    let of = |file| {
        let problems = [Problem::error("bad-name", None, "bad")];
        let log = sarif(&[Report { file, source: "", problems: &problems }]);
        let location = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        assert!(location.get("region").is_none(), "a problem of the whole file has no region");
        location["artifactLocation"]["uri"].as_str().map(str::to_owned)
    };
    assert_eq!(of("./a b/ä.toml").as_deref(), Some("a%20b/%C3%A4.toml"));
    assert_eq!(of("/etc/a:b#c").as_deref(), Some("file:///etc/a%3Ab%23c"));
}
