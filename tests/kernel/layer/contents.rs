//! What a loaded program finds: globals, frozen constants, and fields of kernel types.

use std::os::fd::AsFd as _;

use ebpf_apply::kernel::Kernel;
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::model::attach::{Attachment, XdpMode};

use super::running::{element, eventually};
use crate::contract::load;
use crate::sandbox::Sandbox;

#[test]
fn programs_see_their_globals() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let loaded = load(&kernel, "globals");
        let at = Attachment::Xdp { interface: "lo".to_owned(), mode: XdpMode::Generic };
        let spec = loaded.spec("show_globals");
        let _link = kernel.attach(loaded.program("show_globals"), spec, &at).expect("attach");
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind a socket");
        let address = socket.local_addr().expect("an address");
        // `struct seen`: budget, balance, runs, last_length, then log_level, mode, limit, threshold.
        let words = || element::<[u64; 11]>(&loaded.maps["seen"], 0);
        socket.send_to(b"x", address).expect("send a packet");
        eventually("it ran", || words()[0] != 0);
        let halves = |word: u64| (word & 0xffff_ffff, word >> 32);
        let seen = words();
        assert_eq!(seen[0], 10_000_000_000);
        assert_eq!(seen[1].cast_signed(), -5_000_000_000);
        assert!(seen[2] >= 1000);
        assert_eq!(halves(seen[4]), (1, 1));
        assert_eq!(halves(seen[5]), (100, 50));
    });
}

#[test]
fn constants_are_frozen_and_variables_are_not() {
    Sandbox::run(|_| {
        let loaded = load(&Linux::new(), "globals");
        for (name, frozen) in
            [(".rodata", true), (".rodata.custom", true), (".data", false), (".bss", false)]
        {
            use std::os::fd::AsRawFd as _;
            let fd = loaded.maps[name].as_fd().as_raw_fd();
            let info = std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{fd}"))
                .expect("read fdinfo");
            let line = format!("frozen:\t{}", u8::from(frozen));
            assert!(info.lines().any(|text| text == line), "{name}: {info}");
        }
    });
}

#[test]
fn fields_of_kernel_types_are_found() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let loaded = load(&kernel, "core_read");
        let at = Attachment::RawTracepoint { name: "sys_enter".to_owned(), cookie: None };
        let spec = loaded.spec("read_task");
        let _link = kernel.attach(loaded.program("read_task"), spec, &at).expect("attach");
        // `struct found`: task_struct_size, comm_offset, comm_size, in_execve …
        let words = || element::<[u64; 14]>(&loaded.maps["found"], 0);
        eventually("a system call was seen", || words()[0] != 0);
        let found = words();
        assert!(found[0] > 1000, "task_struct has {} bytes", found[0]);
        assert!(found[1] > 0 && found[1] < found[0]);
        assert_eq!(found[2], 16, "comm has 16 bytes");
    });
}
