//! Which capabilities a plan says it needs, and for what.

mod support;

use std::fs;
use std::path::Path;

use ebpf_apply::model::capability::Capability;
use ebpf_apply::plan::{Capabilities, Step, capabilities};
use ebpf_apply::validate::validate;

/// What a manifest of one object takes.
fn of(object: &str, rest: &str, steps: &[Step]) -> Capabilities {
    let path = support::object(object);
    let text =
        format!("version = 1\nname = \"it\"\n[objects.it]\npath = \"{}\"\n{rest}", path.display());
    let validation = validate(Path::new("it.toml"), &text, &|path| fs::read(path));
    capabilities(&validation.desired.unwrap_or_else(|| panic!("{:?}", validation.problems)), steps)
}

fn names(capabilities: &Capabilities) -> [Vec<&'static str>; 2] {
    [&capabilities.needed, &capabilities.perhaps]
        .map(|all| all.keys().map(|one| one.as_str()).collect())
}

fn listed(program: &str, hook: &str) -> String {
    format!("load = \"listed\"\n[objects.it.programs.{program}]\nattach = [{{ {hook} }}]\n")
}

#[test]
fn networks_and_tracing_need_three_between_them() {
    let xdp = of("firewall", &listed("xdp_firewall", "hook = \"xdp\", interface = \"eth0\""), &[]);
    assert_eq!(names(&xdp), [vec!["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"], vec![]]);
    assert!(
        xdp.needed[&Capability::NetAdmin].contains("`xdp_firewall` of object `it` is of type xdp")
    );
    let raw = of("exec_trace", &listed("raw_exec", "hook = \"section\""), &[]);
    assert_eq!(names(&raw), [vec!["CAP_BPF", "CAP_PERFMON"], vec![]]);
}

#[test]
fn what_only_the_host_tells_is_needed_perhaps() {
    let probe = of(
        "user_probes",
        &listed("on_entry", "hook = \"uprobe\", target = \"/bin/true\", symbol = \"main\""),
        &[],
    );
    assert_eq!(
        names(&probe),
        [vec!["CAP_BPF", "CAP_PERFMON"], vec!["CAP_SYS_ADMIN", "CAP_DAC_READ_SEARCH"]]
    );
}

#[test]
fn what_is_opened_by_its_id_takes_the_most() {
    let xdp = listed("xdp_firewall", "hook = \"xdp\", interface = \"eth0\"");
    let all = of("firewall", &xdp, &[Step::OpenForeign { program: 7 }]);
    assert!(all.needed[&Capability::SysAdmin].contains("open program id 7"), "{all:?}");
}
