//! Programs with a place to attach them to: where their section says, if it says enough, and
//! otherwise an example of each kind of target, commented out.

use super::text::{comment, key};
use super::{Block, Entry, Proposal};
use crate::model::kinds::{AttachType, MapType, ProgramType};
use crate::model::license;
use crate::model::map::{MapOrigin, MapSpec};
use crate::model::program::{ProgramKind, ProgramSpec};
use crate::validate::fitting_hooks;

/// A block for each program, and for each struct of operations.
pub(super) fn blocks(entry: &Entry<'_>) -> Vec<Block> {
    let spec = &entry.image.spec;
    let mut blocks = Vec::new();
    let listed = must_list(entry);
    if !spec.programs.is_empty() {
        let text = if listed {
            "\n# Programs. Those with a table here are loaded, and attached where it says so.\n"
        } else {
            "\n# Programs. Without a word here, all are loaded and none is attached.\n"
        };
        blocks.push(Proposal::remark(text.to_owned()).into());
    }
    for (index, program) in spec.programs.iter().enumerate() {
        blocks.push(block(entry, program, index, listed));
    }
    let is_ops = |map: &&MapSpec| matches!(map.origin, MapOrigin::StructOps { .. });
    for map in spec.maps.iter().filter(is_ops) {
        let value = map.value.as_ref().map_or("", |value| value.name.as_str());
        let about = comment(&format!("{}: operations of {value}", map.name));
        let element = "{ hook = \"struct-ops\" }";
        let mut proposals = Vec::new();
        if is_gpl_compatible(entry) {
            proposals.push(commented(&table(entry, &map.name), &about, element, element));
            proposals
                .push(Proposal::remark(format!("# {about}; this version creates them only\n")));
        } else {
            proposals.push(Proposal::remark(format!("# {about}, {RESERVED}\n")));
        }
        blocks.push(Block { proposals, chosen: 0 });
    }
    blocks
}

/// Of what the kernel refuses to load without such a license.
const RESERVED: &str = "which only GPL-compatible objects may load";

fn is_gpl_compatible(entry: &Entry<'_>) -> bool {
    entry.image.spec.license.as_deref().is_some_and(license::is_gpl_compatible)
}

/// Whether only the programs that are named can be loaded, since another one needs a word first.
pub(super) fn must_list(entry: &Entry<'_>) -> bool {
    entry
        .image
        .spec
        .programs
        .iter()
        .any(|program| program.autoload && is_incomplete(entry, program))
}

/// Whether the kernel must be told what a program is for, and the object does not say.
fn is_incomplete(entry: &Entry<'_>, program: &ProgramSpec) -> bool {
    let Some(kind) = &program.kind else { return false };
    match kind.program_type {
        ProgramType::EXT => true,
        ProgramType::STRUCT_OPS => {
            let mut slots = entry.image.spec.maps.iter().flat_map(|map| &map.slots);
            !slots.any(|(_, held)| *held == program.name)
        }
        _ => kind.needs_attach_btf && kind.target.is_none(),
    }
}

fn table(entry: &Entry<'_>, program: &str) -> String {
    format!("[objects.{}.programs.{}]", entry.name, key(program))
}

fn block(entry: &Entry<'_>, program: &ProgramSpec, index: usize, listed: bool) -> Block {
    let table = table(entry, &program.name);
    let section = comment(&format!("SEC(\"{}\")", program.section));
    let name = comment(&program.name);
    let Some(kind) = &program.kind else {
        let text = format!("# {name}: {section}, which does not say what kind of program it is\n");
        return Proposal::remark(text).into();
    };
    let mut filled = entry.image.spec.maps.iter();
    let holder = filled.find(|map| map.slots.iter().any(|(_, held)| *held == program.name));
    if let Some(map) = holder.filter(|map| map.shape.map_type == MapType::PROG_ARRAY) {
        let text = format!("# {name}: {section}, called by way of map {}\n", comment(&map.name));
        if !(listed && program.autoload) {
            return Proposal::remark(text).into();
        }
    }
    let by_itself = program.autoload && !is_incomplete(entry, program);
    let mut proposals = Vec::new();
    let mut propose = |shown: &str, tried: &str, certain: bool| {
        let attach = format!("{table}\nattach = [{tried}]\n");
        proposals.push(if !by_itself {
            let about = format!("{name}: {section}, loaded only if it is named");
            commented(&table, &about, shown, tried)
        } else if certain {
            Proposal::certain(format!("{table}   # {section}\nattach = [{tried}]\n"))
        } else {
            Proposal {
                shown: format!("{table}   # {section}\n# attach = [{shown}]\n"),
                tried: attach,
            }
        });
    };
    if kind.program_type != ProgramType::STRUCT_OPS {
        let section = "{ hook = \"section\" }";
        propose(section, section, true);
    }
    let mut hooks = fitting_hooks(&program.section, kind);
    if kind.program_type == ProgramType::KPROBE {
        // Any probe would take it, and its section says which one its author means.
        hooks.truncate(1);
    }
    // Examples of what has room for one program are not for the same place.
    let has_room_for_one = matches!(kind.program_type, ProgramType::XDP | ProgramType::NETFILTER);
    let before = entry.image.spec.programs.iter().take(index).filter(|other| {
        other.kind.as_ref().is_some_and(|other| other.program_type == kind.program_type)
    });
    let nth = if has_room_for_one { before.count() } else { 0 };
    let made = (program.section.as_str(), kind);
    for hook in &hooks {
        let elements = (element(hook, made, entry, nth), element(hook, made, entry, index));
        if let (Some(shown), Some(tried)) = elements {
            propose(&shown, &tried, false);
        }
    }
    let why = if hooks.is_empty() {
        "which no hook takes".to_owned()
    } else if license::reserved(program).is_some() && !is_gpl_compatible(entry) {
        RESERVED.to_owned()
    } else {
        format!("for hook {}: no example fits, see docs/hooks.md", hooks.join(" or "))
    };
    let text = match kind.program_type {
        // What it replaces is in another object, so this cannot be tried.
        ProgramType::EXT => format!(
            "# {table}   # {section}\n\
             # attach = [{{ hook = \"freplace\", program = \"object.program\" }}]\n"
        ),
        ProgramType::STRUCT_OPS => {
            let how = if by_itself { "loaded with its struct" } else { "in no struct" };
            format!("# {name}: {section}, an operation, {how}\n")
        }
        _ if listed && by_itself => {
            let shown = format!("{table}   # {section}, {why}\n");
            proposals.push(Proposal::certain(shown));
            return Block { proposals, chosen: 0 };
        }
        _ => format!("# {name}: {section}, {why}\n"),
    };
    proposals.push(Proposal::remark(text));
    Block { proposals, chosen: 0 }
}

/// A table that is wholly commented out, since naming a program or a map does something by itself.
fn commented(table: &str, about: &str, shown: &str, tried: &str) -> Proposal {
    Proposal {
        shown: format!("# {about}\n# {table}\n# attach = [{shown}]\n"),
        tried: format!("{table}\nattach = [{tried}]\n"),
    }
}

/// An example of an element of `attach`; `n` makes its target one of its own.
fn element(
    hook: &str,
    (section, kind): (&str, &ProgramKind),
    entry: &Entry<'_>,
    n: usize,
) -> Option<String> {
    let section = section.trim_start_matches('?');
    let is_of_syscall = section.starts_with("ksyscall") || section.starts_with("kretsyscall");
    let egress = matches!(kind.attach_type, Some(AttachType::TCX_EGRESS));
    let direction = if egress { "egress" } else { "ingress" };
    let peer = matches!(kind.attach_type, Some(AttachType::NETKIT_PEER));
    let side = if peer { "peer" } else { "primary" };
    // A program with BTF-typed arguments is for what its section says, if that says anything.
    let target = |example: &str| super::quoted(kind.target.as_deref().unwrap_or(example));
    let options = match hook {
        "xdp" => format!("interface = \"eth{n}\""),
        "tcx" | "tc" => format!("interface = \"eth{n}\", direction = \"{direction}\""),
        "netkit" => format!("interface = \"nk{n}\", side = \"{side}\""),
        "cgroup" => "path = \"/sys/fs/cgroup/system.slice\"".to_owned(),
        "sockmap" => {
            let takes = [MapType::SOCKMAP, MapType::SOCKHASH];
            let maps = &entry.image.spec.maps;
            let map = maps.iter().find(|map| takes.contains(&map.shape.map_type))?;
            format!("map = {}", super::quoted(&format!("{}.{}", entry.name, map.name)))
        }
        "sk-lookup" | "flow-dissector" => format!("netns = \"net{n}\""),
        "netfilter" => format!("family = \"ipv4\", at = \"local-in\", priority = {n}"),
        "tracepoint" => "name = \"sched/sched_process_exec\"".to_owned(),
        "raw-tracepoint" => "name = \"sched_process_exec\"".to_owned(),
        "tp-btf" => format!("name = {}", target("sched_process_exec")),
        "kprobe" | "kretprobe" if is_of_syscall => "function = \"__x64_sys_unlinkat\"".to_owned(),
        "kprobe" | "kretprobe" => "function = \"do_unlinkat\"".to_owned(),
        "fentry" | "fexit" | "fsession" => format!("function = {}", target("do_unlinkat")),
        "fmod-ret" => format!("function = {}", target("bpf_modify_return_test")),
        "lsm" => format!("function = {}", target("file_open")),
        "lsm-cgroup" => {
            let function = target("socket_bind");
            format!("function = {function}, path = \"/sys/fs/cgroup/system.slice\"")
        }
        "uprobe" | "uretprobe" => "target = \"/usr/bin/bash\", symbol = \"readline\"".to_owned(),
        "usdt" => "target = \"libc.so.6\", provider = \"libc\", name = \"setjmp\"".to_owned(),
        "perf-event" => "software = \"cpu-clock\", frequency = 99".to_owned(),
        "iter" => match kind.target.as_deref() {
            Some("bpf_map_elem") => {
                let takes = [MapType::HASH, MapType::LRU_HASH, MapType::RHASH, MapType::ARRAY];
                let mut maps = entry.image.spec.maps.iter().filter(|map| map.is_declared());
                let map = maps.find(|map| takes.contains(&map.shape.map_type))?;
                format!("map = {}", super::quoted(&format!("{}.{}", entry.name, map.name)))
            }
            _ => return Some("{ hook = \"iter\" }".to_owned()),
        },
        _ => return None,
    };
    Some(format!("{{ hook = \"{hook}\", {options} }}"))
}
