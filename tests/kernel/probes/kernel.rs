//! Functions of the kernel, by probes.

use super::{apply, destroy, manifest, number};
use crate::features::{
    KERNEL_PROBES, KPROBE_LINKS_OF_SEVERAL, KPROBE_SESSION, PERF_EVENT_LINKS,
    RAW_TRACEPOINT_COOKIES, goes_without, lacks,
};
use crate::program::Program;
use crate::sandbox::Sandbox;

const HITS: &str = "kernel_hits";
const ENTERED: u32 = 0;
const RETURNED: u32 = 1;
const COOKIE: u32 = 2;
const CALLED: u32 = 3;

fn with_process(rest: &str) -> String {
    format!("[objects.probes.globals]\nonly_process = {}\n{rest}", std::process::id())
}

fn attach(program: &str, hook: &str, function: &str, rest: &str) -> String {
    format!(
        "[objects.probes.programs.{program}]\nattach = [{{ hook = \"{hook}\", function = {function}{rest} \
         }}]\n"
    )
}

/// Asks for the parent, which the kernel answers by one function.
fn call() {
    let _parent = rustix::process::getppid();
}

/// Makes a socket, which a security hook is asked about.
fn socket() {
    drop(std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket"));
}

#[test]
fn a_kernel_function_is_probed_at_its_entry_and_return() {
    if lacks(&[KERNEL_PROBES, PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let function = "\"security_socket_create\"";
        let rest = attach("on_entry", "kprobe", function, ", cookie = 7")
            + &attach("on_return", "kretprobe", function, "")
            + "[objects.probes.programs.on_call]\nattach = [{ hook = \"section\" }]\n";
        let file = manifest(&program, "kernel_probes", &with_process(&rest));
        apply(&program, &file);
        socket();
        call();
        call();
        let seen = || [ENTERED, RETURNED, COOKIE, CALLED].map(|at| number(HITS, at));
        assert_eq!(seen(), [1, 1, 7, 2]);
        let rest = attach("on_return", "kretprobe", function, "");
        manifest(&program, "kernel_probes", &with_process(&rest));
        apply(&program, &file);
        let [entered, returned, ..] = seen();
        socket();
        call();
        assert_eq!(seen()[..2], [entered, returned + 1]);
        destroy(&program, &file);
    });
}

#[test]
fn a_pattern_probes_several_kernel_functions() {
    if lacks(&[KERNEL_PROBES, PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let one_by_one = goes_without(KPROBE_LINKS_OF_SEVERAL);
        let rest = attach(
            "on_entry",
            "kprobe",
            "\"security_socket_[c]reate\"".replace("[c]", "?").as_str(),
            "",
        ) + &attach(
            "on_return",
            "kretprobe",
            "[\"security_socket_create\", \"security_socket_bind\"]",
            "",
        );
        let file = manifest(&program, "kernel_probes", &with_process(&rest));
        let said = apply(&program, &file);
        assert_eq!(said.out.contains("one link for each place"), one_by_one, "{}", said.out);
        socket();
        assert_eq!([ENTERED, RETURNED].map(|at| number(HITS, at)), [1, 2]);
        destroy(&program, &file);
    });
}

#[test]
fn a_session_sees_a_call_from_both_ends() {
    if lacks(&[KPROBE_SESSION, KPROBE_LINKS_OF_SEVERAL]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let rest = "[objects.probes.programs.around]\nattach = [{ hook = \"section\" }]\n";
        let file = manifest(&program, "kernel_probes", &with_process(rest));
        apply(&program, &file);
        socket();
        assert_eq!(number(HITS, ENTERED), 2, "at its entry and its return");
        destroy(&program, &file);
    });
}

/// Whether the program sees the cookie that its attachment has.
fn sees_its_cookie(traced: &str) {
    Sandbox::run(|_| {
        let program = Program::new();
        let with = |cookie: u64| {
            with_process(&format!(
                "[objects.probes.programs.{traced}]\nattach = [{{ hook = \"section\", cookie = {cookie} }}]\n"
            ))
        };
        for cookie in [21, 22] {
            let file = manifest(&program, "kernel_probes", &with(cookie));
            apply(&program, &file);
            call();
            assert_eq!(number(HITS, COOKIE), cookie);
        }
        destroy(&program, &program.directory().join("edge.toml").display().to_string());
    });
}

#[test]
fn a_tracepoint_has_a_cookie() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    sees_its_cookie("on_tracepoint");
}

#[test]
fn a_raw_tracepoint_has_a_cookie() {
    if lacks(&[RAW_TRACEPOINT_COOKIES]) {
        return;
    }
    sees_its_cookie("on_raw_tracepoint");
}

#[test]
fn a_kernel_without_probes_says_so() {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    // Where it has them, a function is looked for.
    let without = goes_without(KERNEL_PROBES);
    Sandbox::run(|_| {
        let program = Program::new();
        let rest = attach("on_entry", "kprobe", "\"ebpf_apply_no_such_function\"", "");
        let file = manifest(&program, "kernel_probes", &with_process(&rest));
        let said = program.run(&["apply", &file, "--detach"]).status(1);
        let why =
            if without { "this kernel has no kprobes" } else { "no function `ebpf_apply_no_such" };
        assert!((said.out.clone() + &said.err).contains(why), "{said:?}");
        assert!(crate::host::tree().is_empty(), "{:?}", crate::host::tree());
    });
}
