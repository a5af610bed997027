//! Hooks on cgroups, on kernel objects and on other BPF programs.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// Options of `cgroup`: one of `path` and `unit`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Cgroup {
    /// The cgroup's directory: `/sys/fs/cgroup/system.slice`.
    pub path: Option<PathBuf>,
    /// A systemd unit, whose cgroup it is: `nginx.service`.
    pub unit: Option<String>,
    /// Attach when the cgroup appears.
    #[serde(default)]
    pub wait: bool,
}

/// Options of `lsm-cgroup`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LsmCgroup {
    /// The security hook.
    pub function: String,
    /// The cgroup's directory.
    pub path: PathBuf,
    /// Attach when the cgroup appears.
    #[serde(default)]
    pub wait: bool,
}

/// Options of `iter`; which of them apply, the iterator's target says.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Iter {
    /// The map to go over: `<object>.<map>`.
    pub map: Option<String>,
    /// The cgroup to go over.
    pub cgroup: Option<PathBuf>,
    /// The task to go over, by its thread id.
    pub task: Option<u32>,
    /// Attach when the target appears.
    #[serde(default)]
    pub wait: bool,
}

/// Options of `freplace`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Freplace {
    /// The program whose function is replaced: `<object>.<program>`, or the path of its pin.
    pub program: String,
    /// The function to replace. Default: what the section says, as `SEC("freplace/function")`.
    pub function: Option<String>,
    /// Attach when the program appears.
    #[serde(default)]
    pub wait: bool,
}

/// Options of `struct-ops`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StructOps {
    /// Attach when the kernel takes it.
    #[serde(default)]
    pub wait: bool,
}

/// Options of `section`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Section {
    /// Attach when the target appears.
    #[serde(default)]
    pub wait: bool,
    /// What `bpf_get_attach_cookie` returns in the program.
    pub cookie: Option<u64>,
}
