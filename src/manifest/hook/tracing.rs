//! Hooks that observe functions and events.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::manifest::types::Names;

/// Options of `tracepoint`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tracepoint {
    /// Subsystem and event, as below `/sys/kernel/tracing/events`: `syscalls/sys_enter_execve`.
    pub name: String,
    /// Attach when the tracepoint appears.
    #[serde(default)]
    pub wait: bool,
    /// What `bpf_get_attach_cookie` returns in the program.
    pub cookie: Option<u64>,
}

/// Options of `raw-tracepoint` and `tp-btf`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NamedTracepoint {
    /// The tracepoint, without its subsystem: `sched_switch`.
    pub name: String,
    /// Attach when the tracepoint appears.
    #[serde(default)]
    pub wait: bool,
    /// What `bpf_get_attach_cookie` returns in the program.
    pub cookie: Option<u64>,
}

/// Options of `fentry`, `fexit`, `fsession`, `fmod-ret` and `lsm`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Function {
    /// The kernel function, or the security hook.
    pub function: String,
    /// Attach when the function appears, as with a module that is loaded later.
    #[serde(default)]
    pub wait: bool,
    /// What `bpf_get_attach_cookie` returns in the program.
    pub cookie: Option<u64>,
}

/// Options of `kprobe` and `kretprobe`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Probe {
    /// The kernel function: a name, a list of names, or a pattern such as `tcp_*`.
    pub function: Names,
    /// Distance from the function's beginning, in bytes.
    #[serde(default)]
    pub offset: u64,
    /// Attach when the function appears.
    #[serde(default)]
    pub wait: bool,
    /// What `bpf_get_attach_cookie` returns in the program.
    pub cookie: Option<u64>,
}

/// Options of `uprobe` and `uretprobe`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct UserProbe {
    /// The program or library: a path, or a library's name.
    pub target: String,
    /// The function: a name, a list of names, or a pattern.
    pub symbol: Names,
    /// Distance from the function's beginning, in bytes.
    #[serde(default)]
    pub offset: u64,
    /// Only in this process.
    pub pid: Option<u32>,
    /// Attach when the target appears.
    #[serde(default)]
    pub wait: bool,
    /// What `bpf_get_attach_cookie` returns in the program.
    pub cookie: Option<u64>,
}

/// Options of `usdt`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Usdt {
    /// The program or library: a path, or a library's name.
    pub target: String,
    /// The probe's provider.
    pub provider: String,
    /// The probe's name.
    pub name: String,
    /// Only in this process.
    pub pid: Option<u32>,
    /// Attach when the target appears.
    #[serde(default)]
    pub wait: bool,
    /// What `bpf_usdt_cookie` returns in the program.
    pub cookie: Option<u64>,
}

/// Options of `perf-event`: one of `hardware`, `software` and `raw`, and one of `period` and
/// `frequency`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PerfEvent {
    /// A hardware event: `cpu-cycles`.
    pub hardware: Option<String>,
    /// A software event: `cpu-clock`.
    pub software: Option<String>,
    /// A raw event's configuration.
    pub raw: Option<u64>,
    /// Run once in so many events.
    pub period: Option<u64>,
    /// Run so many times a second.
    pub frequency: Option<u64>,
    /// Only on this CPU. Default: all.
    pub cpu: Option<u32>,
    /// Only for the thread with this id.
    pub pid: Option<u32>,
    /// Attach when the target appears.
    #[serde(default)]
    pub wait: bool,
    /// What `bpf_get_attach_cookie` returns in the program.
    pub cookie: Option<u64>,
}
