//! What a pipeline does with a change: validate, plan, have the plan reviewed, carry out that plan and
//! no other, find drift, mend it, end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::host::{self, attached, bpftool, tree};
use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::{object, root};

const EDGE: &str = "\
version = 1
name = \"edge\"
pin-root = \"/sys/fs/bpf/edge\"

[objects.fw]
path = \"fw.bpf.o\"

[objects.fw.programs.xdp_firewall]
attach = [{ hook = \"xdp\", interface = \"veth0\" }]
";

/// A manifest with its object in a directory of its own, and where its plan is saved.
struct Pipeline {
    program: Program,
    manifest: String,
    plan: PathBuf,
}

impl Pipeline {
    fn new(sandbox: &Sandbox) -> Self {
        host::wire(sandbox);
        let program = Program::new();
        fs::copy(object("firewall"), program.directory().join("fw.bpf.o")).expect("a copy");
        let manifest = program.manifest("edge.toml", EDGE);
        let plan = program.directory().join("edge.plan");
        Self { program, manifest, plan }
    }

    fn plan(&self, status: i32) {
        let plan = self.plan.display().to_string();
        let words = ["plan", &self.manifest, "--detailed-exitcode", "--out", &plan];
        self.program.run(&words).status(status);
    }

    #[track_caller]
    fn carry_out(&self, status: i32) -> crate::program::Said {
        let plan = self.plan.display().to_string();
        self.program.run(&["apply", "--plan", &plan, "--detach"]).status(status)
    }

    /// Carries the plan out, which must be refused for that reason and change nothing.
    #[track_caller]
    fn is_stale(&self, reason: &str) {
        let before = (tree(), attached("veth0"));
        self.carry_out(6).complains("the saved plan is stale").complains(reason);
        assert_eq!((tree(), attached("veth0")), before);
    }
}

#[test]
fn a_change_goes_from_review_to_the_host_and_drift_is_found_and_mended() {
    Sandbox::run(|sandbox| {
        let it = Pipeline::new(sandbox);
        let run = |words: &[&str], status| it.program.run(words).status(status);

        run(&["validate", &it.manifest], 0);
        it.plan(2);
        assert!(tree().is_empty(), "a plan changes nothing");
        it.carry_out(0);
        let status = run(&["status", "--format", "json"], 0).json();
        assert_eq!(status["deployments"][0]["conditions"][0]["status"], true);
        let ours = attached("veth0")["xdp"].clone();

        let packets = "/sys/fs/bpf/edge/flows";
        fs::remove_file(packets).expect("a pin");
        let status = run(&["status", "--format", "json"], 0).json();
        assert_eq!(status["deployments"][0]["conditions"][0]["reason"], "drifted");
        it.plan(2);
        it.carry_out(0);
        assert!(fs::exists(packets).expect("bpffs"));
        assert_eq!(attached("veth0")["xdp"], ours, "the program went on");

        it.plan(0);
        it.carry_out(0);
        run(&["destroy", &it.manifest, "--purge"], 0);
        assert!(tree().is_empty());
        assert!(attached("veth0").is_empty());
    });
}

#[test]
fn a_saved_plan_is_carried_out_as_it_is_or_not_at_all() {
    Sandbox::run(|sandbox| {
        let it = Pipeline::new(sandbox);
        it.plan(2);
        // A remark changes nothing of what happens.
        it.program.manifest("edge.toml", &format!("{EDGE}# reviewed\n"));
        let globals = format!("{EDGE}\n[objects.fw.globals]\nlog_level = 2\n");
        let manifest = it.program.manifest("edge.toml", &globals);
        it.is_stale("object `fw` is not what the plan was made from");
        assert_eq!(manifest, it.manifest);
        it.program.manifest("edge.toml", EDGE);
        it.carry_out(0);

        // The same plan again: it was for an empty host.
        it.is_stale("was made at generation 0 of the deployment, which is at 1");

        it.program.manifest("edge.toml", &globals);
        it.plan(2);
        it.program
            .manifest("edge.toml", &EDGE.replace("interface = \"veth0\"", "interface = \"veth1\""));
        it.is_stale("object `fw`");
        it.program.manifest("edge.toml", &globals);
        fs::remove_file("/sys/fs/bpf/edge/flows").expect("a pin");
        it.is_stale("map.fw.flows: the plan says `no-op`, now it would be");
        it.plan(2);
        it.carry_out(0);

        // The same things happen to other kernel objects.
        it.program.manifest("edge.toml", EDGE);
        it.plan(2);
        let pin = "/sys/fs/bpf/edge/~progs/edge/fw:xdp_firewall";
        fs::remove_file(pin).expect("a pin");
        bpftool(&["prog", "load", &object("firewall").display().to_string(), pin]);
        it.is_stale("");
    });
}

#[test]
fn a_file_that_is_no_saved_plan_is_refused() {
    Sandbox::run(|sandbox| {
        let it = Pipeline::new(sandbox);
        it.carry_out(3).complains("edge.plan: No such file");
        fs::write(&it.plan, "{}").expect("a writable directory");
        it.carry_out(3).complains("it is not what `plan --out` writes: missing field");

        it.plan(2);
        let text = fs::read_to_string(&it.plan).expect("readable");
        let newer = text.replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"99.0.0\"");
        fs::write(&it.plan, newer).expect("a writable directory");
        it.is_stale("the plan was made by ebpf-apply 99.0.0");

        fs::write(&it.plan, text).expect("a writable directory");
        fs::set_permissions(&it.plan, PermissionsExt::from_mode(0o666)).expect("ours");
        let plan = it.plan.display().to_string();
        let others_can_write = it.program.command(&["apply", "--plan", &plan, "--detach"]);
        let allowed =
            others_can_write.get_args().any(|word| word == "--allow-insecure-permissions");
        if !allowed {
            it.carry_out(3).complains("others could change what").complains("edge.plan");
        }
        assert!(tree().is_empty());
    });
}

/// The step of the GitHub Action that plans, on a runner that is the host.
#[track_caller]
fn plan_step(pipeline: &Pipeline, inputs: &[(&str, &str)], status: i32) -> [String; 2] {
    let directory = pipeline.program.directory();
    let files = ["summary.md", "outputs"].map(|name| directory.join(name));
    let mut step = Command::new("bash");
    step.arg(root().join("packaging/github/plan.sh"))
        .env("PROGRAM", env!("CARGO_BIN_EXE_ebpf-apply"))
        .env("MANIFEST", &pipeline.manifest)
        .env("GITHUB_STEP_SUMMARY", &files[0])
        .env("GITHUB_OUTPUT", &files[1])
        .envs(inputs.iter().copied());
    let done = step.output().expect("bash is installed");
    let log = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(status), "{log}");
    // Each step gets empty ones, or ones to append to.
    files.map(|file| fs::read_to_string(file).unwrap_or_default())
}

#[test]
fn the_action_puts_the_plan_into_the_summary_and_its_outputs() {
    Sandbox::run(|sandbox| {
        let pipeline = Pipeline::new(sandbox);
        let manifest = &pipeline.manifest;
        let markdown = |status| {
            let words = ["plan", manifest, "--format", "markdown", "--detailed-exitcode"];
            pipeline.program.run(&words).status(status).out
        };
        let changes = markdown(2);
        let [summary, outputs] = plan_step(&pipeline, &[], 0);
        assert_eq!((&summary, &*outputs), (&changes, "changes=true\n"));
        assert!(summary.contains("| + | `link.fw.xdp_firewall[xdp:veth0]` |"), "{summary}");

        // As the step has it, where records are kept by default.
        let mut apply = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"));
        apply.args(["apply", manifest, "--detach"]);
        assert!(apply.output().expect("it starts").status.success());
        let [both, outputs] = plan_step(&pipeline, &[], 0);
        let nothing = both.strip_prefix(&summary).expect("one is appended to the other");
        assert!(nothing.contains("Plan: 7 unchanged."), "{nothing}");
        assert_eq!(outputs, "changes=true\nchanges=false\n");

        // What is refused has no output, whatever is in the summary.
        let [after, outputs] = plan_step(&pipeline, &[("REQUIRE_DIGESTS", "true")], 3);
        assert_eq!((after, &*outputs), (both, "changes=true\nchanges=false\n"));
        pipeline.program.manifest("edge.toml", &EDGE.replace("veth0", "nowhere"));
        let [refused, outputs] = plan_step(&pipeline, &[], 1);
        assert!(refused.contains("there is no network interface `nowhere`"), "{refused}");
        assert_eq!(outputs, "changes=true\nchanges=false\n");
    });
}
