//! What is said when the kernel refuses.

use std::collections::BTreeMap;

use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::kernel::{Kernel, KernelError, LoadRequest};
use ebpf_apply::model::attach::{Attachment, XdpMode};
use ebpf_apply::model::kinds::MapType;
use rustix::io::Errno;

use crate::contract::{create_maps, image, load};
use crate::sandbox::Sandbox;

/// How loading one program of an object fails.
fn refusal(object: &str, program: &str) -> KernelError {
    let kernel = Linux::new();
    let image = image(object);
    let maps = create_maps(&kernel, &image, None);
    let request = LoadRequest {
        image: &image,
        programs: vec![image.spec.program(program).expect("the object has this program")],
        maps: maps.iter().map(|(name, map)| (name.as_str(), map)).collect(),
        btf: None,
    };
    kernel.load_programs(&[request]).expect_err("it is refused")
}

#[test]
fn the_verifier_is_quoted() {
    Sandbox::run(|_| {
        let error = refusal("rejected", "read_blindly");
        let words = error.to_string();
        assert!(words.starts_with("cannot load program `read_blindly` of object"), "{words}");
        assert!(
            words.ends_with("rejected.bpf.c:30: `__u16 ethertype = eth->h_proto;`"),
            "the line, and no errno, which would mislead: {words}"
        );
        let log = error.log.expect("the verifier says why");
        assert!(log.text.contains("invalid access to packet"), "{}", log.text);
        assert_eq!((log.object.as_str(), log.program.as_str()), ("rejected.bpf.o", "read_blindly"));
    });
}

#[test]
fn a_missing_license_is_advised() {
    Sandbox::run(|_| {
        let advice = refusal("nongpl", "gpl_helper").advice.expect("there is advice");
        assert!(advice.contains("no `license` section"), "{advice}");
        load(&Linux::new(), "nongpl");
    });
}

#[test]
fn a_map_the_kernel_does_not_know_is_named() {
    Sandbox::run(|_| {
        let image = image("bench_small");
        let mut spec = image.spec.map("packets").expect("it has one").clone();
        spec.shape.map_type = MapType(9999);
        let error = Linux::new().create_map(&image, &spec, None).expect_err("no such type");
        assert_eq!(error.raw(), Some(Errno::INVAL));
        assert!(error.to_string().contains("`packets` (unknown(9999), key 4"), "{error}");
        assert!(error.advice.is_some_and(|advice| advice.contains("unknown(9999)")));
    });
}

#[test]
fn the_occupant_of_an_interface_is_named() {
    Sandbox::run(|sandbox| {
        sandbox.wire("net0", "net1");
        let kernel = Linux::new();
        let (one, other) = (load(&kernel, "shape_a"), load(&kernel, "shape_b"));
        let at = Attachment::Xdp { interface: "net0".to_owned(), mode: XdpMode::Auto };
        let _link =
            kernel.attach(one.program("count_a"), one.spec("count_a"), &at).expect("attach");
        let error = kernel
            .attach(other.program("count_b"), other.spec("count_b"), &at)
            .expect_err("it is taken");
        assert_eq!(error.raw(), Some(Errno::BUSY));
        let id = kernel.id(one.program("count_a"));
        let advice = error.advice.expect("there is advice");
        assert!(advice.contains(&format!("program {id} (`count_a`)")), "{advice}");
    });
}

#[test]
fn a_driver_without_xdp_is_advised() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let loaded = load(&kernel, "shape_a");
        let at = Attachment::Xdp { interface: "lo".to_owned(), mode: XdpMode::Native };
        let error = kernel
            .attach(loaded.program("count_a"), loaded.spec("count_a"), &at)
            .expect_err("lo has no native XDP");
        assert!(error.advice.is_some_and(|advice| advice.contains("`generic`")));
    });
}

#[test]
fn a_cgroup_of_version_1_is_no_target() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let loaded = load(&kernel, "cgroup_guard");
        let at = Attachment::Cgroup { path: "/run".into() };
        let error = kernel
            .attach(loaded.program("count_egress"), loaded.spec("count_egress"), &at)
            .expect_err("/run is no cgroup");
        assert!(error.to_string().contains("not in a cgroup2 hierarchy"), "{error}");
    });
}

#[test]
fn an_unmounted_tracefs_is_told() {
    Sandbox::run(|_| {
        rustix::mount::unmount("/sys/kernel/tracing", rustix::mount::UnmountFlags::empty())
            .expect("unmount tracefs");
        crate::sandbox::mount_at("tmpfs", "/sys/kernel/debug");
        let kernel = Linux::new();
        let loaded = load(&kernel, "exec_trace");
        let at = Attachment::Tracepoint {
            category: "syscalls".to_owned(),
            name: "sys_enter_execve".to_owned(),
            cookie: None,
        };
        let error = kernel
            .attach(loaded.program("enter_execve"), loaded.spec("enter_execve"), &at)
            .expect_err("its id cannot be read");
        assert!(error.to_string().contains("mount -t tracefs"), "{error}");
    });
}

#[test]
fn a_map_that_was_not_created_is_named() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("bench_small");
        let request = LoadRequest {
            image: &image,
            programs: image.spec.programs.iter().collect(),
            maps: BTreeMap::new(),
            btf: None,
        };
        let error = kernel.load_programs(&[request]).expect_err("a map is missing");
        assert!(error.to_string().contains("map `packets`"), "{error}");
    });
}

#[test]
fn the_usual_causes_are_explained_at_their_lines() {
    Sandbox::run(|_| {
        // Each program of the source, what the error names, and what the advice does.
        for (program, place, advised) in [
            ("unchecked_packet", "`return data[12] == 8", "`data_end`"),
            ("unchecked_value", "`*count += 1;`", "with NULL"),
            ("unreleased_record", "`return XDP_PASS;`", "`bpf_ringbuf_submit`"),
            ("foreign_helper", "`return bpf_skb_store_bytes(", "`bpf_skb_store_bytes`"),
            ("large_stack", "", "512 bytes"),
            ("endless", "refused.bpf.c:", "this loop ends"),
            ("kernel_pointer", "`return *task;`", "`bpf_probe_read_kernel`"),
            ("beyond_value", "`return count[", "compare it with the size"),
            ("unset_register", "`asm volatile(", "nothing has set"),
        ] {
            let error = refusal("refused", program);
            let words = error.to_string();
            assert!(words.contains("the verifier rejects"), "{words}");
            assert!(words.contains(place), "{words}\n{:?}", error.log);
            let advice = error.advice.unwrap_or_default();
            assert!(advice.contains(advised), "{program}: {advice}\n{:?}", error.log);
        }
    });
}
