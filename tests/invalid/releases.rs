//! What an older release lacks of options, iterators and flags: refused one release before, and taken
//! by the one that brought it.

use std::path::Path;

use ebpf_apply::model::code;
use ebpf_apply::model::release::Release;
use ebpf_apply::validate::{Demands, Problem, Severity, validate_for};

use crate::fixtures;
use crate::support;

/// What is wrong with an attachment of one program of an object.
fn problems(object: &str, program: &str, attach: &str, kernel: Release) -> Vec<Problem> {
    let text = format!(
        "version = 1\nname = \"demo\"\n[objects.demo]\npath = \"bpf/out/{object}.bpf.o\"\nload = \
         \"listed\"\n[objects.demo.programs.{program}]\nattach = [{{ {attach} }}]\n"
    );
    support::object(object);
    let demands = Demands { kernel: Some(kernel), ..Demands::default() };
    validate_for(Path::new("demo.toml"), &text, &demands, &fixtures::read).problems
}

#[test]
fn an_option_is_taken_since_its_release() {
    let netfilter =
        "hook = \"netfilter\", family = \"ipv4\", at = \"local-in\", priority = 0, defrag = true";
    let pinned = "hook = \"freplace\", program = \"/sys/fs/bpf/theirs/main\"";
    for (object, program, attach, since, what) in [
        ("net_hooks", "on_netfilter", netfilter, (6, 6), "`defrag` at `netfilter`"),
        ("iterators", "show_task", "hook = \"iter\", task = 1", (6, 1), "`task` of an iterator"),
        ("iterators", "show_cgroup", "hook = \"iter\"", (6, 1), "section `?iter/cgroup`"),
        ("replacement", "instead", pinned, (5, 10), "of a program that is pinned"),
    ] {
        let (major, minor) = since;
        let before = problems(object, program, attach, Release::new(major, minor - 1));
        let found: Vec<_> = before.iter().filter(|one| one.message.contains(what)).collect();
        let [problem] = found.as_slice() else { panic!("{what}: {before:#?}") };
        assert_eq!(problem.code, code::KERNEL_TOO_OLD);
        assert!(
            problem.message.contains(&format!("Linux {major}.{minor},")),
            "{}",
            problem.message
        );
        let with = problems(object, program, attach, Release::new(major, minor));
        assert!(with.iter().all(|one| !one.message.contains(what)), "{what}: {with:#?}");
    }
}

#[test]
fn before_its_links_a_map_of_sockets_keeps_programs() {
    let attach = "hook = \"sockmap\", map = \"demo.sockets\"";
    let found = |program, minor| {
        let found = problems("net_hooks", program, attach, Release::new(5, minor));
        let hooks = found.into_iter().filter(|one| one.message.contains("sockmap"));
        hooks.map(|one| (one.severity, one.message, one.help)).collect::<Vec<_>>()
    };
    let found_early = found("on_msg", 10);
    let [(severity, message, help)] = found_early.as_slice() else { panic!("{found_early:#?}") };
    assert_eq!(*severity, Severity::Warning);
    assert!(message.contains("hook `sockmap` needs Linux 6.10"), "{message}");
    assert!(help.iter().any(|help| help.contains("the map keeps the program")), "{help:?}");
    for (minor, errors) in [(12, 1), (13, 0)] {
        let found = found("on_verdict", minor);
        let refused = found.iter().filter(|(severity, ..)| *severity == Severity::Error).count();
        assert_eq!(refused, errors, "{found:#?}");
    }
}

#[test]
fn a_flag_is_taken_since_its_release() {
    let found = |object, kernel| {
        let attach = "hook = \"xdp\", interface = \"eth0\"";
        let found = problems(object, "pass", attach, kernel);
        found.into_iter().map(|one| (one.code, one.message)).collect::<Vec<_>>()
    };
    let late = "map `recent` (`ringbuf`) has the flag `BPF_F_RB_OVERWRITE`, which needs Linux 6.19, and `--kernel` says 6.18".to_owned();
    assert_eq!(found("map_flags", Release::new(6, 18)), [(code::KERNEL_TOO_OLD, late)]);
    assert_eq!(found("map_flags", Release::new(6, 19)), []);
    let refused = found("invalid_shapes", Release::new(6, 1));
    let late = |(code, message): &(&str, String)| {
        *code == code::KERNEL_TOO_OLD && message.contains("`shut`")
    };
    assert!(!refused.iter().any(late), "the type takes the flag nowhere: {refused:#?}");
    let unknown = "map `later` has the flags 0x40000000, which Linux 6.19 does not know".to_owned();
    let found = found("invalid_shapes", Release::new(6, 19));
    assert!(found.contains(&(code::KERNEL_TOO_OLD, unknown)), "{found:#?}");
}

#[test]
fn a_probe_is_found_by_its_address_where_there_are_no_cookies() {
    let at = |object, target: &str| {
        let attach = format!(
            "hook = \"usdt\", target = {target}, provider = \"p\", name = \"n\", cookie = 7"
        );
        let late =
            |one: &Problem| one.code == code::KERNEL_TOO_OLD && one.message.contains("`usdt`");
        let before = problems(object, "on_probe", &attach, Release::new(5, 14));
        let mut found: Vec<Problem> = before.into_iter().filter(late).collect();
        assert_eq!(found.len(), 1, "its cookie is an entry of a map: {found:#?}");
        let with = problems(object, "on_probe", &attach, Release::new(5, 15));
        assert!(!with.iter().any(late), "{with:#?}");
        let problem = found.remove(0);
        (problem.severity, problem.help.expect("advice"))
    };
    for (object, target, severity, word) in [
        ("user_probes", "\"/usr/bin/app\"", Severity::Warning, "`-no-pie`"),
        ("user_probes", "\"libc.so.6\", pid = 7", Severity::Warning, "`--detach` is refused"),
        ("user_probes", "\"libc.so.6\"", Severity::Error, "by `pid`"),
        ("usdt_by_cookie", "\"/usr/bin/app\", pid = 7", Severity::Error, "usdt.bpf.h"),
    ] {
        let (found, help) = at(object, target);
        assert_eq!(found, severity, "{target}: {help}");
        assert!(help.contains(word), "{target}: {help}");
    }
}
