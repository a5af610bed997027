//! Functions of the kernel, of programs and of other BPF programs.

use std::cell::{Cell, RefCell};
use std::net::UdpSocket;

use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot};

use super::Case;
use crate::features::{
    BPF_SECURITY_MODULE, FSESSION, KERNEL_PROBES, LSM_CGROUP, PERF_EVENT_LINKS,
    PROGRAMS_AT_FUNCTIONS, STRUCT_OPS_LINKS, lacks,
};
use crate::host::wire;
use crate::layer::running::run;
use crate::operations::Controls;
use crate::probes::Probed;
use crate::sandbox::Sandbox;
use crate::support::object;

/// Makes a socket, which security hooks are asked about.
fn socket() -> bool {
    UdpSocket::bind("127.0.0.1:0").is_ok()
}

/// A program of a function that making a socket calls.
fn of_sockets(hook: &'static str, name: &str, program: &'static str) -> Case<'static> {
    Case::new(hook, name, program)
        .rest(format!("[objects.it.globals]\nonly_process = {}\n", std::process::id()))
        .act(|| assert!(socket(), "nobody forbids it"))
}

#[test]
fn fentry() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|_| {
        let case = of_sockets("fentry", "kernel_functions", "on_entry");
        case.options("function = \"security_socket_create\"").counts("function_hits", 0).round();
    });
}

#[test]
fn fexit() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|_| {
        let case = of_sockets("fexit", "kernel_functions", "on_return");
        case.options("function = \"security_socket_create\"").counts("function_hits", 1).round();
    });
}

#[test]
fn fsession() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS, FSESSION]) {
        return;
    }
    Sandbox::run(|_| {
        let case = of_sockets("fsession", "function_session", "around");
        case.options("function = \"security_socket_create\"").counts("function_hits", 0).round();
    });
}

#[test]
fn fmod_ret() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|_| {
        let refused = Cell::new(0);
        let case = of_sockets("fmod-ret", "kernel_functions", "refuse")
            .options("function = \"security_socket_create\"")
            .act(|| refused.set(refused.get() + u64::from(!socket())));
        case.count(|| refused.get()).round();
    });
}

#[test]
fn lsm() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS, BPF_SECURITY_MODULE]) {
        return;
    }
    Sandbox::run(|_| {
        let case = of_sockets("lsm", "kernel_functions", "on_hook");
        case.options("function = \"socket_create\"").counts("function_hits", 2).round();
    });
}

#[test]
fn lsm_cgroup() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS, BPF_SECURITY_MODULE, LSM_CGROUP]) {
        return;
    }
    Sandbox::run(|sandbox| {
        let root = sandbox.cgroup().parent().expect("the hierarchy's root").display();
        let case = of_sockets("lsm-cgroup", "kernel_functions", "in_cgroup");
        let options = format!("function = \"socket_create\", path = \"{root}\"");
        case.options(options).counts("function_hits", 4).round();
    });
}

#[test]
fn kprobe() {
    if lacks(&[KERNEL_PROBES, PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let case = of_sockets("kprobe", "kernel_probes", "on_entry");
        case.options("function = \"security_socket_create\"").counts("kernel_hits", 0).round();
    });
}

#[test]
fn kretprobe() {
    if lacks(&[KERNEL_PROBES, PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let case = of_sockets("kretprobe", "kernel_probes", "on_return");
        case.options("function = \"security_socket_create\"").counts("kernel_hits", 1).round();
    });
}

/// A program of a function, or of a probe, that a letter makes a process pass.
fn of_process(hook: &'static str, program: &'static str, options: &str, letter: &str, index: u32) {
    if lacks(&[PERF_EVENT_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let probed = RefCell::new(Probed::start());
        let options = format!("{}, {options}", probed.borrow().options());
        let case = Case::new(hook, "user_probes", program).options(options);
        let call = || {
            probed.borrow_mut().call(letter);
        };
        case.act(call).counts("user_hits", index).round();
    });
}

#[test]
fn uprobe() {
    of_process("uprobe", "on_entry", "symbol = \"probed_single\"", "s", 0);
}

#[test]
fn uretprobe() {
    of_process("uretprobe", "on_return", "symbol = \"probed_single\"", "s", 1);
}

#[test]
fn usdt() {
    of_process("usdt", "on_probe", "provider = \"probed\", name = \"passed\"", "p", 3);
}

/// What the replacement makes the program answer.
const DROP: u32 = 1;

#[test]
fn freplace() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|sandbox| {
        wire(sandbox);
        // The program whose function is replaced goes with the deployment; what it was is kept.
        let held = RefCell::new(None);
        let dropped = Cell::new(0);
        let call = || {
            let name = |name| Name::new(name).expect("a legal name");
            let root = PinRoot::new(super::PINS.as_ref()).expect("a legal root");
            let pin = PinPath::program(&name("hooks"), &name("main"), "dispatch");
            let found = Linux::new().open(&root, &pin).expect("open");
            if let Some(handle) = found.and_then(|found| found.handle) {
                held.replace(Some(handle));
            }
            let held = held.borrow();
            let answer = run(held.as_ref().expect("it was pinned"), &[0; 64]);
            dropped.set(dropped.get() + u64::from(answer == DROP));
        };
        let case = Case::new("freplace", "replacement", "instead")
            .options("program = \"main.dispatch\"")
            .rest(format!(
                "[objects.main]\npath = \"{}\"\n\n[objects.main.programs.dispatch]\nattach = [{{ \
                 hook = \"xdp\", interface = \"veth0\", mode = \"generic\" }}]\n",
                object("replaceable").display()
            ));
        case.act(call).count(|| dropped.get()).round();
    });
}

#[test]
fn struct_ops() {
    if lacks(&[STRUCT_OPS_LINKS]) {
        return;
    }
    Sandbox::run(|_| {
        let controls = Controls::new();
        let mut case = Case::new("struct-ops", "congestion", "linked");
        case.object = controls.renamed("congestion");
        let connect = || {
            // Once it is gone, none can be made.
            if controls.is_registered("l") {
                controls.connect("l");
            }
        };
        case.act(connect).counts("connections", 0).round();
    });
}
