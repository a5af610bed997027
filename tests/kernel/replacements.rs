//! Programs that replace functions of others.

use ebpf_apply::kernel::Kernel as _;
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::model::name::Name;
use ebpf_apply::model::pin::{PinPath, PinRoot};

use crate::features::{PROGRAMS_AT_FUNCTIONS, lacks};
use crate::host;
use crate::layer::running::{eventually, run};
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
        assert_eq!(verdict(), (PASS, swapped));
        program.run(&["destroy", &file]).status(0);
        assert!(host::tree().is_empty(), "{:?}", host::tree());
    });
}
