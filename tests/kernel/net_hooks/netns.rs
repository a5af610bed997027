//! Programs of network namespaces.

use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::{Deployment, link};
use crate::host::tree;
use crate::program::Program;
use crate::sandbox::{Sandbox, ip};
use crate::support::object;

const SK_LOOKUP: u32 = 0;
const FLOW_DISSECTOR: u32 = 1;

/// Nobody listens there; a listening socket is looked for all the same.
pub(crate) fn connect() {
    TcpStream::connect("127.0.0.1:9").expect_err("nobody listens");
}

#[test]
fn sk_lookup() {
    Sandbox::run(|_| {
        let deployment = Deployment::apply(
            "[objects.hooks.programs.on_sk_lookup]\nattach = [{ hook = \"sk-lookup\" }]\n",
        );
        assert_eq!(deployment.counted(SK_LOOKUP, connect), 1);
        deployment.is_in_sync();
        let before = link("on_sk_lookup:sk-lookup:own")["id"].clone();
        let plan = deployment.renew(10);
        assert!(plan.contains("swapped atomically"), "{plan}");
        assert_eq!(link("on_sk_lookup:sk-lookup:own")["id"], before);
        assert_eq!(deployment.counted(SK_LOOKUP, connect), 10);
        deployment.end_of(SK_LOOKUP, connect);
    });
}

#[test]
fn sk_lookup_of_a_named_namespace_by_its_section_and_by_its_path() {
    Sandbox::run(|_| {
        ip(&["netns", "add", "blue"]);
        ip(&["-n", "blue", "link", "set", "lo", "up"]);
        let there = || {
            let script = "exec 3<>/dev/tcp/127.0.0.1/9";
            let mut command = Command::new("ip");
            command.args(["netns", "exec", "blue", "bash", "-c", script]).stderr(Stdio::null());
            assert!(!command.status().expect("bash is installed").success());
        };
        let deployment = Deployment::apply(
            "[objects.hooks.programs.on_sk_lookup]\nattach = [{ hook = \"sk-lookup\", netns = \
             \"blue\" }]\n",
        );
        assert_eq!(deployment.counted(SK_LOOKUP, connect), 0, "it is not here");
        assert_eq!(deployment.counted(SK_LOOKUP, there), 1);
        deployment.is_in_sync();
        let by_section =
            "[objects.hooks.programs.on_sk_lookup]\nattach = [{ hook = \"section\" }]\n";
        deployment.change(by_section, 1);
        assert_eq!(deployment.counted(SK_LOOKUP, there), 0, "it has left");
        assert_eq!(deployment.counted(SK_LOOKUP, connect), 1);
        let by_path = "[objects.hooks.programs.on_sk_lookup]\nattach = [{ hook = \"sk-lookup\", \
                       netns = \"/run/netns/blue\" }]\n";
        deployment.change(by_path, 1);
        assert_eq!(deployment.counted(SK_LOOKUP, there), 1);
        deployment.end_of(SK_LOOKUP, there);
    });
}

#[test]
fn a_namespace_that_went_and_came_back_is_attached_to_anew() {
    Sandbox::run(|_| {
        ip(&["netns", "add", "blue"]);
        let deployment = Deployment::apply(
            "[objects.hooks.programs.on_sk_lookup]\nattach = [{ hook = \"sk-lookup\", netns = \
             \"blue\" }]\n",
        );
        ip(&["netns", "del", "blue"]);
        let plan = deployment.program.run(&["plan", &deployment.manifest]).status(1);
        assert!(plan.out.contains("there is no network namespace /run/netns/blue"), "{}", plan.out);
        ip(&["netns", "add", "blue"]);
        let plan = deployment.renew(2);
        assert!(plan.contains("attached anew"), "{plan}");
        deployment.is_in_sync();
        deployment.end();
    });
}

#[test]
fn what_is_no_namespace_is_refused() {
    Sandbox::run(|_| {
        let program = Program::new();
        let text = format!(
            "version = 1\nname = \"hooks\"\n\n[objects.hooks]\npath = \"{}\"\n\n\
             [objects.hooks.programs.on_sk_lookup]\nattach = [{{ hook = \"sk-lookup\", netns = \
             \"/proc/version\" }}]\n",
            object("net_hooks").display()
        );
        let manifest = program.manifest("hooks.toml", &text);
        let said = program.run(&["apply", &manifest, "--detach"]).status(1);
        assert!(said.err.contains("/proc/version is no namespace"), "{}", said.err);
        assert_eq!(tree(), Vec::<std::path::PathBuf>::new());
    });
}

/// The kernel dissects what goes out by a packet socket, to find where its transport header is
/// (`packet_parse_headers` in `net/packet/af_packet.c`).
#[expect(unsafe_code, reason = "no crate wraps sockets of the link layer")]
pub(crate) fn send_raw(interface: &str) {
    const IPV4: u16 = 0x0800;
    let mut frame = [0_u8; 64];
    frame[12..14].copy_from_slice(&IPV4.to_be_bytes());
    frame[14] = 0x45;
    let name = std::ffi::CString::new(interface).expect("a name");
    // SAFETY: each call gets live buffers with their lengths.
    unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(socket >= 0, "{}", std::io::Error::last_os_error());
        let address = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).expect("small"),
            sll_protocol: IPV4.to_be(),
            sll_ifindex: i32::try_from(libc::if_nametoindex(name.as_ptr())).expect("small"),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: [0xff; 8],
        };
        let sent = libc::sendto(
            socket,
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const address).cast(),
            u32::try_from(size_of::<libc::sockaddr_ll>()).expect("small"),
        );
        assert_eq!(usize::try_from(sent), Ok(frame.len()), "{}", std::io::Error::last_os_error());
        libc::close(socket);
    }
}

#[test]
fn flow_dissector() {
    Sandbox::run(|sandbox| {
        sandbox.wire("veth0", "veth1");
        let send = || send_raw("veth0");
        let deployment = Deployment::apply(
            "[objects.hooks.programs.on_flow]\nattach = [{ hook = \"flow-dissector\" }]\n",
        );
        let once = deployment.counted(FLOW_DISSECTOR, send);
        assert!(once > 0);
        deployment.is_in_sync();
        let plan = deployment.renew(10);
        assert!(plan.contains("swapped atomically"), "{plan}");
        assert_eq!(deployment.counted(FLOW_DISSECTOR, send), 10 * once);
        deployment.end_of(FLOW_DISSECTOR, send);
    });
}
