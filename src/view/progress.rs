//! What a run is at, and what is waited for, each in one line.

use crate::apply::{Lock, Locker, Progress};
use crate::model::attach::Attachment;
use crate::model::pattern;

use super::printable;

/// What a run is at, without a line break; `None` if at nothing that lasts.
#[must_use]
pub fn at(progress: &Progress<'_>) -> Option<String> {
    let text = match progress {
        Progress::Done => return None,
        Progress::Lock { lock, locker } => {
            let lock = match lock {
                Lock::Deployment(name) => format!("deployment `{name}`"),
                Lock::PinRoot(root) => format!("pin root {}", root.display()),
            };
            let locker = locker.map_or("a process that cannot be seen".into(), Locker::to_string);
            format!("waiting for the lock of {lock}, held by {locker}")
        }
        Progress::Programs { loaded, of } => format!("loading programs: {loaded} of {of}"),
        Progress::Entries { map, pass } => {
            let doing =
                if pass.again { "looking for late writes to" } else { "copying entries to" };
            // Not every map can tell how many it has.
            format!("{doing} {map}: {} of at most {}", pass.entries, pass.most)
        }
    };
    Some(printable(&text).into_owned())
}

/// What a held deployment waits for, without a line break; `None` if for nothing.
#[must_use]
pub fn waits<'a>(missing: impl Iterator<Item = &'a Attachment>) -> Option<String> {
    let mut targets: Vec<String> = missing.map(target).collect();
    // One for which several programs wait is one.
    targets.sort();
    targets.dedup();
    let text = format!("waiting for {}", targets.join(", "));
    (!targets.is_empty()).then(|| printable(&text).into_owned())
}

fn target(attachment: &Attachment) -> String {
    match (attachment.interface(), attachment.path()) {
        (Some(pattern::PHYSICAL), _) => "a physical interface".to_owned(),
        (Some(name), _) if pattern::is_pattern(name) => format!("an interface like `{name}`"),
        (Some(name), _) => format!("interface `{name}`"),
        (_, Some(path)) => path.display().to_string(),
        _ => attachment.to_string(),
    }
}

/// As much of a line as that many columns of a terminal have room for.
///
/// What is not ASCII counts as two columns: some of it is that wide, and a line that is too short does
/// less harm than one that is broken, of which only the end could be taken back.
#[must_use]
pub fn fitted(line: &str, columns: usize) -> String {
    let width = |c: char| if c.is_ascii() { 1 } else { 2 };
    if line.chars().map(width).sum::<usize>() <= columns {
        return line.to_owned();
    }
    let mut room = columns.saturating_sub(width('…'));
    let mut fits = |c: &char| {
        let left = room.checked_sub(width(*c));
        room = left.unwrap_or_default();
        left.is_some()
    };
    let mut cut: String = line.chars().take_while(&mut fits).collect();
    if columns >= width('…') {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::kernel::Pass;
    use crate::model::address::Address;
    use crate::model::attach::XdpMode;
    use crate::model::name::Name;
    use crate::plan::Slot;

    #[test]
    fn each_kind_of_work_has_its_line() {
        let name = Name::new("edge").expect("a legal name");
        let locker = Locker {
            pid: 123,
            command: Some("ebpf-apply \x1b[2J\u{202e}edge.toml".to_owned()),
            running: Some(Duration::from_secs(65)),
        };
        let root = Path::new("/sys/fs/bpf/edge");
        let map = Slot::New(Address::map(&name, "fl\x07ows"));
        let pass = |again| Pass { again, entries: 120_000, most: 1_000_000 };
        let cases = [
            (Progress::Done, None),
            (Progress::Programs { loaded: 12, of: 40 }, Some("loading programs: 12 of 40")),
            (
                Progress::Entries { map: &map, pass: pass(false) },
                Some("copying entries to map.edge.fl�ows: 120000 of at most 1000000"),
            ),
            (
                Progress::Entries { map: &map, pass: pass(true) },
                Some("looking for late writes to map.edge.fl�ows: 120000 of at most 1000000"),
            ),
            (
                Progress::Lock { lock: Lock::Deployment(&name), locker: Some(&locker) },
                Some(
                    "waiting for the lock of deployment `edge`, held by pid 123 (`ebpf-apply \
                     �[2J�edge.toml`, running for 1 min 5 s)",
                ),
            ),
            (
                Progress::Lock { lock: Lock::PinRoot(root), locker: None },
                Some(
                    "waiting for the lock of pin root /sys/fs/bpf/edge, held by a process that \
                     cannot be seen",
                ),
            ),
        ];
        for (progress, line) in cases {
            assert_eq!(at(&progress).as_deref(), line);
        }
    }

    #[test]
    fn what_is_waited_for_is_named_once() {
        let xdp = |interface: &str| Attachment::Xdp {
            interface: interface.to_owned(),
            mode: XdpMode::Auto,
        };
        let cgroup = Attachment::Cgroup { path: "/sys/fs/cgroup/a\nb".into() };
        let missing = [xdp("late0"), cgroup, xdp("late0"), xdp("eth*"), xdp(":physical")];
        assert_eq!(
            waits(missing.iter()).as_deref(),
            Some(
                "waiting for /sys/fs/cgroup/a�b, a physical interface, an interface like `eth*`, \
                 interface `late0`"
            )
        );
        assert_eq!(waits([].iter()), None);
    }

    #[test]
    fn a_line_is_never_wider_than_its_terminal() {
        assert_eq!(fitted("loading", 7), "loading");
        assert_eq!(fitted("loading", 6), "load…");
        assert_eq!(fitted("流流流", 6), "流流流");
        assert_eq!(fitted("流流流", 5), "流…");
        assert_eq!([fitted("loading", 2), fitted("loading", 1)], ["…", ""]);
    }
}
