//! Deployments against the kernel, for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::apply::DeploymentStatus;
use crate::model::usage::Usage;
use crate::plan::{ResourceState, ResourceStatus};

use super::{FORMAT_VERSION, Style, printable};

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
            let id = resource.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
            let place = printable(resource.pin.as_deref().unwrap_or("not pinned"));
            let name = printable(resource.address.as_str());
            let state = format!("{:<8}", resource.state.as_str());
            let state = match resource.state {
                ResourceState::InSync => style.green(&state),
                ResourceState::Unknown => style.yellow(&state),
                _ => style.red(&state),
            };
            let _ = write!(text, "  {state} {name:<address$}  id {id:<6} {place}");
            if let Some(detail) = &resource.detail {
                let _ = write!(text, "  ({})", printable(detail));
            }
            if let Some(usage) = deployment.usage.get(&resource.address) {
                let _ = write!(text, "  {}", style.dim(&figures(usage)));
            }
            text.push('\n');
        }
    }
    text
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
    value
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
