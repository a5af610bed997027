//! A kernel without cookies: programs find the arguments of statically defined probes by the address of
//! the probe's instruction, as far as that is known.

use rustix::process::Signal;

use super::held::{reload, states};
use super::usdt::{COUNT, HITS, seen};
use super::{Probed, manifest, number};
use crate::features::{COOKIES, is_past};
use crate::host;
use crate::program::Program;
use crate::sandbox::Sandbox;

const FIVE: u64 = (-5_i64).cast_unsigned();

/// Another program of the same object.
const OTHER: &str = "probe_in_section";

fn attach(program: &str, options: &str, name: &str, rest: &str) -> String {
    format!(
        "[objects.probes.programs.{program}]\nattach = [{{ hook = \"usdt\", {options}, provider = \
         \"probed\", name = \"{name}\"{rest} }}]\n"
    )
}

/// Through all that becomes of a probe.
fn round(probed: &mut Probed, options: &str) {
    let program = Program::new();
    let with =
        |name, rest| manifest(&program, "user_probes", &attach("on_probe", options, name, rest));
    let file = with("passed", ", cookie = 11");
    let plan = program.run(&["plan", &file]).status(0);
    assert!(plan.out.contains("since 5.15") && plan.out.contains("not pinned"), "{}", plan.out);
    let mut held = program.hold(&file);
    assert_eq!(probed.call("w"), 1, "it can know that it is watched");
    probed.call("p");
    assert_eq!(seen(), [1, 1234, FIVE, 11]);
    assert_eq!(number(HITS, COUNT), 2, "arguments");
    program.run(&["plan", &file, "--detailed-exitcode"]).status(0);
    let links = states(&program, &file);
    assert!(links.len() == 1 && links[0].starts_with("\"in-sync\""), "{links:?}");

    // Fresh maps, in which the address stands for another entry.
    with("passed", ", cookie = 12");
    reload(&mut held);
    probed.call("q");
    assert_eq!(seen(), [2, 77, 6, 12]);
    assert_eq!(probed.call("w"), 1);

    // At two places, with the argument in another register each.
    with("twice", "");
    reload(&mut held);
    assert_eq!(probed.call("w"), 0);
    probed.call("p");
    assert_eq!(seen(), [3, 1234, FIVE, 0]);
    probed.call("q");
    assert_eq!(seen(), [4, 78, 6, 0]);
    program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

    // Killed, and taken over.
    assert_eq!(held.end(Signal::KILL).0, None);
    probed.call("p");
    assert_eq!(seen()[0], 4);
    let held = program.hold(&file);
    probed.call("p");
    assert_eq!(seen(), [5, 1234, FIVE, 0]);
    assert_eq!(held.end(Signal::TERM).0, Some(0));
    probed.call("p");
    assert!(host::tree().is_empty(), "{:?}", host::tree());
}

#[test]
fn a_program_that_all_have_at_the_same_address() {
    if is_past(COOKIES) {
        return;
    }
    Sandbox::run(|_| {
        let mut probed = Probed::fixed();
        let options = probed.target();
        round(&mut probed, &options);
    });
}

#[test]
fn a_process_whose_addresses_are_read() {
    if is_past(COOKIES) {
        return;
    }
    Sandbox::run(|_| {
        let mut probed = Probed::start();
        let options = probed.options();
        round(&mut probed, &options);
    });
}

#[test]
fn without_a_process_the_ways_out_are_named() {
    if is_past(COOKIES) {
        return;
    }
    Sandbox::run(|_| {
        let (program, probed) = (Program::new(), Probed::start());
        let rest = attach("on_probe", &probed.target(), "passed", "");
        let file = manifest(&program, "user_probes", &rest);
        let said = program.run(&["plan", &file]).status(1);
        let said = said.out + &said.err;
        for word in ["before Linux 5.15", "`pid`", "`-no-pie`", "probed: "] {
            assert!(said.contains(word), "{said}");
        }
        let rest = attach("on_probe", &probed.options(), "passed", "");
        let file = manifest(&program, "user_probes", &rest);
        let said = program.run(&["apply", &file, "--detach"]).status(1);
        assert!((said.out.clone() + &said.err).contains("apply without `--detach`"), "{said:?}");
        assert!(host::tree().is_empty(), "{:?}", host::tree());
    });
}

#[test]
fn a_process_that_executes_the_program_later_is_waited_for() {
    if is_past(COOKIES) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::later());
        let refused = attach("on_probe", &probed.options(), "passed", "");
        let file = manifest(&program, "user_probes", &refused);
        let said = program.run(&["plan", &file]).status(1);
        assert!((said.out.clone() + &said.err).contains("has not mapped its code"), "{said:?}");

        let rest = attach("on_probe", &probed.options(), "passed", ", wait = true");
        manifest(&program, "user_probes", &rest);
        let mut held = program.hold(&file);
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);
        probed.go();
        assert_eq!(probed.call("p"), 1, "it runs");
        reload(&mut held);
        probed.call("p");
        assert_eq!(seen(), [1, 1234, FIVE, 0]);
        assert_eq!(held.end(Signal::TERM).0, Some(0));
        assert!(host::tree().is_empty(), "{:?}", host::tree());
    });
}

#[test]
fn two_programs_share_an_address_if_they_have_the_same_cookie() {
    if is_past(COOKIES) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::fixed());
        let with = |cookie: u32, probed: &Probed| {
            let rest = attach("on_probe", &probed.target(), "passed", ", cookie = 3")
                + &attach(OTHER, &probed.target(), "passed", &format!(", cookie = {cookie}"));
            manifest(&program, "user_probes", &rest)
        };
        let file = with(4, &probed);
        let said = program.run(&["apply", &file]).status(1);
        assert!((said.out.clone() + &said.err).contains("objects of their own"), "{said:?}");
        assert!(host::tree().is_empty(), "{:?}", host::tree());
        assert_eq!(probed.call("w"), 0);

        with(3, &probed);
        let held = program.hold(&file);
        // The kernel counts places in a process, not who watches them (`update_ref_ctr`).
        assert_eq!(probed.call("w"), 1);
        probed.call("p");
        assert_eq!(seen(), [1, 1234, FIVE, 3]);
        assert_eq!(held.end(Signal::TERM).0, Some(0));
    });
}

#[test]
fn what_cannot_be_told_the_address_is_refused() {
    if is_past(COOKIES) {
        return;
    }
    Sandbox::run(|_| {
        let (program, mut probed) = (Program::new(), Probed::fixed());
        let rest = attach("on_probe", &probed.target(), "passed", "");
        let file = manifest(&program, "usdt_by_cookie", &rest);
        let said = program.run(&["plan", &file]).status(1);
        let why = "a map `__bpf_usdt_ip_to_spec_id`";
        assert!((said.out.clone() + &said.err).contains(why), "{said:?}");

        let rest = attach("on_probe", &probed.target(), "twice", "")
            + "\n[objects.probes.maps.__bpf_usdt_ip_to_spec_id]\nmax-entries = 1\n";
        let file = manifest(&program, "user_probes", &rest);
        let said = program.run(&["apply", &file]).status(1);
        let why = "BPF_USDT_MAX_IP_CNT larger than 1";
        assert!((said.out.clone() + &said.err).contains(why), "{said:?}");
        assert!(host::tree().is_empty(), "{:?}", host::tree());
        probed.call("p");
    });
}
