//! What kernels have and lack: the only reason for which a test of the kernel suite is skipped.
//!
//! A test names the features it needs. Where the table says that the running kernel has them, the
//! test runs, and fails if that is not so. Where it says that a feature came later, the kernel's own
//! types are asked: one that somebody brought to an older kernel, or a row that is wrong, skips nothing.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use aya::util::KernelVersion;
use ebpf_apply::btf::{Btf, Kind, Shape};

use crate::sandbox::Sandbox;
use crate::support::object;

/// Something that not every kernel has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feature {
    /// As people know it.
    name: &'static str,
    /// Major and minor number of the first release that has it.
    since: (u8, u8),
    /// What the kernel's types hold since then.
    sign: Option<Sign>,
    /// Options that the kernel must be built with.
    options: &'static [&'static str],
    /// What else may be in the way.
    obstacle: Option<Obstacle>,
}

/// What keeps a kernel from what it was built for.
#[derive(Clone, Copy, Debug)]
struct Obstacle {
    what: &'static str,
    is_there: fn() -> bool,
}

/// Something in the kernel's BTF that came with a feature.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// A constant of an enum.
    Constant(&'static str, &'static str),
    /// A function.
    Function(&'static str),
}

const ATTACH_TYPE: &str = "bpf_attach_type";
const HELPER: &str = "bpf_func_id";
const MAP_TYPE: &str = "bpf_map_type";

/// The table. Source of a release: the first tag that contains the commit which brought the sign, by
/// `git describe --contains`; of an option: what that file of the kernel stands under in its Makefile.
macro_rules! features {
    ($($(#[$doc:meta])* $constant:ident = $feature:expr;)*) => {
        $($(#[$doc])* pub(crate) const $constant: Feature = $feature;)*

        const ALL: &[Feature] = &[$($constant),*];
    };
}

features! {
    // Maps and memory.
    MEMORY_BY_CGROUP = since("memory counted by cgroup", 5, 11)
        .shown_by(Sign::Constant(HELPER, "BPF_FUNC_ktime_get_coarse_ns"));
    BLOOM_FILTERS = since("bloom filters", 5, 16)
        .shown_by(Sign::Constant(MAP_TYPE, "BPF_MAP_TYPE_BLOOM_FILTER"));
    MAP_EXTRA = since("map_extra", 5, 16)
        .shown_by(Sign::Constant(MAP_TYPE, "BPF_MAP_TYPE_BLOOM_FILTER"));
    ARENAS = since("arenas", 6, 9).shown_by(Sign::Constant(MAP_TYPE, "BPF_MAP_TYPE_ARENA"));
    RESIZABLE_HASHES = since("resizable hash tables", 7, 2)
        .shown_by(Sign::Constant(MAP_TYPE, "BPF_MAP_TYPE_RHASH"));
    TIMERS = since("timers in map values", 5, 15)
        .shown_by(Sign::Constant(HELPER, "BPF_FUNC_timer_init"));

    // Pins.
    /// Older kernels let go of what was pinned a grace period of RCU after the pin is gone.
    UNPINNED_AT_ONCE = since("objects let go with their pins", 6, 18)
        .shown_by(Sign::Function("bpf_destroy_inode"));
    EXCHANGE_ON_BPFFS = since("exchange of two pins", 5, 16)
        .shown_by(Sign::Function("simple_rename_exchange"));

    // Programs.
    COOKIES = since("bpf_get_attach_cookie", 5, 15)
        .shown_by(Sign::Constant(HELPER, "BPF_FUNC_get_attach_cookie"));
    CALLBACKS = since("functions as callbacks", 5, 17)
        .shown_by(Sign::Constant(HELPER, "BPF_FUNC_loop"));
    JUMP_TABLES = since("jumps by tables", 6, 19)
        .shown_by(Sign::Constant(MAP_TYPE, "BPF_MAP_TYPE_INSN_ARRAY"));
    SYSCALL_PROGRAMS = since("syscall programs", 5, 14)
        .shown_by(Sign::Constant("bpf_prog_type", "BPF_PROG_TYPE_SYSCALL"));
    XDP_FRAGMENTS = since("XDP with fragments", 5, 18)
        .shown_by(Sign::Constant(HELPER, "BPF_FUNC_xdp_get_buff_len"));
    RCU_FUNCTIONS = since("bpf_rcu_read_lock", 6, 2)
        .shown_by(Sign::Function("bpf_rcu_read_lock"));
    LIRC_PROGRAMS = since("lirc programs", 4, 18).built_with(&["CONFIG_BPF_LIRC_MODE2"]);
    /// Uprobes run outside of atomic context since then; a kernel before that refuses to attach.
    SLEEPABLE_UPROBES = since("sleepable uprobes", 6, 0);
    SLEEPABLE_TRACEPOINTS = since("sleepable tracepoints", 7, 1);
    SLEEPABLE_LSM_HOOKS = since("sleepable LSM hooks other than a few", 5, 11)
        .shown_by(Sign::Function("bpf_lsm_is_sleepable_hook"));
    /// Before, only functions for error injection could be changed or slept in.
    CHANGEABLE_TEST_FUNCTIONS = since("test functions of the kernel that may be changed", 6, 3)
        .shown_by(Sign::Function("register_btf_fmodret_id_set"));
    REPLACED_PROGRAMS_TOLD = since("links that tell whose function they replace", 5, 13);
    PROGRAMS_AT_FUNCTIONS = since("programs at functions of the kernel", 5, 5)
        .built_with(&["CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS", "CONFIG_DEBUG_INFO_BTF"])
        .unless("EPERM for root, from libbpf as well", || libbpf_is_forbidden("function"));

    /// Programs of security hooks are taken, and never run, where `bpf` is not among the modules.
    BPF_SECURITY_MODULE = since("programs at security hooks", 5, 7)
        .built_with(&["CONFIG_BPF_LSM"])
        .unless("bpf is not among the security modules", security_modules_lack_bpf);
    FUNCTION_COOKIES = since("cookies of programs at functions", 5, 19);
    RAW_TRACEPOINT_COOKIES = since("cookies of raw tracepoints", 6, 10);
    MAP_ITERATORS = since("iterators over the entries of a map", 5, 9)
        .unless("EPERM for root, from libbpf as well", || libbpf_is_forbidden("map_iterator"));
    LIMITED_ITERATORS = since("iterators over one task or cgroup", 6, 1)
        .shown_by(Sign::Constant("bpf_cgroup_iter_order", "BPF_CGROUP_ITER_DESCENDANTS_PRE"));
    KERNEL_PROBES = since("kprobes by perf_event_open", 4, 17).built_with(&["CONFIG_KPROBE_EVENTS"]);
    KPROBE_LINKS_OF_SEVERAL = since("links of several kprobes", 5, 18)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_TRACE_KPROBE_MULTI"))
        .built_with(&["CONFIG_FPROBE"]);

    // Modules.
    /// Built in or loaded.
    CONNECTION_LOOKUP = since("lookup of connections by XDP", 5, 18)
        .unless("nf_conntrack is not loaded", conntrack_is_absent);
    TYPES_OF_X_TABLES = since("types of modules", 5, 11)
        .unless("x_tables is not loaded as a module", || !is_loaded("x_tables"));
    TYPES_OF_DUMMY = since("types of modules", 5, 11)
        .unless("dummy is not loaded as a module", || !is_loaded("dummy"));

    // Hooks.
    CGROUP_OF_UNIX_SOCKETS = since("cgroup hooks of Unix sockets", 6, 7)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_CGROUP_UNIX_CONNECT"));
    FENTRY_MULTI = since("fentry.multi", 7, 2)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_TRACE_FENTRY_MULTI"));
    FSESSION = since("fsession", 7, 0)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_TRACE_FSESSION"));
    KPROBE_MULTI = since("kprobe.multi", 5, 18)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_TRACE_KPROBE_MULTI"));
    KPROBE_SESSION = since("kprobe.session", 6, 10)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_TRACE_KPROBE_SESSION"));
    LSM_CGROUP = since("lsm_cgroup", 6, 0)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_LSM_CGROUP"));
    NETFILTER = since("netfilter", 6, 4)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_NETFILTER"))
        .built_with(&["CONFIG_NETFILTER_BPF_LINK"]);
    NETFILTER_DEFRAG = since("reassembly of fragments for netfilter", 6, 6)
        .built_with(&["CONFIG_NF_DEFRAG_IPV4"]);
    NETKIT = since("netkit", 6, 7)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_NETKIT_PRIMARY"))
        .built_with(&["CONFIG_NETKIT"]);
    SOCKMAPS = since("maps of sockets", 4, 14).built_with(&["CONFIG_BPF_STREAM_PARSER"]);
    TOLD_SOCKMAPS = since("maps of sockets that tell what they run", 5, 18)
        .shown_by(Sign::Function("sock_map_bpf_prog_query"));
    SOCKET_VERDICTS = since("sk_skb/verdict", 5, 13)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_SK_SKB_VERDICT"));
    SOCKMAP_LINKS = since("sockmap links", 6, 10)
        .shown_by(Sign::Constant("bpf_link_type", "BPF_LINK_TYPE_SOCKMAP"))
        .built_with(&["CONFIG_BPF_STREAM_PARSER"]);
    PERF_EVENT_LINKS = since("links of perf events", 5, 15)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_PERF_EVENT"));
    PERF_EVENT_LINK_NAMES = since("names in links of perf events", 6, 6)
        .shown_by(Sign::Constant("bpf_perf_event_type", "BPF_PERF_EVENT_TRACEPOINT"));
    STRUCT_OPS = since("congestion controls as struct ops", 5, 6).built_with(&["CONFIG_BPF_JIT"]);
    DETACH_OF_STRUCT_OPS = since("links of struct ops that are detached", 6, 11)
        .shown_by(Sign::Function("bpf_struct_ops_map_link_detach"));
    SCHED_EXT = since("schedulers as struct ops", 6, 12)
        .built_with(&["CONFIG_SCHED_CLASS_EXT"]);
    STRUCT_OPS_LINKS = since("links of struct ops", 6, 4)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_STRUCT_OPS"));
    UPROBE_MULTI = since("uprobe.multi", 6, 6)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_TRACE_UPROBE_MULTI"));
    UPROBE_SESSION = since("uprobe.session", 6, 13)
        .shown_by(Sign::Constant(ATTACH_TYPE, "BPF_TRACE_UPROBE_SESSION"));
    TCX = since("tcx", 6, 6).shown_by(Sign::Constant(ATTACH_TYPE, "BPF_TCX_INGRESS"));
}

/// Whether a module is loaded and shows its types.
fn is_loaded(module: &str) -> bool {
    Path::new("/sys/kernel/btf").join(module).exists()
}

fn security_modules_lack_bpf() -> bool {
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    !modules.trim().split(',').any(|module| module == "bpf")
}

fn conntrack_is_absent() -> bool {
    !is_loaded("nf_conntrack") && !Sign::Function("bpf_xdp_ct_lookup").is_there()
}

/// Whether the running kernel lacks any of these, so that the test ends here; says which.
pub(crate) fn lacks(needed: &[Feature]) -> bool {
    say("lacks", needed)
}

/// Whether the running kernel lacks this, so that the test goes on without; says so.
pub(crate) fn goes_without(feature: Feature) -> bool {
    say("without", &[feature])
}

/// Whether the running kernel has what a test is about doing without, so that the test ends here; says so.
#[expect(clippy::print_stdout, reason = "a skipped test must say why")]
pub(crate) fn is_past(feature: Feature) -> bool {
    let is_past = feature.missing().is_none();
    if is_past {
        let (major, minor) = feature.since;
        println!("lacks: nothing; it is for kernels before Linux {major}.{minor}");
    }
    is_past
}

#[expect(clippy::print_stdout, reason = "a skipped test must say what it lacks")]
fn say(word: &str, needed: &[Feature]) -> bool {
    let missing: Vec<String> = needed
        .iter()
        .filter_map(|feature| Some(format!("{} ({})", feature.name, feature.missing()?)))
        .collect();
    for missing in &missing {
        println!("{word}: {missing}");
    }
    !missing.is_empty()
}

const fn since(name: &'static str, major: u8, minor: u8) -> Feature {
    Feature { name, since: (major, minor), sign: None, options: &[], obstacle: None }
}

impl Feature {
    const fn shown_by(mut self, sign: Sign) -> Self {
        self.sign = Some(sign);
        self
    }

    const fn built_with(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    const fn unless(mut self, what: &'static str, is_there: fn() -> bool) -> Self {
        self.obstacle = Some(Obstacle { what, is_there });
        self
    }

    /// Why the running kernel does not have it; `None` if it should.
    fn missing(&self) -> Option<String> {
        let (major, minor) = self.since;
        if self.came_later() && !self.sign.is_some_and(Sign::is_there) {
            return Some(format!("since Linux {major}.{minor}"));
        }
        if let Some(option) = self.options.iter().find(|option| !is_configured(option)) {
            return Some((*option).to_owned());
        }
        let in_the_way = self.obstacle.filter(|obstacle| (obstacle.is_there)());
        in_the_way.map(|obstacle| obstacle.what.to_owned())
    }

    /// Whether the running kernel is older.
    fn came_later(&self) -> bool {
        let running = KernelVersion::current().expect("the kernel has a version");
        running < KernelVersion::new(self.since.0, self.since.1, 0)
    }
}

impl Sign {
    fn is_there(self) -> bool {
        static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
        let read = || std::fs::read("/sys/kernel/btf/vmlinux").expect("the kernel has BTF");
        let btf = Btf::parse(BYTES.get_or_init(read)).expect("it is well-formed");
        match self {
            Self::Function(name) => btf.find(name, Kind::Func).is_some(),
            Self::Constant(of, name) => btf.find(of, Kind::Enum).is_some_and(|found| {
                let Shape::Enum(constants) = found.shape() else { return false };
                constants.iter().any(|constant| constant.name == name)
            }),
        }
    }
}

/// Whether the kernel was built with an option. One that does not tell has them all.
fn is_configured(option: &str) -> bool {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(configuration);
    let set = [format!("{option}=y"), format!("{option}=m")];
    text.is_empty() || text.lines().any(|line| set.iter().any(|set| set == line))
}

/// The configuration of the running kernel; empty where it is not to be had.
pub(crate) fn configuration() -> String {
    let script = "zcat /proc/config.gz 2>/dev/null || cat /boot/config-$(uname -r)";
    let told = Command::new("sh").args(["-c", script]).output().expect("there is a shell");
    String::from_utf8_lossy(&told.stdout).into_owned()
}

/// Whether bpftool gets EPERM for an object with the least program of its kind.
fn libbpf_is_forbidden(name: &str) -> bool {
    let object = object(name);
    let mut said = Vec::new();
    Sandbox::run(|_| {
        let mut command = Command::new("bpftool");
        command.args(["prog", "load"]).arg(object).arg("/sys/fs/bpf/forbidden");
        said = command.output().expect("bpftool is installed").stderr;
    });
    let said = String::from_utf8_lossy(&said);
    said.contains("Operation not permitted") || said.contains("-EPERM")
}

#[test]
fn the_table_is_true_of_the_running_kernel() {
    for feature in ALL.iter().filter(|feature| !feature.came_later()) {
        assert!(feature.sign.is_none_or(Sign::is_there), "{feature:?}");
    }
}
