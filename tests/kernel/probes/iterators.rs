//! Iterators: their pins are files to be read.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{apply, destroy, manifest};
use crate::features::{LIMITED_ITERATORS, MAP_ITERATORS, RESIZABLE_HASHES, lacks};
use crate::host;
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

const TASKS: &str = "/sys/fs/bpf/edge/show_task";

#[test]
fn the_pin_of_an_iterator_can_be_read() {
    Sandbox::run(|_| {
        let program = Program::new();
        let rest = |policy: &str, attach: &str| {
            format!(
                "[objects.probes.programs.show_task]\npin = \"{policy}\"\n\
                 attach = [{{ hook = \"{attach}\" }}]\n"
            )
        };
        let file = manifest(&program, "iterators", &rest("by-name", "section"));
        apply(&program, &file);
        let this = format!("task {}\n", std::process::id());
        let shown = fs::read_to_string(TASKS).expect("it can be read");
        assert!(shown.contains(&this), "{shown}");

        // The pin that users read is made again when somebody removes it.
        fs::remove_file(TASKS).expect("a pin");
        program.run(&["plan", &file, "--detailed-exitcode"]).status(2);
        let status = program.run(&["status", &file]);
        assert!(status.out.contains("show_task is gone"), "{}", status.out);
        apply(&program, &file);
        assert!(fs::read_to_string(TASKS).expect("it can be read").contains(&this));

        // One that persists outlives the deployment, and the next one takes its place.
        manifest(&program, "iterators", &rest("persist-on-exit", "iter"));
        apply(&program, &file);
        program.run(&["destroy", &file]).status(0);
        assert!(fs::read_to_string(TASKS).expect("it can be read").contains(&this));
        apply(&program, &file);
        program.run(&["destroy", &file, "--purge"]).status(0);
        assert!(host::tree().is_empty(), "{:?}", host::tree());
    });
}

#[test]
fn an_iterator_shows_the_entries_of_a_map() {
    if lacks(&[MAP_ITERATORS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let rest = |max: u32| {
            format!(
                "[objects.probes.maps.shown]\non-mismatch = \"replace\"\nmax-entries = {max}\n\
                 [objects.probes.programs.show_entry]\npin = \"by-name\"\n\
                 attach = [{{ hook = \"iter\", map = \"probes.shown\" }}]\n"
            )
        };
        let file = manifest(&program, "iterators", &rest(16));
        apply(&program, &file);
        let pin = Path::new("/sys/fs/bpf/edge/show_entry");
        let read = || fs::read_to_string(pin).expect("it can be read");
        assert_eq!(read(), "");
        let insert = |key: u32, value: u64| {
            let mut map = host::hash_map::<u32, u64>("/sys/fs/bpf/edge/shown");
            map.insert(key, value, 0).expect("there is room");
        };
        insert(3, 5);
        assert_eq!(read(), "3 is 5\n");

        // A map that takes the place of another is what is shown from then on.
        manifest(&program, "iterators", &rest(32));
        apply(&program, &file);
        assert_eq!(read(), "");
        insert(4, 6);
        assert_eq!(read(), "4 is 6\n");
        destroy(&program, &file);
    });
}

#[test]
fn an_iterator_shows_the_entries_of_a_table_that_resizes() {
    if lacks(&[MAP_ITERATORS, RESIZABLE_HASHES]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let rest = format!(
            "[objects.probes.programs.show_entry]\npin = \"by-name\"\n\
             attach = [{{ hook = \"iter\", map = \"tables.by_key_late\" }}]\n\
             [objects.tables]\npath = \"{}\"\n",
            object("resizable").display()
        );
        let file = manifest(&program, "iterators", &rest);
        apply(&program, &file);
        let map = "map update pinned /sys/fs/bpf/edge/by_key_late";
        let entry = "key 3 0 0 0 value 5 0 0 0 0 0 0 0";
        host::bpftool(&format!("{map} {entry}").split(' ').collect::<Vec<_>>());
        let shown = fs::read_to_string("/sys/fs/bpf/edge/show_entry").expect("it can be read");
        assert_eq!(shown, "3 is 5\n");
        destroy(&program, &file);
    });
}

#[test]
fn an_iterator_is_limited_to_a_task_or_a_cgroup() {
    if lacks(&[LIMITED_ITERATORS]) {
        return;
    }
    Sandbox::run(|sandbox| {
        let program = Program::new();
        let attach = |name: &str, options: &str| {
            format!(
                "[objects.probes.programs.{name}]\npin = \"by-name\"\nattach = [{{ hook = \"iter\", {options} }}]\n"
            )
        };
        let one = std::process::id();
        let inner = sandbox.cgroup().join("inner");
        fs::create_dir(&inner).expect("a cgroup");
        let cgroup = sandbox.cgroup().display().to_string();
        let rest = attach("show_task", &format!("task = {one}"))
            + &attach("show_cgroup", &format!("cgroup = \"{cgroup}\""));
        let file = manifest(&program, "iterators", &rest);
        apply(&program, &file);
        assert_eq!(fs::read_to_string(TASKS).expect("it can be read"), format!("task {one}\n"));
        let ids = [sandbox.cgroup(), &inner]
            .map(|cgroup| fs::metadata(cgroup).expect("it is there").ino());
        let shown = fs::read_to_string("/sys/fs/bpf/edge/show_cgroup").expect("it can be read");
        assert_eq!(shown, ids.map(|id| format!("cgroup {id}\n")).concat());
        destroy(&program, &file);
        fs::remove_dir(&inner).expect("nothing holds it");
    });
}

#[test]
fn options_that_an_iterator_does_not_take_are_told() {
    Sandbox::run(|_| {
        let program = Program::new();
        let refused = |rest: &str, why: &str| {
            let file = manifest(&program, "iterators", rest);
            let said = program.run(&["validate", &file]).status(3);
            assert!((said.out.clone() + &said.err).contains(why), "{said:?}");
        };
        let entry = "[objects.probes.programs.show_entry]\nattach = [{ hook = \"iter\"";
        refused(&format!("{entry} }}]"), "needs the option `map`");
        refused(&format!("{entry}, map = \"probes.nonesuch\" }}]"), "has no map `nonesuch`");
        refused(&format!("{entry}, map = \"probes.shown\", task = 1 }}]"), "does not take `task`");
    });
}
