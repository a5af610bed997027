//! Deployments against the kernel, for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::apply::DeploymentStatus;
use crate::model::attach::Attachment;
use crate::model::inventory::Resource;
use crate::model::usage::Usage;
use crate::plan::{ResourceState, ResourceStatus};

use super::{FORMAT_VERSION, Style, printable, wrap};

/// Each deployment with its resources, as a table.
#[must_use]
pub fn human(deployments: &[DeploymentStatus], style: Style) -> String {
    if deployments.is_empty() {
        return "no deployment is on record\n".to_owned();
    }
    let mut text = String::new();
    for deployment in deployments {
        let holder = match &deployment.holder {
            Some(holder) => format!("held by {}", printable(&holder.to_string())),
            None if deployment.inventory.objects.is_empty() => {
                "ended, persisting pins left".to_owned()
            }
            None => "detached".to_owned(),
        };
        let name = style.bold(deployment.inventory.name.as_str());
        let _ = writeln!(
            text,
            "{name}  generation {}, {holder}, {}",
            deployment.inventory.generation,
            health(deployment),
        );
        let widest = |column: fn(&ResourceStatus) -> usize| {
            deployment.resources.iter().map(column).max().unwrap_or(0)
        };
        let address = widest(|resource| printable(resource.address.as_str()).chars().count());
        for resource in &deployment.resources {
            let name = printable(resource.address.as_str());
            let state = format!("{:<8}", resource.state.as_str());
            let state = match resource.state {
                ResourceState::InSync => style.green(&state),
                ResourceState::Unknown => style.yellow(&state),
                _ => style.red(&state),
            };
            let _ = write!(text, "  {state} {name:<address$}");
            let mut room = style.width.saturating_sub(INDENT + address);
            for Part { text: part, is_dim } in parts(resource, deployment) {
                let length = part.chars().count() + GAP;
                if length <= room {
                    room -= length;
                    let _ = write!(text, "{:GAP$}{}", "", paint(&part, is_dim, style));
                    continue;
                }
                let lines = wrap(&part, style.width.saturating_sub(INDENT).max(NARROWEST));
                text.truncate(text.trim_end_matches(' ').len());
                for line in &lines {
                    let _ = write!(text, "\n{:INDENT$}{}", "", paint(line, is_dim, style));
                }
                let last = lines.last().map_or(0, |line| line.chars().count());
                room = style.width.saturating_sub(INDENT + last);
            }
            text.push('\n');
        }
    }
    text
}

/// Where addresses begin, and what goes on below them.
const INDENT: usize = 11;
/// Between two parts of a line.
const GAP: usize = 2;
/// Fewer characters are no line.
const NARROWEST: usize = 20;

/// What a line tells of a resource behind its address.
struct Part {
    text: String,
    is_dim: bool,
}

fn parts(resource: &ResourceStatus, deployment: &DeploymentStatus) -> Vec<Part> {
    let id = resource.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let place = printable(resource.pin.as_deref().unwrap_or("not pinned")).into_owned();
    let since = deployment.drifted_since.get(&resource.address);
    let why: Vec<String> = resource
        .detail
        .iter()
        .map(|detail| printable(detail).into_owned())
        .chain(since.map(|moment| format!("since {moment}")))
        .collect();
    let figures = deployment.usage.get(&resource.address).map(figures);
    let bright = |text| Part { text, is_dim: false };
    let why = Some(why).filter(|why| !why.is_empty()).map(|why| format!("({})", why.join("; ")));
    let figures = figures.filter(|text| !text.is_empty());
    [bright(format!("id {id:<6}")), bright(place)]
        .into_iter()
        .chain(why.map(bright))
        .chain(figures.map(|text| Part { text, is_dim: true }))
        .collect()
}

fn paint(text: &str, is_dim: bool, style: Style) -> String {
    if is_dim { style.dim(text) } else { text.to_owned() }
}

/// `2 of 1024 entries, 88 KiB`, `7 runs of 210 ns, 4 KiB`.
fn figures(usage: &Usage) -> String {
    let mut words = Vec::new();
    match (usage.entries, usage.max_entries) {
        (Some(entries), Some(most)) => words.push(format!("{entries} of {most} entries")),
        (None, Some(most)) => words.push(format!("{most} entries")),
        _ => {}
    }
    if let (Some(runs), Some(time)) = (usage.runs, usage.run_time_ns) {
        let each = time.checked_div(runs).map(|each| format!(" of {each} ns"));
        words.push(format!("{runs} runs{}", each.unwrap_or_default()));
    }
    if let Some(count) = usage.verified_instructions {
        words.push(format!("{count} instructions verified"));
    }
    words.extend(usage.memory.map(|bytes| format!("{} KiB", bytes.div_ceil(1024))));
    words.join(", ")
}

fn health(deployment: &DeploymentStatus) -> String {
    if deployment.is_changing {
        return "a run is changing it".to_owned();
    }
    if deployment.inventory.pending.is_some() {
        return "its last run was cut short: apply or destroy it again".to_owned();
    }
    let resources = &deployment.resources;
    let off = resources.iter().filter(|resource| resource.has_drifted()).count();
    let unknown = resources.iter().filter(|one| one.state == ResourceState::Unknown).count();
    match (off, unknown) {
        (0, 0) => "in sync".to_owned(),
        (0, unknown) => format!("{unknown} of {} unknown", resources.len()),
        (off, _) => format!("{off} of {} not in sync", resources.len()),
    }
}

/// The same as one JSON document.
#[must_use]
pub fn json(deployments: &[DeploymentStatus]) -> Value {
    let deployments: Vec<Value> = deployments.iter().map(deployment_json).collect();
    json!({ "format_version": FORMAT_VERSION, "deployments": deployments })
}

fn deployment_json(deployment: &DeploymentStatus) -> Value {
    let Conditions { ready, progressing, degraded, reason } = Conditions::of(deployment);
    let condition = |kind: &str, status: bool| {
        json!({
            "type": kind,
            "status": status,
            "reason": reason,
            "observed_generation": deployment.inventory.generation,
        })
    };
    json!({
        "name": deployment.inventory.name,
        "generation": deployment.inventory.generation,
        "holder": deployment.holder.as_ref().map(|holder| holder.pid),
        "conditions": [
            condition("Ready", ready),
            condition("Progressing", progressing),
            condition("Degraded", degraded),
        ],
        "resources": deployment.resources.iter().map(|one| resource_json(one, deployment)).collect::<Vec<_>>(),
    })
}

fn resource_json(resource: &ResourceStatus, deployment: &DeploymentStatus) -> Value {
    let mut value = json!(resource);
    if let Some(usage) = deployment.usage.get(&resource.address) {
        value["usage"] = json!(usage);
    }
    if let Some(place) = attachment(resource, deployment) {
        value["hook"] = json!(place.hook());
        value["target"] = json!(place.target().join(":"));
    }
    if let Some(since) = deployment.drifted_since.get(&resource.address) {
        value["drifted_since"] = json!(since.to_string());
    }
    value
}

/// Where a link attaches; not known of one whose record was lost.
pub(super) fn attachment<'d>(
    resource: &ResourceStatus,
    deployment: &'d DeploymentStatus,
) -> Option<&'d Attachment> {
    match deployment.inventory.resources.get(&resource.address)? {
        Resource::Link(link) => link.attachment.as_ref(),
        Resource::Map(_) | Resource::Program(_) => None,
    }
}

/// What holds of a deployment as a whole, as Kubernetes has it of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The host is as the deployment left it.
    pub ready: bool,
    /// A run is changing it now.
    pub progressing: bool,
    /// Something is wrong: part of it is not as it was left, or a run was cut short.
    pub degraded: bool,
    /// Why, in a word that stays the same.
    pub reason: &'static str,
}

impl Conditions {
    /// The conditions of a deployment.
    #[must_use]
    pub fn of(deployment: &DeploymentStatus) -> Self {
        let drifted = deployment.resources.iter().any(ResourceStatus::has_drifted);
        let [ready, progressing, degraded] = [false; 3];
        if deployment.is_changing {
            Self { ready, progressing: true, degraded, reason: "applying" }
        } else if deployment.inventory.pending.is_some() {
            Self { ready, progressing, degraded: true, reason: "interrupted" }
        } else if deployment.inventory.objects.is_empty() {
            Self { ready, progressing, degraded, reason: "ended" }
        } else if drifted {
            Self { ready, progressing, degraded: true, reason: "drifted" }
        } else {
            Self { ready: true, progressing, degraded, reason: "in-sync" }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::address::Address;
    use crate::model::host::HostIdentity;
    use crate::model::inventory::Inventory;
    use crate::model::moment::Moment;
    use crate::model::name::Name;
    use crate::model::pin::PinRoot;

    /// A deployment of one map whose pin is gone.
    fn drifted() -> DeploymentStatus {
        let name = Name::new("edge").expect("a name");
        let address = Address::map(&Name::new("firewall").expect("a name"), "flows");
        let host = HostIdentity { boot_id: String::new(), bpffs: None, netns: 0 };
        let root = PinRoot::default_for(&name);
        DeploymentStatus {
            inventory: Inventory::empty(name, root, "edge.toml".into(), host),
            holder: None,
            is_changing: false,
            resources: vec![ResourceStatus {
                address: address.clone(),
                kind: "map",
                id: Some(7),
                pin: Some("/sys/fs/bpf/ebpf-apply/edge/state/flows".to_owned()),
                state: ResourceState::Missing,
                detail: Some("its pin is gone".to_owned()),
            }],
            drifted_since: BTreeMap::from([(address.clone(), Moment(0))]),
            usage: BTreeMap::from([(address, Usage { memory: Some(2048), ..Usage::default() })]),
        }
    }

    #[test]
    fn a_line_that_does_not_fit_goes_on_below() {
        let shown = |width| human(&[drifted()], Style { width, ..Style::PLAIN });
        let wide = shown(usize::MAX);
        let (_, line) = wide.split_once('\n').expect("a head");
        assert_eq!(
            line,
            "  missing  map.firewall.flows  id 7       /sys/fs/bpf/ebpf-apply/edge/state/flows  (its \
             pin is gone; since 1970-01-01T00:00:00Z)  2 KiB\n"
        );
        let narrow = shown(60);
        let (_, lines) = narrow.split_once('\n').expect("a head");
        assert_eq!(
            lines,
            "  missing  map.firewall.flows  id 7\n           \
             /sys/fs/bpf/ebpf-apply/edge/state/flows\n           \
             (its pin is gone; since 1970-01-01T00:00:00Z)\n           2 KiB\n"
        );
        for width in [20, 40, 60, 80, 100] {
            let fits = |line: &str| line.chars().count() <= width.max(INDENT + NARROWEST);
            assert!(shown(width).lines().skip(1).all(fits), "{width}: {}", shown(width));
        }
    }

    #[test]
    fn since_when_it_has_drifted_is_told_to_programs() {
        let resource = &json(&[drifted()])["deployments"][0]["resources"][0];
        assert_eq!(resource["drifted_since"], "1970-01-01T00:00:00Z");
    }
}
