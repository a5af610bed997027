//! Functions of the kernel by their types, and hooks of security modules.

use std::net::UdpSocket;

use super::{apply, destroy, manifest, number};
use crate::features::{
    BPF_SECURITY_MODULE, FSESSION, FUNCTION_COOKIES, LSM_CGROUP, PROGRAMS_AT_FUNCTIONS, lacks,
};
use crate::layer::running::eventually;
use crate::program::Program;
use crate::sandbox::Sandbox;

const HITS: &str = "function_hits";
const ENTERED: u32 = 0;
const RETURNED: u32 = 1;
const ASKED: u32 = 2;
const COOKIE: u32 = 3;
const ASKED_IN_CGROUP: u32 = 4;
/// The same of `function_session.bpf.c`.
const SESSION_COOKIE: u32 = 1;

fn with_process(rest: &str) -> String {
    format!("[objects.probes.globals]\nonly_process = {}\n{rest}", std::process::id())
}

fn attach(program: &str, options: &str) -> String {
    format!("[objects.probes.programs.{program}]\nattach = [{{ {options} }}]\n")
}

fn socket() -> bool {
    UdpSocket::bind("127.0.0.1:0").is_ok()
}

#[test]
fn a_function_is_seen_at_its_entry_and_return_and_changed() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let entry = attach("on_entry", "hook = \"fentry\", function = \"security_socket_create\"");
        let exit = attach("on_return", "hook = \"section\"");
        let file = manifest(&program, "kernel_functions", &with_process(&(entry + &exit)));
        apply(&program, &file);
        assert!(socket());
        assert_eq!([ENTERED, RETURNED].map(|at| number(HITS, at)), [1, 1]);

        let refuse = attach("refuse", "hook = \"fmod-ret\", function = \"security_socket_create\"");
        manifest(&program, "kernel_functions", &with_process(&(refuse + &exit)));
        apply(&program, &file);
        let [entered, returned] = [ENTERED, RETURNED].map(|at| number(HITS, at));
        assert!(!socket(), "the program answers instead");
        assert_eq!([ENTERED, RETURNED].map(|at| number(HITS, at)), [entered, returned + 1]);
        destroy(&program, &file);
        // Older kernels let go of a link a little after its last pin.
        eventually("nothing runs any more", socket);
    });
}

#[test]
fn a_function_s_program_has_a_cookie() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS, FUNCTION_COOKIES]) {
        return;
    }
    sees_its_cookie("kernel_functions", COOKIE);
}

#[test]
fn a_session_of_a_function_has_a_cookie() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS, FSESSION]) {
        return;
    }
    sees_its_cookie("function_session", SESSION_COOKIE);
}

/// Attaches the program `with_cookie` of an object, which writes the cookie to that place.
fn sees_its_cookie(object: &str, place: u32) {
    Sandbox::run(|_| {
        let program = Program::new();
        let with = |cookie: u64| {
            with_process(&attach("with_cookie", &format!("hook = \"section\", cookie = {cookie}")))
        };
        let file = manifest(&program, object, &with(5));
        apply(&program, &file);
        assert!(socket());
        assert_eq!(number(HITS, place), 5);
        manifest(&program, object, &with(6));
        apply(&program, &file);
        assert!(socket());
        assert_eq!(number(HITS, place), 6);
        destroy(&program, &file);
    });
}

#[test]
fn a_security_hook_is_seen() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS, BPF_SECURITY_MODULE]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let rest = attach("on_hook", "hook = \"lsm\", function = \"socket_create\"");
        let file = manifest(&program, "kernel_functions", &with_process(&rest));
        apply(&program, &file);
        assert!(socket());
        assert_eq!(number(HITS, ASKED), 1);
        destroy(&program, &file);
    });
}

#[test]
fn a_security_hook_is_seen_for_a_cgroup() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS, BPF_SECURITY_MODULE, LSM_CGROUP]) {
        return;
    }
    Sandbox::run(|sandbox| {
        let program = Program::new();
        let at = |cgroup: &std::path::Path| {
            let options = format!(
                "hook = \"lsm-cgroup\", function = \"socket_create\", path = \"{}\"",
                cgroup.display()
            );
            with_process(&attach("in_cgroup", &options))
        };
        let file = manifest(&program, "kernel_functions", &at(sandbox.cgroup()));
        apply(&program, &file);
        assert!(socket());
        assert_eq!(number(HITS, ASKED_IN_CGROUP), 0, "this process is in another");
        let root = sandbox.cgroup().parent().expect("the hierarchy's root");
        manifest(&program, "kernel_functions", &at(root));
        apply(&program, &file);
        assert!(socket());
        assert_eq!(number(HITS, ASKED_IN_CGROUP), 1);
        destroy(&program, &file);
    });
}

#[test]
fn a_function_that_is_not_there_is_told() {
    Sandbox::run(|_| {
        let program = Program::new();
        let rest =
            attach("on_entry", "hook = \"fentry\", function = \"ebpf_apply_no_such_function\"");
        let file = manifest(&program, "kernel_functions", &with_process(&rest));
        let said = program.run(&["apply", &file, "--detach"]).status(1);
        assert!(said.err.contains("ebpf_apply_no_such_function"), "{said:?}");
        assert!(crate::host::tree().is_empty(), "{:?}", crate::host::tree());
    });
}
