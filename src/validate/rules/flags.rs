//! Maps with flags that no kernel known here has.

use crate::model::code;
use crate::model::map_flags::{MapFlags, unknown};
use crate::model::problem::Problem;
use crate::model::release::Release;
use crate::validate::desired::DesiredObject;
use crate::validate::findings::Findings;
use crate::validate::subject::Subject;

/// Looks at the maps that are created. A kernel to come may have the flags, so it is a warning unless
/// there is a `kernel` to be held against. `resolved` are what the `subjects` come to.
pub(in crate::validate) fn check(
    subjects: &[Subject<'_>],
    resolved: &[DesiredObject],
    kernel: Option<Release>,
    findings: &mut Findings<'_>,
) {
    for (subject, object) in subjects.iter().zip(resolved) {
        for map in object.maps.iter().filter(|map| !map.external) {
            let spec = &map.spec;
            let inner = spec.inner.as_ref().map_or(0, |inner| inner.shape.map_flags);
            let flags = unknown(spec.shape.map_flags) | unknown(inner);
            if flags == 0 {
                continue;
            }
            let (name, shown) = (&spec.name, MapFlags(flags));
            let has = format!("map `{name}` has the flags {shown}, which");
            let problem = if let Some(kernel) = kernel {
                let message = format!("{has} Linux {kernel} does not know");
                Problem::error(code::KERNEL_TOO_OLD, None, message)
            } else {
                let message = format!("{has} no kernel known here takes");
                Problem::warning(code::MAP_SHAPE_REFUSED, None, message)
                    .help("a kernel that does not know a flag refuses the map (EINVAL)")
            };
            findings.at(&subject.map_spot(name), problem);
        }
    }
}
