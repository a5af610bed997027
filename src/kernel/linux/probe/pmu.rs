//! What `/sys` tells of the sources of events, and of CPUs and processes.

use std::fs;
use std::path::Path;

use crate::kernel::linux::sys::ProbeType;

const SOURCES: &str = "/sys/bus/event_source/devices";
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// How to ask for probes of that kind, `kprobe` or `uprobe`.
pub(super) fn probe_type(name: &str) -> Result<ProbeType, String> {
    let directory = Path::new(SOURCES).join(name);
    let number = fs::read_to_string(directory.join("type")).ok();
    let number = number.and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
        format!(
            "this kernel has no {name}s: {SOURCES}/{name} is missing (Linux has it since 4.17, built with \
             CONFIG_{}_EVENTS)",
            name.to_uppercase()
        )
    })?;
    // `config:0`
    let format = fs::read_to_string(directory.join("format/retprobe")).ok();
    let return_bit = format
        .and_then(|text| text.trim().strip_prefix("config:")?.parse().ok())
        .ok_or_else(|| format!("{SOURCES}/{name} does not say how returns are probed"))?;
    Ok(ProbeType { number, return_bit })
}

/// The CPUs that are online.
pub(super) fn online() -> Result<Vec<u32>, String> {
    let text = fs::read_to_string(ONLINE).map_err(|error| format!("{ONLINE}: {error}"))?;
    cpus(text.trim()).ok_or_else(|| format!("{ONLINE} is not understood: {text:?}"))
}

/// `0-3,8`.
fn cpus(text: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(all)
}

/// How much the kernel wants of who asks for events: above 2, on kernels that know it, `CAP_SYS_ADMIN`.
pub(super) fn paranoia() -> Option<i32> {
    fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?.trim().parse().ok()
}

/// Whether a process or thread with that id is there.
pub(super) fn is_running(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpus("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(cpus("0"), Some(vec![0]));
        assert_eq!(cpus("x"), None);
        assert!(online().is_ok_and(|cpus| cpus.contains(&0)));
    }

    #[test]
    fn processes() {
        assert!(is_running(std::process::id()));
        assert!(!is_running(u32::MAX));
    }
}
