//! Manifests that must be signed: before each apply and each reload, and what a saved plan is worth then.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::host::tree;
use crate::minisign::Signer;
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

/// A deployment whose manifest someone signs.
struct Signed {
    program: Program,
    ours: Signer,
    manifest: String,
}

impl Signed {
    fn new() -> Self {
        let program = Program::new();
        let ours = Signer::new(program.directory(), "ours");
        fs::copy(object("shape_a"), program.directory().join("a.bpf.o")).expect("a copy");
        let manifest = program.directory().join("edge.toml").display().to_string();
        let it = Self { program, ours, manifest };
        it.write("");
        it
    }

    /// Writes the manifest with another end, and leaves the signature as it is.
    fn write(&self, end: &str) {
        let object = self.program.directory().join("a.bpf.o");
        let done = Command::new("sha256sum").arg(&object).output().expect("coreutils");
        let said = String::from_utf8(done.stdout).expect("UTF-8");
        let digest = said.split(' ').next().expect("a digest");
        let text = format!(
            "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.a]\npath = \
             \"a.bpf.o\"\nsha256 = \"{digest}\"\n{end}"
        );
        self.program.manifest("edge.toml", &text);
    }

    fn signature(&self) -> PathBuf {
        self.program.directory().join("edge.toml.minisig")
    }
}

/// The codes of the problems of a result.
fn codes(result: &Value) -> Vec<&str> {
    let problems = result["problems"].as_array().expect("problems");
    problems.iter().filter_map(|problem| problem["code"].as_str()).collect()
}

#[test]
fn nothing_is_done_without_a_signature() {
    Sandbox::run(|_| {
        let it = Signed::new();
        let key = it.ours.public();
        let run = |words: &[&str]| it.program.run(&[words, &["--trusted-key", &key]].concat());
        for command in [&["apply", "--detach"][..], &["adopt"], &["plan"]] {
            let words = [command, &[&it.manifest]].concat();
            run(&words).status(3).complains("signature-missing");
        }
        it.ours.sign(&it.manifest);
        it.write("# changed\n");
        run(&["apply", "--detach", &it.manifest]).status(3).complains("signature-invalid");
        assert!(tree().is_empty() && !it.program.state().exists(), "nothing was touched");
        it.ours.sign(&it.manifest);
        run(&["plan", &it.manifest]).status(0);
        run(&["apply", "--detach", &it.manifest]).status(0);
        assert!(!tree().is_empty());
    });
}

#[test]
fn each_reload_must_be_signed_and_what_lost_its_signature_changes_nothing() {
    Sandbox::run(|_| {
        let it = Signed::new();
        it.ours.sign(&it.manifest);
        let (mut held, first) =
            it.program.watch(&it.manifest, &["--trusted-key", &it.ours.public()]);
        assert_eq!(first["outcome"], "applied", "{first}");
        let before = tree();
        let without_map = "[objects.a.maps.state]\npin = \"none\"\n";

        it.write(without_map);
        let said = held.result();
        assert_eq!(codes(&said), ["signature-invalid"], "{said}");
        assert_eq!(tree(), before);

        // The signature alone is a change, too.
        it.ours.sign(&it.manifest);
        let said = held.result();
        assert_eq!(said["outcome"], "applied", "{said}");
        let after = tree();
        assert_ne!(after, before);

        fs::remove_file(it.signature()).expect("the signature");
        let said = held.result();
        assert_eq!(codes(&said), ["signature-missing"], "{said}");
        assert_eq!(tree(), after);
        held.signal(rustix::process::Signal::HUP);
        let said = held.result();
        assert_eq!(codes(&said), ["signature-missing"], "{said}");
        assert_eq!(tree(), after);

        it.ours.sign(&it.manifest);
        let said = held.result();
        assert_eq!(said["outcome"], "unchanged", "{said}");
        let (status, _) = held.end(rustix::process::Signal::TERM);
        assert_eq!(status, Some(0));
    });
}

#[test]
fn a_saved_plan_decides_nothing_that_a_signature_must() {
    Sandbox::run(|_| {
        let it = Signed::new();
        it.ours.sign(&it.manifest);
        let plan = it.program.directory().join("edge.plan").display().to_string();
        let key = it.ours.public();
        let trusted: &[&str] = &["--trusted-key", &key];
        let save = ["plan", &it.manifest, "--out", &plan];
        let carry_out = [&["apply", "--plan", &plan, "--detach"], trusted].concat();

        it.program.run(&save).status(0);
        fs::remove_file(it.signature()).expect("the signature");
        it.program.run(&carry_out).status(3).complains("signature-missing");
        it.ours.sign(&it.manifest);
        it.program.run(&[&save[..], &["--adopt"]].concat()).status(0);
        it.program.run(&carry_out).status(3).complains("takes over what is someone else's");
        assert!(tree().is_empty());
        it.program.run(&save).status(0);
        it.program.run(&carry_out).status(0);
    });
}

#[test]
fn a_key_that_others_could_replace_is_not_trusted() {
    Sandbox::run(|_| {
        use std::os::unix::fs::PermissionsExt;
        let it = Signed::new();
        it.ours.sign(&it.manifest);
        let key = it.ours.public();
        fs::set_permissions(&key, PermissionsExt::from_mode(0o666)).expect("ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"));
        command.arg("--state-dir").arg(it.program.state());
        command.args(["apply", &it.manifest, "--detach", "--trusted-key", &key]);
        let said = crate::program::Said::from(command.output().expect("the program starts"));
        let said = said.status(3).complains("cannot use the trusted key");
        assert!(said.err.contains("others could change"), "{}", said.err);
        assert!(tree().is_empty());
    });
}
