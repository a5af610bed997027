//! Programs that a map of sockets keeps by itself, as before Linux 6.10, which has links for it. Later
//! kernels are taken for older ones.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aya::maps::{Array, Map, MapData};
use ebpf_apply::apply::{Applied, ApplyError, Host, StateDirectory};
use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::kernel::{Kernel as _, LoadRequest};
use ebpf_apply::model::kinds::AttachType;
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot, SubPath};
use ebpf_apply::model::socket_hook::Kept;
use ebpf_apply::plan::{Action, Change, ResourceState};
use ebpf_apply::validate::{Desired, validate};
use tempfile::TempDir;

use super::sockmap::{connection_in, pass, sockets};
use super::{SK_MSG, text};
use crate::features::{SOCKET_VERDICTS, SOCKMAPS, TOLD_SOCKMAPS, goes_without, lacks};
use crate::host::tree;
use crate::program::{Program, steps_to_kill_at};
use crate::sandbox::Sandbox;
use crate::support::object;

const LINK: &str = "link.hooks.on_msg[sockmap:hooks.sockets]";
const PERSISTING: &str = "[objects.hooks.maps.sockets]\npin = \"persist-on-exit\"\n";

fn attach(programs: &[&str]) -> String {
    let entry = |program: &&str| {
        format!(
            "[objects.hooks.programs.{program}]\nattach = [{{ hook = \"sockmap\", map = \
             \"hooks.sockets\" }}]\n"
        )
    };
    programs.iter().map(entry).collect()
}

/// A host whose kernel has no links to maps of sockets.
struct Older {
    kernel: Linux,
    state: StateDirectory,
    directory: TempDir,
}

impl Older {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::copy(object("net_hooks"), directory.path().join("hooks.bpf.o")).expect("a copy");
        let state = directory.path().join("state");
        fs::DirBuilder::new().mode(0o700).create(&state).expect("a directory");
        let kernel = Linux::new().without_socket_links();
        Self { kernel, state: StateDirectory::new(state), directory }
    }

    fn host(&self) -> Host<'_, Linux> {
        Host::new(&self.kernel, &self.state, Duration::from_secs(10))
    }

    fn desired(&self, text: &str) -> Desired {
        let path = self.directory.path().join("hooks.toml");
        let checked = validate(&path, text, &|path: &Path| fs::read(path));
        checked.desired.unwrap_or_else(|| panic!("{:#?}", checked.problems))
    }

    fn apply(&self, text: &str) -> Result<Applied, ApplyError> {
        self.host().apply(&self.desired(text), &mut |_| {})
    }

    #[track_caller]
    fn is_settled(&self, text: &str) {
        let plan = self.host().plan(&self.desired(text)).expect("observable");
        assert!(plan.is_unchanged(), "{:#?}", plan.changes);
    }

    fn end(&self) {
        let name = Name::new("hooks").expect("a legal name");
        self.host().end(&name, None, false, &mut |_| {}).expect("ends");
    }

    /// The map as it is pinned.
    fn sockets(&self) -> Handle {
        let root = PinRoot::new(Path::new("/sys/fs/bpf/hooks")).expect("a legal root");
        let pin = PinPath::public(&SubPath::default(), "sockets");
        let found = self.kernel.open(&root, &pin).expect("readable").expect("it is pinned");
        found.handle.expect("it is a map")
    }

    /// A program of someone else's.
    fn stranger(&self) -> Handle {
        let desired = self.desired(&text(&attach(&["on_msg"]), 1));
        let [object] = desired.objects.as_slice() else { panic!("it is one") };
        let image = &object.image;
        let maps: Vec<(&str, Handle)> = image
            .spec
            .maps
            .iter()
            .map(|map| {
                (map.name.as_str(), self.kernel.create_map(image, map, None).expect("a map"))
            })
            .collect();
        let request = LoadRequest {
            image,
            programs: vec![image.spec.program("on_msg").expect("the object has it")],
            maps: maps.iter().map(|(name, map)| (*name, map)).collect::<BTreeMap<_, _>>(),
            btf: None,
        };
        let loaded = self.kernel.load_programs(&[request]).expect("loads").remove(0);
        loaded.into_values().next().expect("one was asked for")
    }
}

fn hits() -> Array<MapData, u64> {
    let map = MapData::from_pin("/sys/fs/bpf/hooks/hits").expect("a pin");
    Map::from_map_data(map).expect("a map").try_into().expect("an array of numbers")
}

/// What a message through a socket that is put into the map now adds to the count of messages.
fn counted(hits: &Array<MapData, u64>) -> u64 {
    let count = || hits.get(&SK_MSG, 0).expect("a number");
    let before = count();
    let (mut one, mut other) = connection_in(&mut sockets());
    pass(&mut one, &mut other);
    count() - before
}

fn said<'p>(changes: &'p [Change], address: &str) -> &'p Change {
    changes.iter().find(|change| change.address.as_str() == address).expect("it is planned")
}

#[test]
fn it_runs_what_is_attached_and_takes_another_in_one_step() {
    if lacks(&[SOCKMAPS]) {
        return;
    }
    Sandbox::run(|_| {
        let older = Older::new();
        let manifest =
            |generation| text(&format!("{PERSISTING}{}", attach(&["on_msg"])), generation);
        let done = older.apply(&manifest(1)).expect("applies");
        let link = said(&done.plan.changes, LINK);
        assert_eq!(link.action, Action::Create);
        assert!(link.reason.contains("Linux has links to maps of sockets since 6.10"), "{link:?}");
        older.is_settled(&manifest(1));
        assert!(tree().iter().all(|path| !path.starts_with("/sys/fs/bpf/hooks/~links")));
        let name = Name::new("hooks").expect("a legal name");
        let status = older.host().status(Some(&name)).expect("readable");
        let found = status[0].resources.iter().find(|found| found.address.as_str() == LINK);
        let wanted = match older.kernel.kept(&older.sockets(), AttachType::SK_MSG_VERDICT) {
            Ok(Kept::Untold) => ResourceState::Unknown,
            _ => ResourceState::InSync,
        };
        assert_eq!(found.expect("it is on record").state, wanted);
        let hits = hits();
        assert_eq!(counted(&hits), 1);

        let done = older.apply(&manifest(10)).expect("applies");
        let link = said(&done.plan.changes, LINK);
        assert!(link.reason.contains("swapped atomically"), "{link:?}");
        assert_eq!(counted(&hits), 10);
        older.is_settled(&manifest(10));

        older.end();
        assert_eq!(counted(&hits), 0, "the map persists, and keeps nothing");
        older.apply(&manifest(1)).expect("it is the deployment's own");
        assert_eq!(counted(&self::hits()), 1);
        older.end();
    });
}

#[test]
fn what_someone_else_attached_is_refused_by_name() {
    if lacks(&[SOCKMAPS, TOLD_SOCKMAPS]) {
        return;
    }
    Sandbox::run(|_| {
        let older = Older::new();
        let manifest = text(&format!("{PERSISTING}{}", attach(&["on_msg"])), 1);
        older.apply(&manifest).expect("applies");
        older.end();
        let (map, foreign) = (older.sockets(), older.stranger());
        older.kernel.keep(&map, AttachType::SK_MSG_VERDICT, &foreign, None).expect("it is free");
        let Err(ApplyError::Refused(plan)) = older.apply(&manifest) else {
            panic!("somebody is there")
        };
        let reason = &said(&plan.changes, LINK).reason;
        assert!(reason.contains("(`on_msg`)"), "{reason}");
        let id = older.kernel.id(&foreign);
        let there = Kept::Program { id, name: "on_msg".to_owned() };
        assert_eq!(older.kernel.kept(&map, AttachType::SK_MSG_VERDICT), Ok(there));

        let command = reason.split('`').find(|part| part.starts_with("bpftool")).expect("a way");
        let freed = Command::new("sh").args(["-ec", command]).status().expect("a shell");
        assert!(freed.success(), "{command}");
        older.apply(&manifest).expect("it is free");
        assert_eq!(counted(&hits()), 1);
        older.end();
    });
}

#[test]
fn of_a_map_of_someone_else_it_must_be_known_what_is_attached() {
    if lacks(&[SOCKMAPS]) {
        return;
    }
    Sandbox::run(|_| {
        let older = Older::new();
        let manifest = text(&attach(&["on_msg"]), 1);
        let desired = older.desired(&manifest);
        let image = &desired.objects[0].image;
        let spec = image.spec.maps.iter().find(|map| map.name == "sockets").expect("a map");
        let map = older.kernel.create_map(image, spec, None).expect("a map");
        older.kernel.make_root(&desired.pin_root).expect("a root");
        let pin = PinPath::public(&SubPath::default(), "sockets");
        older.kernel.pin(&map, &desired.pin_root, &pin).expect("a pin");
        if goes_without(TOLD_SOCKMAPS) {
            let Err(ApplyError::Refused(plan)) = older.apply(&manifest) else {
                panic!("somebody may be there")
            };
            let reason = &said(&plan.changes, LINK).reason;
            assert!(reason.contains("before Linux 5.18"), "{reason}");
            return;
        }
        older.apply(&manifest).expect("nobody is there");
        let hits = hits();
        assert_eq!(counted(&hits), 1);
        older.end();
        assert_eq!(counted(&hits), 0, "the map stays, and keeps nothing of this deployment");
    });
}

#[test]
fn a_map_has_one_of_two_kinds_of_verdicts() {
    if lacks(&[SOCKMAPS, SOCKET_VERDICTS]) {
        return;
    }
    Sandbox::run(|_| {
        let older = Older::new();
        let [before, after] = [["on_parse", "on_stream"].as_slice(), &["on_verdict"]]
            .map(|programs| text(&attach(programs), 1));
        older.apply(&before).expect("applies");
        older.apply(&after).expect("what is there goes first");
        older.is_settled(&after);
        older.apply(&before).expect("and back");
        older.is_settled(&before);
        older.end();
        assert_eq!(tree(), Vec::<std::path::PathBuf>::new());
    });
}

/// Kills a reload at each of its steps; it is run again, or the deployment is ended. Whatever the kernel
/// has: links, or maps that keep programs, and tells of them or not.
#[test]
fn a_reload_killed_at_any_step_is_made_good() {
    if lacks(&[SOCKMAPS]) {
        return;
    }
    Sandbox::run(|_| {
        let attach = format!("{PERSISTING}{}", attach(&["on_msg", "on_parse", "on_stream"]));
        for n in steps_to_kill_at(3) {
            let program = Program::new();
            let copy = program.directory().join("hooks.bpf.o");
            fs::copy(object("net_hooks"), copy).expect("a copy");
            let manifest = program.manifest("hooks.toml", &text(&attach, 1));
            program.run(&["apply", &manifest, "--detach"]).status(0);
            let hits = hits();
            assert_eq!(counted(&hits), 1, "step {n}");
            program.manifest("hooks.toml", &text(&attach, 10));
            let reload = ["apply", &manifest, "--detach"];
            let mut command = program.command(&reload);
            let output =
                command.env("EBPF_APPLY_CRASH_AT", n.to_string()).output().expect("it starts");
            let killed = output.status.signal() == Some(libc::SIGKILL);
            assert!(killed || output.status.success(), "step {n}: {output:?}");
            if n % 2 == 0 || !killed {
                program.run(&reload).status(0);
                assert_eq!(counted(&hits), 10, "step {n}");
                program.run(&["plan", &manifest, "--detailed-exitcode"]).status(0);
            }
            program.run(&["destroy", &manifest]).status(0);
            assert_eq!(counted(&hits), 0, "step {n}: the map persists, and keeps nothing");
            program.run(&["destroy", &manifest, "--purge"]).status(0);
            assert_eq!(tree(), Vec::<std::path::PathBuf>::new(), "step {n}");
            if !killed {
                assert!(n > 10, "{n} steps are not worth a test");
                break;
            }
        }
    });
}
