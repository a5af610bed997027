//! Maps that persist without what is in them.

use crate::model::code;
use crate::model::kinds::MapType;
use crate::model::map::MapSpec;
use crate::model::pin::PinPolicy;
use crate::model::problem::Problem;
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// `BPF_F_PRESERVE_ELEMS`: perf events stay in their array after the process that put them in.
const PRESERVE_ELEMS: u32 = 1 << 11;

/// Whether what `persist-on-exit` promises can be kept. That a prog array empties with its last pin
/// is no concern: it is pinned for as long as a program of the deployment is at work.
pub(in crate::validate) fn check(
    subject: &Subject<'_>,
    map: &MapSpec,
    policy: PinPolicy,
    findings: &mut Findings<'_>,
) {
    if policy != PinPolicy::PersistOnExit {
        return;
    }
    let Some(why) = lost(map) else { return };
    let message = format!("map `{}` stays pinned, but its contents do not stay", map.name);
    let problem = Problem::warning(code::CONTENTS_NOT_KEPT, None, message)
        .label(why)
        .help("`pin = \"by-name\"` unpins it when the deployment ends");
    findings.at_value(&subject.map(&map.name).key("pin"), problem);
}

fn lost(map: &MapSpec) -> Option<&'static str> {
    match map.shape.map_type {
        // `perf_event_fd_array_release` in `kernel/bpf/arraymap.c`.
        MapType::PERF_EVENT_ARRAY if map.shape.map_flags & PRESERVE_ELEMS == 0 => {
            Some("perf events leave with the process that put them in")
        }
        MapType::PROG_ARRAY if !map.slots.is_empty() => {
            Some("a fresh array takes its place each time its object is loaded")
        }
        _ => None,
    }
}
