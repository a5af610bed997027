//! A place of its own for each test on the running kernel: mounts, network and cgroups that nobody
//! else sees and that go when the test ends.

use std::cell::OnceCell;
use std::fs;
use std::io::Write as _;
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

/// What a test runs in: a mount namespace with its own bpffs on `/sys/fs/bpf`, an empty `/run`
/// and tracefs, and a network namespace with nothing but `lo`, which is up.
pub(crate) struct Sandbox {
    cgroup: OnceCell<PathBuf>,
}

impl Sandbox {
    /// Runs a test in a sandbox; within one, in another beside it.
    ///
    /// Namespaces belong to threads, so the test gets one of its own; what it spawns inherits them.
    /// So does the table of open files, which is empty: `test` must not bring an open file along.
    ///
    /// # Panics
    /// If the test does, or without the privilege to make namespaces: these tests are never skipped
    /// for that.
    pub(crate) fn run(test: impl FnOnce(&Self) + Send) {
        thread::scope(|scope| {
            let outcome = scope
                .spawn(|| {
                    let sandbox = Self::enter();
                    test(&sandbox);
                })
                .join();
            if let Err(panic) = outcome {
                std::panic::resume_unwind(panic);
            }
        });
    }

    fn enter() -> Self {
        own_descriptors();
        unshare(UnshareFlags::NEWNS | UnshareFlags::NEWNET).expect(
            "the kernel suite needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON); run \
             the other tests with `cargo test --lib`",
        );
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).expect("make mounts private");
        mount_at("bpf", "/sys/fs/bpf");
        mount_at("tmpfs", "/run");
        // There is one tracefs, and a sandbox in a sandbox has it already.
        let tracing = Path::new("/sys/kernel/tracing");
        match mount("tracefs", tracing, "tracefs", MountFlags::empty(), None) {
            Ok(()) | Err(Errno::BUSY) => {}
            Err(errno) => panic!("mount tracefs: {errno}"),
        }
        set_loopback_up();
        Self { cgroup: OnceCell::new() }
    }

    /// A cgroup of the sandbox's own, made when it is first asked for.
    pub(crate) fn cgroup(&self) -> &Path {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        self.cgroup.get_or_init(|| {
            let mounted = Path::new("/run/cgroup");
            fs::create_dir(mounted).expect("make a mount point");
            mount_at("cgroup2", mounted);
            // The hierarchy is the host's, so the name must be nobody else's.
            let n = COUNT.fetch_add(1, Ordering::Relaxed);
            let cgroup = mounted.join(format!("ebpf-apply-test-{}-{n}", std::process::id()));
            fs::create_dir(&cgroup).expect("make a cgroup");
            cgroup
        })
    }

    /// Adds a pair of interfaces joined by a wire, both up, without addresses.
    #[expect(clippy::unused_self, reason = "only who is in a sandbox may make interfaces")]
    pub(crate) fn wire(&self, one: &str, other: &str) {
        // Nothing but a test's own packets: no search for routers, no announced addresses.
        ip_batch(&format!(
            "link add {one} type veth peer name {other}\n\
             link set {one} addrgenmode none\n\
             link set {other} addrgenmode none\n\
             link set {one} up\n\
             link set {other} up\n"
        ));
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(cgroup) = self.cgroup.get() {
            // Removed by the test itself where that is what it is about.
            let _absent = fs::remove_dir(cgroup);
        }
    }
}

/// Runs ip(8), which must succeed.
pub(crate) fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).output().expect("iproute2 is installed");
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {}: {log}", arguments.join(" "));
}

/// Runs the commands, a line each, in one ip(8): starting it is most of what a command takes.
pub(crate) fn ip_batch(commands: &str) {
    let done = fed(Command::new("ip").args(["-batch", "-"]), commands);
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip -batch: {log}\n{commands}");
}

/// Runs an installed command that reads `input`.
pub(crate) fn fed(command: &mut Command, input: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command is installed");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// Mounts a file system of a kind: a new one, or the only one if there can be but one.
pub(crate) fn mount_at(kind: &str, place: impl AsRef<Path>) {
    let place = place.as_ref();
    match mount(kind, place, kind, MountFlags::empty(), None) {
        // The only one is there already (`do_add_mount` in `fs/namespace.c`).
        Ok(()) | Err(Errno::BUSY) => {}
        Err(errno) => panic!("mount {kind} on {}: {errno}", place.display()),
    }
}

/// Gives this thread a table of open files with only the standard three.
///
/// In a common table, a process that another test is starting holds copies of everything until it
/// executes its program, and a link would outlive its last handle for that moment.
#[expect(unsafe_code, reason = "close_range(2) can close what others own")]
fn own_descriptors() {
    const FIRST: libc::c_uint = 3;
    const UNSHARE: libc::c_uint = 1 << 1;
    // SAFETY: the thread has just begun and owns no descriptor; others keep theirs in their table.
    let _unknown_before_5_9 =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, UNSHARE) };
}

/// Sets `lo` up, without a process for it: every test does.
#[expect(unsafe_code, reason = "no crate wraps SIOCSIFFLAGS")]
fn set_loopback_up() {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let mut name = [0; libc::IFNAMSIZ];
    name[..2].copy_from_slice(&[b'l', b'o'].map(u8::cast_signed));
    let up = libc::c_short::try_from(libc::IFF_UP).expect("one of the low bits");
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_flags: up };
    let request = libc::ifreq { ifr_name: name, ifr_ifru };
    // SAFETY: the request is a whole `struct ifreq` with a name that ends in zero.
    let done = unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request)
    };
    assert_eq!(done, 0, "set lo up: {}", std::io::Error::last_os_error());
}

#[expect(unsafe_code, reason = "unshare(2) is only unsafe for file descriptor tables")]
fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: the table of file descriptors stays as it is.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}
