//! Deployments in Prometheus's text format, version 0.0.4.

use std::fmt::Write as _;

use crate::apply::DeploymentStatus;
use crate::model::address::Address;
use crate::model::usage::Usage;

use super::printable;
use super::status::{Conditions, attachment};

/// One metric: its name without the prefix, its type, and what it tells.
type Metric = (&'static str, &'static str, &'static str);

/// A metric of a deployment.
type DeploymentMetric = (Metric, fn(&DeploymentStatus) -> f64);

/// A metric of one map or program, with the kind of address that has it.
type UsageMetric = (&'static str, Metric, fn(&Usage) -> Option<f64>);

const USAGE: &[UsageMetric] = &[
    (
        "program",
        (
            "program_runs_total",
            "counter",
            "How often the program has run; absent while the kernel does not count.",
        ),
        |usage| usage.runs.map(number),
    ),
    (
        "program",
        (
            "program_run_seconds_total",
            "counter",
            "How long the program has run; absent while the kernel does not count.",
        ),
        |usage| usage.run_time_ns.map(|time| number(time) / 1e9),
    ),
    ("program", ("program_memory_bytes", "gauge", "Memory the program holds."), |usage| {
        usage.memory.map(number)
    }),
    (
        "program",
        ("program_verified_instructions", "gauge", "Instructions the verifier looked at."),
        |usage| usage.verified_instructions.map(f64::from),
    ),
    (
        "map",
        ("map_entries", "gauge", "Entries of the map, of the types whose entries come and go."),
        |usage| usage.entries.map(number),
    ),
    ("map", ("map_max_entries", "gauge", "Entries the map can have."), |usage| {
        usage.max_entries.map(f64::from)
    }),
    ("map", ("map_memory_bytes", "gauge", "Memory the map holds."), |usage| {
        usage.memory.map(number)
    }),
];

/// Every deployment, with the figures of its maps and programs.
#[must_use]
pub fn prometheus(deployments: &[DeploymentStatus]) -> String {
    let mut text = String::new();
    let of_deployment: [DeploymentMetric; 3] = [
        (
            ("deployment_ready", "gauge", "1 if the host is as the deployment left it."),
            |deployment| truth(Conditions::of(deployment).ready),
        ),
        (("deployment_held", "gauge", "1 if a process holds the deployment."), |deployment| {
            truth(deployment.holder.is_some())
        }),
        (
            (
                "deployment_generation",
                "gauge",
                "How many applies of the deployment have succeeded.",
            ),
            |deployment| number(deployment.inventory.generation),
        ),
    ];
    for (metric, value) in of_deployment {
        let samples = deployments.iter().map(|one| (labels(one, &[]), value(one)));
        write_metric(&mut text, metric, samples);
    }
    let in_sync = ("resource_in_sync", "gauge", "1 if a map, program or link is as it was left.");
    let samples = deployments.iter().flat_map(|deployment| {
        deployment.resources.iter().map(move |resource| {
            let labels = labels(
                deployment,
                &[("kind", resource.kind), ("resource", resource.address.as_str())],
            );
            (labels, truth(!resource.has_drifted()))
        })
    });
    write_metric(&mut text, in_sync, samples);
    let link_info = ("link_info", "gauge", "Where a program is attached; always 1.");
    let samples = deployments.iter().flat_map(|deployment| {
        deployment.resources.iter().filter_map(move |resource| {
            let place = attachment(resource, deployment)?;
            let more = [
                ("resource", resource.address.as_str()),
                ("hook", place.hook()),
                ("target", &place.target().join(":")),
            ];
            Some((labels(deployment, &more), 1.0))
        })
    });
    write_metric(&mut text, link_info, samples);
    for (kind, metric, value) in USAGE {
        let samples = deployments.iter().flat_map(|deployment| {
            deployment.usage.iter().filter_map(move |(address, usage)| {
                let name = name(address, kind)?;
                Some((labels(deployment, &[(kind, name)]), value(usage)?))
            })
        });
        write_metric(&mut text, *metric, samples);
    }
    text
}

/// `fw.flows` of `map.fw.flows`, if the address is of that kind.
fn name<'a>(address: &'a Address, kind: &str) -> Option<&'a str> {
    address.as_str().strip_prefix(kind)?.strip_prefix('.')
}

/// A metric with its samples; nothing if there is none.
fn write_metric(
    text: &mut String,
    (name, kind, help): Metric,
    samples: impl Iterator<Item = (String, f64)>,
) {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return;
    }
    let _ = writeln!(text, "# HELP ebpf_apply_{name} {help}\n# TYPE ebpf_apply_{name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(text, "ebpf_apply_{name}{labels} {value}");
    }
}

fn labels(deployment: &DeploymentStatus, more: &[(&str, &str)]) -> String {
    let mut text = format!("{{deployment=\"{}\"", deployment.inventory.name);
    for (label, value) in more {
        // What the format wants escaped.
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, ",{label}=\"{}\"", printable(&value));
    }
    text.push('}');
    text
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Prometheus knows no other numbers: beyond 2^53 the last digits are lost.
#[expect(clippy::cast_precision_loss, reason = "samples are floating-point numbers")]
fn number(count: u64) -> f64 {
    count as f64
}
