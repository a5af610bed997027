//! Programs: which are loaded, whether they can be, and where they are pinned and attached.

use super::attachments;
use super::places::Places;
use crate::manifest::{Hook, Load};
use crate::model::code;
use crate::model::kinds::ProgramType;
use crate::model::object::{ExternKind, ExternSpec, Part};
use crate::model::pin::{PinPath, PinPolicy};
use crate::model::problem::Problem;
use crate::model::program::ProgramSpec;
use crate::object::sections;
use crate::validate::desired::DesiredProgram;
use crate::validate::findings::Findings;
use crate::validate::hooks;
use crate::validate::subject::{Subject, is_ops};

/// The programs to load, in the object's order.
pub(in crate::validate) fn resolve(
    subject: &Subject<'_>,
    places: &mut Places,
    findings: &mut Findings<'_>,
) -> Vec<DesiredProgram> {
    defects(subject, findings);
    let mut programs = Vec::new();
    for program in subject.spec().programs.iter().filter(|program| subject.cannot_load(program)) {
        unknown_section(subject, program, findings);
    }
    for spec in subject.spec().programs.iter().filter(|program| subject.loads(program)) {
        let mut spec = spec.clone();
        loadable(subject, &mut spec, findings);
        let (attachments, terms) = attachments::resolve(subject, &spec, places, findings);
        let entry = subject.entry.programs.get(&spec.name);
        let policy = entry.and_then(|entry| entry.pin).unwrap_or(PinPolicy::None);
        let subpath = subject.entry.subpath.clone().unwrap_or_default();
        let pin = policy.is_pinned().then(|| PinPath::public(&subpath, &spec.name));
        programs.push(DesiredProgram { spec, policy, pin, attachments, terms });
    }
    if !programs.is_empty() {
        externs(subject, findings);
    }
    programs
}

/// A broken program matters if it is loaded.
fn defects(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for defect in &subject.spec().defects {
        let Part::Program(name) = &defect.part else { continue };
        let asked_for =
            subject.entry.load == Load::All || subject.entry.programs.contains_key(name);
        let loaded =
            subject.spec().program(name).map_or(asked_for, |program| subject.loads(program));
        let new = if loaded { Problem::error } else { Problem::warning };
        let problem = new(code::OBJECT_DEFECT, None, defect.to_string());
        findings.at(&subject.program_spot(name), problem);
    }
}

/// An error for a program that the manifest names. libbpf refuses the whole object for any such; here
/// the others work without it.
fn unknown_section(subject: &Subject<'_>, program: &ProgramSpec, findings: &mut Findings<'_>) {
    let named = subject.entry.programs.contains_key(&program.name);
    let left_out = if named { "" } else { ": it is left out" };
    let message = format!(
        "section `{}` of program `{}` does not say what kind of program it is{left_out}",
        program.section, program.name
    );
    let new = if named { Problem::error } else { Problem::warning };
    let beginning = program.section.trim_start_matches('?').split('/').next().unwrap_or_default();
    let help = if sections::program_kind(beginning).is_some() {
        format!("did you mean `SEC(\"{beginning}\")`?")
    } else {
        "give it a section libbpf knows, as `SEC(\"xdp\")`".to_owned()
    };
    let problem = new(code::UNKNOWN_SECTION, None, message).help(help);
    findings.at(&subject.program_spot(&program.name), problem);
}

/// Whether `BPF_PROG_LOAD` can be told all it wants to know. The target of a program with BTF-typed
/// arguments comes from the manifest where the section leaves it open.
fn loadable(subject: &Subject<'_>, program: &mut ProgramSpec, findings: &mut Findings<'_>) {
    let Some(kind) = &mut program.kind else {
        unknown_section(subject, program, findings);
        return;
    };
    let (name, section) = (&program.name, &program.section);
    let at = subject.program_spot(name);
    if kind.program_type == ProgramType::EXT {
        replacement(subject, program, findings);
        return;
    }
    if kind.program_type == ProgramType::STRUCT_OPS && !is_operation(subject, name) {
        let message = format!("program `{name}` is in no `struct_ops` that is created");
        let problem = Problem::error(code::SECTION_INCOMPLETE, None, message).help(
            "the kernel must know what it is for when it is loaded: set it as a member of a variable \
             in `SEC(\".struct_ops.link\")`, or leave it out with `load = \"listed\"`",
        );
        findings.at(&at, problem);
    }
    if kind.needs_attach_btf && kind.target.is_none() {
        let entry = subject.entry.programs.get(name);
        let hooks = entry.into_iter().flat_map(|entry| &entry.attach);
        kind.target = hooks.filter(|hook| hooks::takes(hook.name(), kind)).find_map(function);
    }
    if kind.needs_attach_btf && kind.target.is_none() {
        let message =
            format!("section `{section}` of program `{name}` does not say what it is for");
        let problem = Problem::error(code::SECTION_INCOMPLETE, None, message).help(format!(
            "the kernel must know it when the program is loaded: `SEC(\"{section}/…\")`"
        ));
        findings.at(&at, problem);
    }
}

/// What a hook says that its program is loaded for.
fn function(hook: &Hook) -> Option<String> {
    match hook {
        Hook::TpBtf(hook) => Some(hook.name.clone()),
        Hook::Fentry(hook)
        | Hook::Fexit(hook)
        | Hook::Fsession(hook)
        | Hook::FmodRet(hook)
        | Hook::Lsm(hook) => Some(hook.function.clone()),
        Hook::LsmCgroup(hook) => Some(hook.function.clone()),
        _ => None,
    }
}

/// A program that replaces a function is loaded for one function of one program.
fn replacement(subject: &Subject<'_>, program: &ProgramSpec, findings: &mut Findings<'_>) {
    let entry = subject.entry.programs.get(&program.name);
    let hooks = entry.into_iter().flat_map(|entry| &entry.attach);
    let message = match hooks.filter(|hook| matches!(hook, Hook::Freplace(_))).count() {
        0 => "the kernel must be told which program it replaces a function of when it is loaded",
        1 => return,
        _ => "it is loaded for one function of one program, and cannot replace several",
    };
    let message = format!("program `{}` cannot be loaded: {message}", program.name);
    let problem = Problem::error(code::SECTION_INCOMPLETE, None, message).help(
        "`attach = [{ hook = \"freplace\", program = \"<object>.<program>\" }]` says so; or leave it out \
         with `load = \"listed\"`",
    );
    findings.at(&subject.program_spot(&program.name), problem);
}

/// Whether a program is a member of struct ops that are created.
fn is_operation(subject: &Subject<'_>, program: &str) -> bool {
    subject.spec().maps.iter().any(|map| {
        is_ops(map) && subject.creates(map) && map.slots.iter().any(|(_, name)| name == program)
    })
}

/// Values that are asked for like those of the kernel's configuration, and that no kernel has.
fn externs(subject: &Subject<'_>, findings: &mut Findings<'_>) {
    for symbol in subject.spec().externs.iter().filter(|symbol| !can_be_supplied(symbol)) {
        let message = format!(
            "`{}` is no option of the kernel's configuration, and nothing else that a loader supplies",
            symbol.name
        );
        let problem = Problem::error(code::EXTERN_UNSUPPORTED, None, message).help(
            "what is declared with `__kconfig` is named `CONFIG_…`, `LINUX_KERNEL_VERSION`, \
             `LINUX_HAS_BPF_COOKIE` or `LINUX_HAS_SYSCALL_WRAPPER`",
        );
        findings.at_value(&subject.path(), problem);
    }
}

/// Whether some kernel may have it (libbpf `bpf_object__resolve_externs`). What is nowhere declared
/// is a defect of the object.
fn can_be_supplied(symbol: &ExternSpec) -> bool {
    const KNOWN: [&str; 3] =
        ["LINUX_KERNEL_VERSION", "LINUX_HAS_BPF_COOKIE", "LINUX_HAS_SYSCALL_WRAPPER"];
    let name = symbol.name.as_str();
    symbol.kind != ExternKind::Kconfig
        || name.starts_with("CONFIG_")
        || KNOWN.contains(&name)
        || (symbol.weak && name.starts_with("LINUX_"))
}
