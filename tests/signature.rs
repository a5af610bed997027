//! What `validate` makes of digests and signatures, as a pipeline runs it.

#[path = "support/minisign.rs"]
mod minisign;
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use minisign::Signer;
use serde_json::Value;
use tempfile::TempDir;

const EDGE: &str =
    "version = 1\nname = \"edge\"\n\n[objects.fw]\npath = \"fw.bpf.o\"\nsha256 = \"<digest>\"\n";

struct Checkout {
    directory: TempDir,
}

impl Checkout {
    /// A manifest with its object.
    fn new(text: &str) -> Self {
        let it = Self { directory: tempfile::tempdir().expect("a directory") };
        fs::copy(support::object("firewall"), it.path("fw.bpf.o")).expect("a copy");
        it.write(text);
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the manifest with the object's digest in it.
    fn write(&self, text: &str) {
        let done =
            Command::new("sha256sum").arg(self.path("fw.bpf.o")).output().expect("coreutils");
        let said = String::from_utf8(done.stdout).expect("UTF-8");
        let digest = said.split(' ').next().expect("a digest");
        fs::write(self.path("edge.toml"), text.replace("<digest>", digest)).expect("writable");
    }

    /// Validates it with these words; the exit status and the codes of the problems.
    fn validate(&self, words: &[&str]) -> (Option<i32>, Vec<String>) {
        let done = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"))
            .args(["validate", "--format", "json", "edge.toml"])
            .args(words)
            .current_dir(self.directory.path())
            .output()
            .expect("the program starts");
        let said: Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
        let problems = said["problems"].as_array().cloned().unwrap_or_default();
        let code = |problem: &Value| problem["code"].as_str().expect("a code").to_owned();
        (done.status.code(), problems.iter().map(code).collect())
    }

    #[track_caller]
    fn raises(&self, words: &[&str], codes: &[&str]) {
        let status = if codes.is_empty() { 0 } else { 3 };
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        assert_eq!(self.validate(words), (Some(status), codes), "{words:?}");
    }
}

#[test]
fn digests_can_be_required() {
    let it = Checkout::new(EDGE);
    it.raises(&["--require-digests"], &[]);
    it.write(&EDGE.replace("sha256", "# sha256"));
    it.raises(&[], &[]);
    it.raises(&["--require-digests"], &["digest-missing"]);
    // A digest that is none is said to be that, and not missing as well.
    it.write(&EDGE.replace("<digest>", "9f2c"));
    it.raises(&["--require-digests"], &["bad-digest"]);
}

#[test]
fn a_manifest_is_looked_at_only_with_the_signature_of_a_trusted_key() {
    // Without a valid signature its mistakes are not told either.
    let it = Checkout::new(&format!("{EDGE}\nmistake = 1\n"));
    let ours = Signer::new(it.directory.path(), "ours");
    let theirs = Signer::new(it.directory.path(), "theirs");
    let (our_key, their_key) = (ours.public(), theirs.public());
    let trusted: &[&str] = &["--trusted-key", &our_key];
    it.raises(trusted, &["signature-missing"]);
    theirs.sign(it.path("edge.toml"));
    it.raises(trusted, &["signature-invalid"]);
    ours.sign(it.path("edge.toml"));
    it.raises(trusted, &["unknown-key"]);
    it.write(EDGE);
    it.raises(trusted, &["signature-invalid"]);
    ours.sign(it.path("edge.toml"));
    it.raises(trusted, &[]);
    it.raises(&["--trusted-key", &their_key], &["signature-invalid"]);
    it.raises(&["--trusted-key", &their_key, "--trusted-key", &our_key], &[]);

    let public = fs::read_to_string(ours.public()).expect("a key");
    let line = public.lines().last().expect("two lines");
    it.raises(&["--trusted-key", line], &[]);
    fs::write(it.path("edge.toml.minisig"), [0xff; 100]).expect("writable");
    it.raises(trusted, &["signature-invalid"]);
}

#[test]
fn a_signature_vouches_for_objects_by_their_digests_only() {
    let it = Checkout::new(&EDGE.replace("sha256", "# sha256"));
    let ours = Signer::new(it.directory.path(), "ours");
    ours.sign(it.path("edge.toml"));
    it.raises(&["--trusted-key", &ours.public()], &["digest-missing"]);
    it.write(EDGE);
    ours.sign(it.path("edge.toml"));
    it.raises(&["--trusted-key", &ours.public()], &[]);
    fs::copy(support::object("counter"), it.path("fw.bpf.o")).expect("a copy");
    it.raises(&["--trusted-key", &ours.public()], &["digest-mismatch"]);
}

#[test]
fn what_is_no_key_is_said_to_be_none() {
    let it = Checkout::new(EDGE);
    assert_eq!(it.validate(&["--trusted-key", "no.pub"]).0, Some(3));
    fs::write(it.path("no.pub"), "untrusted comment: nothing\nRWQ\n").expect("writable");
    let done = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"))
        .args(["validate", "edge.toml", "--trusted-key", "no.pub"])
        .current_dir(it.directory.path())
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        said.contains("cannot use the trusted key no.pub: it is no public key of minisign"),
        "{said}"
    );
}
