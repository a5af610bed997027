//! Every hook of a cgroup.

use std::fs::{self, File};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use super::Deployment;
use crate::features::{CGROUP_OF_UNIX_SOCKETS, goes_without};
use crate::program::Program;
use crate::sandbox::{Sandbox, mount_at};
use crate::support::object;

/// The programs of `cgroup_hooks`, in the order of their counters.
const PROGRAMS: &[&str] = &[
    "ingress",
    "egress",
    "sock_create",
    "sock_release",
    "post_bind4",
    "post_bind6",
    "bind4",
    "bind6",
    "connect4",
    "connect6",
    "sendmsg4",
    "sendmsg6",
    "recvmsg4",
    "recvmsg6",
    "getpeername4",
    "getpeername6",
    "getsockname4",
    "getsockname6",
    "getsockopt",
    "setsockopt",
    "sysctl",
    "device",
    "sock_ops",
];

/// Those since Linux 6.7.
const OF_UNIX_SOCKETS: &[&str] =
    &["connect_unix", "sendmsg_unix", "recvmsg_unix", "getpeername_unix", "getsockname_unix"];

/// In the environment of the process in the cgroup: a directory for its sockets.
const ACTS_IN: &str = "EBPF_APPLY_TEST_ACTS_IN";

/// Does what every hook of a cgroup is asked about.
fn act(directory: &Path) -> io::Result<()> {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let socket = UdpSocket::bind(address)?;
        socket.send_to(b"x", socket.local_addr()?)?;
        socket.recv_from(&mut [0])?;
        let listener = TcpListener::bind(address)?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        stream.peer_addr()?;
        stream.set_nodelay(true)?;
        stream.nodelay()?;
    }
    fs::read("/proc/sys/kernel/ostype")?;
    File::open("/dev/null")?;
    let [one, other] = ["one", "other"].map(|name| directory.join(name));
    let (sender, receiver) = (UnixDatagram::bind(&one)?, UnixDatagram::bind(&other)?);
    sender.send_to(b"x", &other)?;
    receiver.recv_from(&mut [0])?;
    let listening = directory.join("listening");
    let listener = UnixListener::bind(&listening)?;
    let stream = UnixStream::connect(&listening)?;
    stream.peer_addr()?;
    listener.local_addr()?;
    for path in [one, other, listening] {
        fs::remove_file(path)?;
    }
    Ok(())
}

/// Runs this test once more, in a process of the cgroup, which only acts.
fn act_within(cgroup: &Path, directory: &Path) {
    let script = "echo $$ > \"$0/cgroup.procs\" && exec \"$@\"";
    let mut command = Command::new("bash");
    command.args(["-c", script]).arg(cgroup).arg(std::env::current_exe().expect("a path"));
    command.args(["--exact", "net_hooks::cgroups::every_hook_of_a_cgroup"]).env(ACTS_IN, directory);
    let done = command.output().expect("bash is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

#[test]
fn every_hook_of_a_cgroup() {
    if let Some(directory) = std::env::var_os(ACTS_IN) {
        act(directory.as_ref()).expect("nothing is refused");
        return;
    }
    Sandbox::run(|sandbox| {
        let cgroup = sandbox.cgroup();
        let mut programs = PROGRAMS.to_vec();
        if !goes_without(CGROUP_OF_UNIX_SOCKETS) {
            programs.extend(OF_UNIX_SOCKETS);
        }
        let attach = |program: &&str| {
            format!(
                "[objects.hooks.programs.count_{program}]\nattach = [{{ hook = \"cgroup\", path = \
                 \"{}\" }}]\n",
                cgroup.display()
            )
        };
        let attach: Vec<String> = programs.iter().map(attach).collect();
        let deployment = Deployment::of("cgroup_hooks", "hits", &attach.concat());
        deployment.is_in_sync();
        let directory = tempfile::tempdir().expect("a directory");
        act_within(cgroup, directory.path());
        let counts = || (0..).zip(&programs).map(|(hook, of)| (*of, deployment.count(hook)));
        let silent: Vec<_> = counts().filter(|(_, count)| *count == 0).collect();
        assert!(silent.is_empty(), "{silent:?}");
        let before: Vec<_> = counts().collect();
        deployment.end();
        act_within(cgroup, directory.path());
        assert_eq!(counts().collect::<Vec<_>>(), before, "nothing runs any more");
    });
}

#[test]
fn a_unit_is_found_by_its_name() {
    Sandbox::run(|_| {
        mount_at("cgroup2", "/sys/fs/cgroup");
        let unit = format!("ebpf-apply-test-{}.service", std::process::id());
        let slice = Path::new("/sys/fs/cgroup").join(format!("{}.slice", unit.replace('-', "_")));
        let cgroup = slice.join(&unit);
        fs::create_dir_all(&cgroup).expect("a cgroup");
        let program = Program::new();
        let text = |unit: &str| {
            format!(
                "version = 1\nname = \"unit\"\n\n[objects.guard]\npath = \"{}\"\nload = \
                 \"listed\"\n\n[objects.guard.programs.count_egress]\nattach = [{{ hook = \"cgroup\", \
                 unit = \"{unit}\" }}]\n",
                object("cgroup_guard").display()
            )
        };
        let manifest = program.manifest("unit.toml", &text(&unit));
        let said = program.run(&["apply", &manifest, "--detach"]).status(0);
        let address = format!("link.guard.count_egress[cgroup:{unit}]");
        assert!(said.out.contains(&address), "{}", said.out);
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);

        // Started again, a unit has another cgroup.
        fs::remove_dir(&cgroup).expect("an empty cgroup");
        fs::create_dir(&cgroup).expect("a cgroup");
        let plan = program.run(&["plan", &manifest, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("attached anew"), "{}", plan.out);
        program.run(&["apply", &manifest, "--detach"]).status(0);
        program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);

        let other = program.manifest("unit.toml", &text("ebpf-apply-test-nonesuch.service"));
        let said = program.run(&["apply", &other, "--detach"]).status(1);
        let said = said.complains("unit `ebpf-apply-test-nonesuch.service` has no cgroup");
        assert!(said.err.contains(&unit), "it names units like it: {}", said.err);
        program.manifest("unit.toml", &text(&unit));
        program.run(&["destroy", &manifest]).status(0);
        fs::remove_dir(&cgroup).expect("nothing holds the cgroup");
        fs::remove_dir(&slice).expect("nothing holds the slice");
    });
}
