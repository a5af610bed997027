//! Programs that replace functions of others.

use std::path::Path;

use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot};

use crate::features::{PROGRAMS_AT_FUNCTIONS, REPLACED_PROGRAMS_TOLD, goes_without, lacks};
use crate::host;
use crate::layer::running::{eventually, output, run};
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

/// A replaceable program on an interface, and what replaces its function.
fn manifest(program: &Program, replacement: Option<&str>) -> String {
    let mut text = format!(
        "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n\
         [objects.main]\npath = \"{}\"\n\n\
         [objects.main.programs.dispatch]\nattach = [{{ hook = \"xdp\", interface = \"veth0\", mode = \"generic\" }}]\n",
        object("replaceable").display()
    );
    if let Some(replacement) = replacement {
        // Before the program it is for: the order in the manifest means nothing.
        let entry = format!(
            "[objects.extra]\npath = \"{}\"\n\n\
             [objects.extra.programs.instead]\nattach = [{{ hook = \"freplace\", program = \"main.dispatch\" }}]\n\n",
            object(replacement).display()
        );
        text = text.replace("[objects.main]\n", &format!("{entry}[objects.main]\n"));
    }
    program.manifest("edge.toml", &text)
}

/// What the program that is attached returns, and its id.
fn verdict() -> (u32, u32) {
    let kernel = Linux::new();
    let root = PinRoot::new("/sys/fs/bpf/edge".as_ref()).expect("a legal root");
    let name = |name| Name::new(name).expect("a legal name");
    let pin = PinPath::program(&name("edge"), &name("main"), "dispatch");
    let found = kernel.open(&root, &pin).expect("open").expect("it is pinned");
    let handle = found.handle.expect("it can be opened");
    (run(&handle, &[0; 64]), kernel.id(&handle))
}

#[test]
fn a_function_is_replaced_and_given_back() {
    const DROP: u32 = 1;
    const PASS: u32 = 2;
    const TX: u32 = 3;
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let program = Program::new();
        let file = manifest(&program, None);
        program.run(&["apply", &file, "--detach"]).status(0);
        let (answer, main) = verdict();
        assert_eq!(answer, PASS);

        // What is loaded already can be given a replacement as it is.
        manifest(&program, Some("replacement"));
        program.run(&["apply", &file, "--detach"]).status(0);
        assert_eq!(verdict(), (DROP, main));
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        // Another replacement comes with the program that it is for, swapped as one.
        manifest(&program, Some("replacement_other"));
        let plan = program.run(&["plan", &file, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("which replaces a function, changes"), "{}", plan.out);
        program.run(&["apply", &file, "--detach"]).status(0);
        let (answer, swapped) = verdict();
        assert_eq!(answer, TX);
        assert_ne!(swapped, main);
        assert_eq!(host::attached("veth0")["xdp"], [u64::from(swapped)]);
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        // A link that somebody removed is made again, which takes a fresh program.
        let link = "/sys/fs/bpf/edge/~links/edge";
        let entries = std::fs::read_dir(link).expect("a directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let ours = paths.filter(|path| path.to_string_lossy().contains("freplace"));
        for path in ours.collect::<Vec<_>>() {
            std::fs::remove_file(path).expect("a pin");
        }
        // Older kernels let go of a link a little after its last pin.
        eventually("without its link nothing is replaced", || verdict().0 == PASS);
        program.run(&["apply", &file, "--detach"]).status(0);
        assert_eq!(verdict(), (TX, swapped));

        // Without the replacement the program has its own function again.
        manifest(&program, None);
        program.run(&["apply", &file, "--detach"]).status(0);
        eventually("its function is its own", || verdict() == (PASS, swapped));
        program.run(&["destroy", &file]).status(0);
        assert!(host::tree().is_empty(), "{:?}", host::tree());
    });
}

/// Where somebody else pins the program whose function is replaced.
const THEIRS: &str = "/sys/fs/bpf/theirs";

/// Loads the replaceable program as someone else does.
fn load_theirs() {
    let replaceable = object("replaceable");
    output("bpftool", &["prog", "load", replaceable.to_str().expect("a path"), THEIRS]);
}

/// What someone else's program returns, and its id.
fn their_verdict() -> (u32, u32) {
    let kernel = Linux::new();
    let handle = kernel.open_pinned(Path::new(THEIRS)).expect("it is pinned");
    (run(&handle, &[0; 64]), kernel.id(&handle))
}

/// A manifest that replaces a function of someone else's program, with more options after it.
fn for_theirs(program: &Program, replacement: &str, options: &str) -> String {
    let text = format!(
        "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n\
         [objects.extra]\npath = \"{}\"\n\n\
         [objects.extra.programs.instead]\nattach = [{{ hook = \"freplace\", program = \"{THEIRS}\"{options} }}]\n",
        object(replacement).display()
    );
    program.manifest("edge.toml", &text)
}

#[test]
fn a_function_of_a_pinned_program_is_replaced_and_given_back() {
    const DROP: u32 = 1;
    const PASS: u32 = 2;
    const TX: u32 = 3;
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|_| {
        let program = Program::new();
        let file = for_theirs(&program, "replacement", "");
        let said = program.run(&["apply", &file, "--detach"]).status(1);
        assert!(said.err.contains("nothing is pinned there"), "{}", said.err);
        assert!(host::tree().is_empty(), "{:?}", host::tree());

        load_theirs();
        program.run(&["apply", &file, "--detach"]).status(0);
        let (answer, theirs) = their_verdict();
        assert_eq!(answer, DROP);
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        // Their program stays as it is, so the old replacement goes first.
        for_theirs(&program, "replacement_other", "");
        let plan = program.run(&["plan", &file, "--detailed-exitcode"]).status(2);
        assert!(plan.out.contains("in between"), "{}", plan.out);
        program.run(&["apply", &file, "--detach"]).status(0);
        assert_eq!(their_verdict(), (TX, theirs));
        program.run(&["plan", &file, "--detailed-exitcode"]).status(0);

        // What the verifier refuses leaves the one that is there.
        for_theirs(&program, "replacement_misfit", "");
        let said = program.run(&["apply", &file, "--detach"]).status(1);
        assert!(said.err.contains("args"), "{}", said.err);
        assert_eq!(their_verdict(), (TX, theirs));

        // A link that somebody removed is made again.
        for_theirs(&program, "replacement_other", "");
        let links = std::fs::read_dir("/sys/fs/bpf/edge/~links/edge").expect("a directory");
        for link in links {
            std::fs::remove_file(link.expect("an entry").path()).expect("a pin");
        }
        eventually("without its link nothing is replaced", || their_verdict().0 == PASS);
        let said = program.run(&["status", &file]).status(0);
        assert!(said.out.contains("missing"), "{}", said.out);
        program.run(&["apply", &file, "--detach"]).status(0);
        assert_eq!(their_verdict(), (TX, theirs));

        // Its owner loads it anew.
        if !goes_without(REPLACED_PROGRAMS_TOLD) {
            std::fs::remove_file(THEIRS).expect("a pin");
            load_theirs();
            assert_eq!(their_verdict().0, PASS);
            let plan = program.run(&["plan", &file, "--detailed-exitcode"]).status(2);
            assert!(plan.out.contains("another program is pinned there now"), "{}", plan.out);
            program.run(&["apply", &file, "--detach"]).status(0);
            let (answer, anew) = their_verdict();
            assert_eq!(answer, TX);
            assert_ne!(anew, theirs);
            program.run(&["plan", &file, "--detailed-exitcode"]).status(0);
        }

        program.run(&["destroy", &file]).status(0);
        eventually("theirs has its own function again", || their_verdict().0 == PASS);
        assert_eq!(host::tree(), [Path::new(THEIRS)]);
    });
}

#[test]
fn what_cannot_be_replaced_in_a_pinned_program_is_named() {
    if lacks(&[PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|_| {
        load_theirs();
        let program = Program::new();
        for (options, why) in [
            (", function = \"verdicts\"", "no function `verdicts`; it has `dispatch`, `verdict`"),
            (", function = \"concealed\"", "`concealed` is static or hidden"),
        ] {
            let file = for_theirs(&program, "replacement", options);
            let said = program.run(&["apply", &file, "--detach"]).status(1);
            assert!(said.err.contains(why), "{}", said.err);
        }
        let file = for_theirs(&program, "replacement", "");
        std::fs::remove_file(THEIRS).expect("a pin");
        let map =
            ["map", "create", THEIRS, "type", "array", "key", "4", "value", "4", "entries", "1"];
        output("bpftool", &[&map[..], &["name", "theirs"]].concat());
        let said = program.run(&["apply", &file, "--detach"]).status(1);
        assert!(said.err.contains("not a program"), "{}", said.err);
        std::fs::remove_file(THEIRS).expect("a pin");
        std::fs::create_dir(THEIRS).expect("a directory");
        let said = program.run(&["apply", &file, "--detach"]).status(1);
        assert!(said.err.contains("it is a directory, not a program"), "{}", said.err);
        assert_eq!(host::tree(), [Path::new(THEIRS)]);
    });
}
