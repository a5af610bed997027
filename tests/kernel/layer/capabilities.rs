//! What a process with few capabilities can do, and what it is told otherwise.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::kernel::{Kernel, KernelError, LoadRequest};
use ebpf_apply::model::attach::{Attachment, XdpMode};
use ebpf_apply::model::live::LiveObject;
use ebpf_apply::model::pin::PinRoot;
use ebpf_apply::model::probe::{Event, Iter, PerfEvent, Sample, UserProbe};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::contract::{image, load, pin};
use crate::features::{MEMORY_BY_CGROUP, PERF_EVENT_LINKS, goes_without};
use crate::program::{Program, Said};
use crate::sandbox::Sandbox;
use crate::support::{built, object};

/// This thread with only some capabilities in effect, until this is dropped.
struct Few {
    before: CapabilitySets,
}

impl Few {
    fn only(capabilities: CapabilitySet) -> Self {
        let before = rustix::thread::capabilities(None).expect("read capabilities");
        let few = CapabilitySets { effective: capabilities, ..before };
        rustix::thread::set_capabilities(None, few).expect("give capabilities up");
        Self { before }
    }
}

impl Drop for Few {
    fn drop(&mut self) {
        rustix::thread::set_capabilities(None, self.before).expect("take capabilities back");
    }
}

#[test]
fn bpf_net_admin_and_perfmon_suffice() {
    Sandbox::run(|sandbox| {
        sandbox.wire("net0", "net1");
        let cgroup = sandbox.cgroup().to_owned();
        if goes_without(MEMORY_BY_CGROUP) {
            // To raise the limit of locked memory, those kernels want one more capability.
            let unlimited = Rlimit { current: None, maximum: None };
            setrlimit(Resource::Memlock, unlimited).expect("raise a limit");
        }
        let watched = built("bpf/out/probed");
        let three = CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON;
        let _few = Few::only(three);
        let kernel = Linux::new();
        let root = PinRoot::new("/sys/fs/bpf/few".as_ref()).expect("a legal root");
        kernel.make_root(&root).expect("make the root");

        let firewall = load(&kernel, "firewall");
        let at = Attachment::Xdp { interface: "net0".to_owned(), mode: XdpMode::Auto };
        let spec = firewall.spec("xdp_firewall");
        let link = kernel.attach(firewall.program("xdp_firewall"), spec, &at).expect("attach");
        kernel.pin(&link, &root, &pin("link")).expect("pin");
        kernel.pin(&firewall.maps["flows"], &root, &pin("flows")).expect("pin");
        let found = kernel.open(&root, &pin("flows")).expect("open").expect("it is pinned");
        let LiveObject::Map(map) = found.object else { panic!("{:?}", found.object) };
        assert_eq!(map.key, None, "the BTF of a map is for CAP_SYS_ADMIN");
        kernel.open(&root, &pin("link")).expect("open").expect("it is pinned");

        let guard = load(&kernel, "cgroup_guard");
        let at = Attachment::Cgroup { path: cgroup };
        kernel
            .attach(guard.program("count_egress"), guard.spec("count_egress"), &at)
            .expect("attach to a cgroup");
        let trace = load(&kernel, "exec_trace");
        let at = Attachment::RawTracepoint { name: "sched_process_exec".to_owned(), cookie: None };
        kernel.attach(trace.program("raw_exec"), trace.spec("raw_exec"), &at).expect("attach");
        let iterators = load(&kernel, "iterators");
        let at = Attachment::Iter(Iter { over: "task".to_owned(), only: None });
        let (program, spec) = (iterators.program("show_task"), iterators.spec("show_task"));
        kernel.attach(program, spec, &at).expect("attach an iterator");
        if goes_without(PERF_EVENT_LINKS) {
            return;
        }
        let probes = load(&kernel, "user_probes");
        let at = Attachment::Uprobe(UserProbe {
            target: watched.display().to_string(),
            symbols: vec!["probed_single".to_owned()],
            offset: 0,
            pid: None,
            cookie: None,
            inode: None,
        });
        // Linux 6.18 wants CAP_SYS_ADMIN for a uprobe, and Debian's kernels for any event.
        let attached = |attached: Result<Handle, KernelError>| {
            if let Err(error) = attached {
                let advice = error.advice.expect("there is advice");
                assert!(advice.starts_with("the process lacks CAP_SYS_ADMIN"), "{advice}");
            }
        };
        attached(kernel.attach(probes.program("on_entry"), probes.spec("on_entry"), &at));
        let counter = load(&kernel, "counter");
        let at = Attachment::PerfEvent(PerfEvent {
            event: Event::Software("cpu-clock".to_owned()),
            sample: Sample::Frequency(10),
            cpu: Some(0),
            pid: None,
            cookie: None,
        });
        attached(kernel.attach(counter.program("on_overflow"), counter.spec("on_overflow"), &at));
    });
}

#[test]
fn a_pin_whose_mode_denies_it_is_there_and_unreadable() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let root = PinRoot::new("/sys/fs/bpf/few".as_ref()).expect("a legal root");
        kernel.make_root(&root).expect("make the root");
        let loaded = load(&kernel, "bench_small");
        kernel.pin(&loaded.maps["packets"], &root, &pin("m")).expect("pin");
        let closed = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions("/sys/fs/bpf/few/m", closed).expect("change the mode");
        let _few = Few::only(CapabilitySet::BPF);
        let found = kernel.open(&root, &pin("m")).expect("look").expect("it is there");
        let LiveObject::Unreadable { reason } = found.object else { panic!("{:?}", found.object) };
        assert!(reason.contains("Permission denied"), "{reason}");
        assert!(found.handle.is_none());
    });
}

/// The advice for a program of `dialect` that only `kept` may not load.
fn denied(kept: CapabilitySet, program: &str) -> String {
    let mut said = String::new();
    Sandbox::run(|_| {
        let image = image("dialect");
        let _few = Few::only(kept);
        let request = LoadRequest {
            image: &image,
            programs: vec![image.spec.program(program).expect("the object has this program")],
            maps: BTreeMap::new(),
            btf: None,
        };
        let error = Linux::new().load_programs(&[request]).expect_err("it is denied");
        assert_eq!(error.raw(), Some(Errno::PERM), "{error} {:?}", error.log);
        said = error.advice.expect("there is advice");
    });
    said
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(denied(CapabilitySet::BPF, "on_xdp"), "the process lacks CAP_NET_ADMIN");
    assert_eq!(
        denied(CapabilitySet::BPF | CapabilitySet::NET_ADMIN, "on_raw_tp"),
        "the process lacks CAP_PERFMON"
    );
    assert_eq!(
        denied(CapabilitySet::empty(), "on_xdp"),
        "the process lacks CAP_BPF and CAP_NET_ADMIN"
    );
}

#[test]
fn a_low_limit_of_locked_memory_is_raised() {
    Sandbox::run(|_| {
        let program = Program::new();
        let text = format!(
            "version = 1\nname = \"low\"\npin-root = \"/sys/fs/bpf/low\"\n\n[objects.it]\npath = \"{}\"\n",
            object("firewall").display()
        );
        let manifest = program.manifest("low.toml", &text);
        let applied = program.command(&["apply", &manifest, "--detach"]);
        let mut limited = Command::new("bash");
        limited.args(["-c", "ulimit -S -l 4 && exec \"$@\"", "bash"]);
        limited.arg(applied.get_program()).args(applied.get_args());
        Said::from(limited.output().expect("bash is installed")).status(0);
        program.run(&["destroy", &manifest]).status(0);
    });
}
