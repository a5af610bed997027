//! The rule that a map is pinned only when both sides say so, and where it is pinned.

use crate::manifest::{KeyPath, MapEntry};
use crate::model::code;
use crate::model::map::{DataSection, MapOrigin, MapSpec};
use crate::model::pin::{OnMismatch, PinPath, PinPolicy};
use crate::model::problem::Problem;
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// The line of C that asks for a pin.
const ATTRIBUTE: &str = "__uint(pinning, LIBBPF_PIN_BY_NAME);";

/// Longest file name on bpffs, in bytes (`NAME_MAX`).
const FILE_NAME_MAX: usize = 255;

/// What becomes of a map's pin.
pub(in crate::validate) struct Pinned {
    pub(in crate::validate) policy: PinPolicy,
    pub(in crate::validate) pin: Option<PinPath>,
    pub(in crate::validate) external: bool,
    pub(in crate::validate) on_mismatch: OnMismatch,
}

/// Settles a map's policy and path.
pub(in crate::validate) fn resolve(
    subject: &Subject<'_>,
    map: &MapSpec,
    findings: &mut Findings<'_>,
) -> Pinned {
    attribute(subject, map, findings);
    let default = MapEntry::default();
    let entry = subject.entry.maps.get(&map.name).unwrap_or(&default);
    let declared = if map.declares_pinning() { PinPolicy::ByName } else { PinPolicy::None };
    let policy = entry.pin.unwrap_or(if entry.external { PinPolicy::ByName } else { declared });
    if !findings.is_marked(&subject.map(&map.name).key("pin")) {
        if entry.external {
            external(subject, map, entry, findings);
        } else if policy.is_pinned() {
            both_sides(subject, map, entry, policy, findings);
            migration(subject, map, entry, findings);
        } else {
            unused(subject, map, entry, findings);
        }
    }
    let subpath = entry.subpath.as_ref().or(subject.entry.subpath.as_ref());
    let path = || PinPath::public(&subpath.cloned().unwrap_or_default(), &map.name);
    Pinned {
        policy,
        pin: (policy.is_pinned() || entry.external).then(path),
        external: entry.external,
        on_mismatch: entry.on_mismatch.unwrap_or_default(),
    }
}

/// The attribute's value, whatever the manifest says.
fn attribute(subject: &Subject<'_>, map: &MapSpec, findings: &mut Findings<'_>) {
    let Some(value) = map.pinning.filter(|value| *value > 1) else { return };
    let message = format!("map `{}` is declared with the pinning value {value}", map.name);
    let problem = Problem::error(code::PIN_ATTRIBUTE_INVALID, None, message)
        .label("declared with it")
        .help(format!("libbpf knows 0 (LIBBPF_PIN_NONE) and 1: write `{ATTRIBUTE}`"));
    findings.at(&subject.map_spot(&map.name), problem);
}

/// A pinned policy needs a map that can be pinned and asks for it.
fn both_sides(
    subject: &Subject<'_>,
    map: &MapSpec,
    entry: &MapEntry,
    policy: PinPolicy,
    findings: &mut Findings<'_>,
) {
    let at = subject.map(&map.name);
    let name = &map.name;
    if let Some(reason) = unpinnable(&map.origin) {
        let message = format!("`{name}` cannot be pinned: {reason}");
        let problem = Problem::error(code::MAP_UNPINNABLE, None, message)
            .help("drop `pin`; a map in `.maps` can hold what must be seen or kept");
        findings.at_value(&at.key("pin"), problem);
    } else if name.len() > FILE_NAME_MAX {
        let message = format!(
            "map `{name}` cannot be pinned: its name has {} bytes, and a file's at most \
             {FILE_NAME_MAX}",
            name.len()
        );
        let problem = Problem::error(code::MAP_UNPINNABLE, None, message)
            .help("give it a shorter name in C, or `pin = \"none\"`");
        findings.at(&subject.map_spot(name), problem);
    } else if !map.declares_pinning() && !entry.allow_undeclared {
        let message =
            format!("map `{name}` is to be pinned, but its definition does not ask for a pin");
        let help = format!(
            "add `{ATTRIBUTE}` to the definition of `{name}` in C; if the object cannot be \
             rebuilt, `allow-undeclared = true` here pins it all the same"
        );
        let problem = Problem::error(code::PIN_ATTRIBUTE_MISSING, None, message)
            .label(format!("`{policy}` needs the `pinning` attribute"))
            .help(help);
        if !findings.is_marked(&at.key("allow-undeclared")) {
            findings.at_value(&at.key("pin"), problem);
        }
    } else if map.declares_pinning() && entry.allow_undeclared {
        let why = "the map's definition has the `pinning` attribute";
        no_effect(&at.key("allow-undeclared"), "allow-undeclared", why, findings);
    }
}

fn unpinnable(origin: &MapOrigin) -> Option<&'static str> {
    match origin {
        MapOrigin::Declared | MapOrigin::Arena { .. } | MapOrigin::Legacy => None,
        MapOrigin::Section { kind: DataSection::Rodata, .. } => Some(
            "bpffs refuses the `.` in its name, and once frozen it could never be filled again, \
             so a reload would go on with stale constants",
        ),
        MapOrigin::Section { .. } => Some(
            "bpffs refuses the `.` in its name, and its layout changes with every build of the \
             object",
        ),
        MapOrigin::StructOps { .. } => Some("it is a `struct_ops` map, which lives by its link"),
    }
}

/// What an external map may not be told.
fn external(subject: &Subject<'_>, map: &MapSpec, entry: &MapEntry, findings: &mut Findings<'_>) {
    let at = subject.map(&map.name);
    let name = &map.name;
    let conflict = |message: String| Problem::error(code::EXTERNAL_CONFLICT, None, message);
    if let Some(reason) = unpinnable(&map.origin) {
        let message = format!("`{name}` cannot be external: {reason}");
        findings.at_value(&at.key("external"), conflict(message));
    }
    if entry.pin == Some(PinPolicy::None) {
        let message = format!("map `{name}` is external, so it is found by its pin");
        let problem = conflict(message).label("says that it has none").help("drop `pin` here");
        findings.at_value(&at.key("pin"), problem);
    }
    if let Some(OnMismatch::Replace | OnMismatch::Migrate) = entry.on_mismatch {
        let message = format!("map `{name}` is external, so it is never replaced");
        let problem = conflict(message).help("only its owner can change its shape");
        findings.at_value(&at.key("on-mismatch"), problem);
    }
}

/// Entries cannot be carried over between maps of every type.
fn migration(subject: &Subject<'_>, map: &MapSpec, entry: &MapEntry, findings: &mut Findings<'_>) {
    if entry.on_mismatch != Some(OnMismatch::Migrate) {
        return;
    }
    let Err(why) = map.entry_kind() else { return };
    let message = format!("the entries of `{}` can never be migrated", map.name);
    let problem = Problem::error(code::MIGRATE_INAPPLICABLE, None, message)
        .label(why)
        .help("`replace` starts empty; `fail`, the default, changes nothing");
    findings.at_value(&subject.map(&map.name).key("on-mismatch"), problem);
}

/// Settings that only matter for a pinned map.
fn unused(subject: &Subject<'_>, map: &MapSpec, entry: &MapEntry, findings: &mut Findings<'_>) {
    let at = subject.map(&map.name);
    let why = if entry.pin.is_some() { "the map is not pinned" } else { "nothing pins the map" };
    if entry.subpath.is_some() {
        no_effect(&at.key("subpath"), "subpath", why, findings);
    }
    if entry.on_mismatch.is_some() {
        no_effect(&at.key("on-mismatch"), "on-mismatch", why, findings);
    }
    if entry.allow_undeclared {
        no_effect(&at.key("allow-undeclared"), "allow-undeclared", why, findings);
    }
}

fn no_effect(at: &KeyPath, key: &str, why: &str, findings: &mut Findings<'_>) {
    let message = format!("`{key}` has no effect: {why}");
    findings.at_key(at, Problem::warning(code::NO_EFFECT, None, message));
}
