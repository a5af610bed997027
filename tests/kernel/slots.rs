//! Initialised slots from manifest to kernel, over reloads.

use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot, SubPath};

use crate::layer::running::{output, run, slot};
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

const ROOT: &str = "/sys/fs/bpf/slots";

fn manifest(settings: &str) -> String {
    format!(
        "version = 1\nname = \"slots\"\npin-root = \"{ROOT}\"\n\n[objects.it]\npath = \"{}\"\n{settings}",
        object("initial_slots").display()
    )
}

/// What is pinned below the root.
fn pinned(path: &PinPath) -> Handle {
    let root = PinRoot::new(ROOT.as_ref()).expect("a legal root");
    let found = Linux::new().open(&root, path).expect("open").expect("something is pinned");
    found.handle.expect("it can be opened")
}

fn jumps() -> Handle {
    pinned(&PinPath::public(&SubPath::default(), "jumps"))
}

fn program(name: &str) -> Handle {
    let [deployment, object] = ["slots", "it"].map(|name| Name::new(name).expect("a legal name"));
    pinned(&PinPath::program(&deployment, &object, name))
}

fn ids(array: &Handle) -> Vec<Option<u32>> {
    (0..4).map(|index| slot(array, index)).collect()
}

fn id(handle: &Handle) -> u32 {
    Linux::new().id(handle)
}

/// What the slots hold when they are as in the object.
fn initial() -> [Option<u32>; 4] {
    [Some(id(&program("first"))), None, Some(id(&program("third"))), None]
}

#[test]
fn are_filled_and_a_live_prog_array_is_replaced_as_a_whole() {
    Sandbox::run(|_| {
        let tool = Program::new();
        let file = tool.manifest("slots.toml", &manifest(""));
        tool.run(&["apply", &file, "--detach"]).status(0);
        let old = jumps();
        let before = ids(&old);
        assert_eq!(before, initial());
        // `entry` jumps to `first`, that to `third`, and they count by way of maps in maps.
        assert_eq!(run(&program("entry"), &[0; 64]), 1, "XDP_DROP");

        tool.run(&["apply", &file, "--detach"]).status(0);
        assert_eq!(id(&jumps()), id(&old), "nothing changed");

        std::fs::remove_file(format!("{ROOT}/~progs/slots/it:entry")).expect("unpin");
        tool.run(&["apply", &file, "--detach"]).status(0);
        let new = jumps();
        assert_ne!(id(&new), id(&old), "a fresh array is pinned");
        assert_eq!(ids(&new), initial());
        assert_eq!(ids(&old), before, "the live one was not touched");

        tool.run(&["destroy", &file]).status(0);
        assert!(!std::path::Path::new(ROOT).exists());
    });
}

#[test]
fn of_someone_elses_array_are_not_filled() {
    Sandbox::run(|_| {
        let tool = Program::new();
        output("mkdir", &[ROOT]);
        output(
            "bpftool",
            &[
                "map",
                "create",
                &format!("{ROOT}/jumps"),
                "type",
                "prog_array",
                "key",
                "4",
                "value",
                "4",
                "entries",
                "4",
                "name",
                "jumps",
            ],
        );
        let file = tool.manifest("slots.toml", &manifest(""));
        tool.run(&["apply", &file, "--detach"]).status(1).complains("prog array");
        let external = manifest("\n[objects.it.maps.jumps]\nexternal = true\n");
        let file = tool.manifest("slots.toml", &external);
        tool.run(&["apply", &file, "--detach"]).status(0);
        assert_eq!(ids(&jumps()), [None; 4], "its owner fills it");
    });
}
