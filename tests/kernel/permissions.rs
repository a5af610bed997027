//! Who else could have changed what is acted upon: manifests, objects, records, the pin root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ebpf_apply::apply::{Host, StateDirectory};
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::validate::validate;
use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::{MountFlags, mount_remount};

use crate::host::tree;
use crate::program::{Program, Said};
use crate::sandbox::{Sandbox, mount_at};
use crate::support::object;

/// Where manifests of these tests lie: `/run` is the sandbox's, sticky and root's.
const BASE: &str = "/run/base";
const SOMEONE: u32 = 1000;

/// A manifest and its object in directories of their own that only root can change.
fn prepare() -> String {
    fs::create_dir_all(format!("{BASE}/conf")).expect("a directory");
    fs::create_dir_all(format!("{BASE}/lib")).expect("a directory");
    fs::copy(object("shape_a"), format!("{BASE}/lib/a.bpf.o")).expect("a copy");
    let manifest = format!("{BASE}/conf/edge.toml");
    let text = "version = 1\nname = \"edge\"\npin-root = \"/sys/fs/bpf/edge\"\n\n[objects.a]\npath = \
                \"../lib/a.bpf.o\"\n";
    fs::write(&manifest, text).expect("a manifest");
    manifest
}

fn mode(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

/// The program without the concession that the test suite makes to a developer's checkout.
fn run(program: &Program, words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"));
    command.arg("--state-dir").arg(program.state()).args(words);
    command.output().expect("the program starts").into()
}

type Exposing = (&'static str, fn());

/// Ways in for others, each with the path that must be named.
const WAYS: &[Exposing] = &[
    ("/run/base/conf/edge.toml", || mode("/run/base/conf/edge.toml", 0o666)),
    ("/run/base/conf/edge.toml", || mode("/run/base/conf/edge.toml", 0o664)),
    ("/run/base/conf/edge.toml", || {
        chown("/run/base/conf/edge.toml", Some(SOMEONE), None).expect("an owner");
    }),
    ("/run/base/conf", || mode("/run/base/conf", 0o777)),
    ("/run/base/conf", || {
        // Sticky, but the owner may replace what is in it.
        chown("/run/base/conf", Some(SOMEONE), None).expect("an owner");
        mode("/run/base/conf", 0o1755);
    }),
    ("/run/base", || mode("/run/base", 0o775)),
    ("/run/base/lib/a.bpf.o", || mode("/run/base/lib/a.bpf.o", 0o602)),
    ("/run/base/lib", || mode("/run/base/lib", 0o757)),
    ("/run/base/lib/a.bpf.o", || {
        fs::rename("/run/base/lib/a.bpf.o", "/run/base/real").expect("a rename");
        symlink("/run/base/real", "/run/base/lib/a.bpf.o").expect("a link");
        lchown("/run/base/lib/a.bpf.o", Some(SOMEONE), None).expect("an owner");
    }),
    // Every hop counts: the way to the link is fine, and the way on from it is not.
    ("/run/open", || {
        fs::create_dir("/run/open").expect("a directory");
        mode("/run/open", 0o777);
        fs::rename("/run/base/lib/a.bpf.o", "/run/open/a.bpf.o").expect("a rename");
        symlink("../../open/a.bpf.o", "/run/base/lib/a.bpf.o").expect("a link");
    }),
];

#[test]
fn what_others_could_change_is_not_applied_and_one_command_mends_it() {
    for (path, expose) in WAYS {
        Sandbox::run(|_| {
            let manifest = prepare();
            let program = Program::new();
            run(&program, &["plan", &manifest]).status(0);
            expose();
            let said = run(&program, &["apply", &manifest, "--detach"]).status(3);
            assert!(said.err.contains("insecure-permissions"), "{path}: {}", said.err);
            assert!(tree().is_empty() && !program.state().exists(), "{path}: nothing was touched");
            run(&program, &["validate", &manifest]).status(0);
            let plan = run(&program, &["plan", &manifest]).status(0);
            assert!(plan.err.contains("insecure-permissions"), "{path}: {}", plan.err);

            let said = run(&program, &["apply", &manifest, "--detach", "--format", "json"]);
            let problems = said.status(3).json()["problems"].clone();
            let one = &problems[0];
            assert_eq!(problems.as_array().map(Vec::len), Some(1), "{path}: {problems}");
            assert!(one["message"].as_str().is_some_and(|text| text.contains(path)), "{one}");
            let mend =
                one["help"].as_str().and_then(|help| help.split('`').nth(1)).expect("advice");
            let mended = Command::new("sh").args(["-c", mend]).status().expect("a shell");
            assert!(mended.success(), "{mend}");
            run(&program, &["apply", &manifest, "--detach"]).status(0);
            run(&program, &["destroy", &manifest]).status(0);
        });
    }
}

#[test]
fn types_that_others_could_change_are_not_used() {
    Sandbox::run(|_| {
        let manifest = prepare();
        let program = Program::new();
        let types = format!("{BASE}/lib/types.btf");
        fs::copy("/sys/kernel/btf/vmlinux", &types).expect("the kernel's types");
        mode(&types, 0o646);
        let words = ["apply", &manifest, "--detach", "--btf", &types];
        let said = run(&program, &words).status(1);
        let said = said.complains(&types).complains("others could change");
        assert!(said.err.contains(&format!("chmod go-w {types}")), "{}", said.err);
        assert!(tree().is_empty(), "nothing was made");
        mode(&types, 0o644);
        run(&program, &words).status(0);
        run(&program, &["destroy", &manifest]).status(0);
    });
}

#[test]
fn it_can_be_allowed() {
    Sandbox::run(|_| {
        let manifest = prepare();
        mode("/run/base", 0o777);
        let program = Program::new();
        for words in [&["apply", &manifest, "--detach"][..], &["destroy", &manifest]] {
            run(&program, words).status(3).complains("insecure-permissions");
            let words = [words, &["--allow-insecure-permissions"]].concat();
            let said = run(&program, &words).status(0);
            assert!(!said.err.contains("insecure"), "{}", said.err);
        }
        assert!(tree().is_empty(), "{:?}", tree());
    });
}

#[test]
fn what_is_mounted_read_only_is_as_a_config_map_has_it() {
    Sandbox::run(|_| {
        // kubelet's `AtomicWriter`: directories of mode 0777, links to the current one.
        fs::create_dir("/run/map").expect("a directory");
        mount_at("tmpfs", "/run/map");
        fs::create_dir("/run/map/..2026").expect("a directory");
        let manifest = prepare();
        let text = fs::read_to_string(&manifest).expect("a manifest");
        fs::write("/run/map/..2026/edge.toml", text.replace("../lib", "/run/base/lib"))
            .expect("a manifest");
        symlink("..2026", "/run/map/..data").expect("a link");
        symlink("..data/edge.toml", "/run/map/edge.toml").expect("a link");
        mode("/run/map", 0o777);
        mode("/run/map/..2026", 0o777);
        let program = Program::new();
        let said = run(&program, &["apply", "/run/map/edge.toml", "--detach"]).status(3);
        assert!(said.err.contains("chmod go-w /run/map"), "{}", said.err);
        mount_remount("/run/map", MountFlags::RDONLY, "").expect("remount");
        run(&program, &["apply", "/run/map/edge.toml", "--detach"]).status(0);
    });
}

#[test]
fn what_is_no_regular_file_is_refused_without_waiting() {
    Sandbox::run(|_| {
        let manifest = prepare();
        let program = Program::new();
        let (fifo, rest) = ("/run/base/lib/fifo", Mode::RWXU);
        rustix::fs::mknodat(CWD, fifo, FileType::Fifo, rest, 0).expect("a FIFO");
        rustix::fs::mknodat(CWD, "/run/base/lib/socket", FileType::Socket, rest, 0)
            .expect("a socket");
        let text = fs::read_to_string(&manifest).expect("a manifest");
        for path in [fifo, "/run/base/lib/socket", "/run/base/lib", "/dev/zero", "/dev/tty"] {
            for words in [&["validate", path][..], &["plan", path], &["apply", path, "--detach"]] {
                run(&program, words).status(3);
            }
            let inspected = run(&program, &["inspect", path]).status(3);
            assert!(inspected.err.contains("not a regular file"), "{path}: {}", inspected.err);
            fs::write(&manifest, text.replace("../lib/a.bpf.o", path)).expect("a manifest");
            let said = run(&program, &["apply", &manifest, "--detach"]).status(3);
            assert!(said.err.contains("object-unreadable"), "{path}: {}", said.err);
        }
        // What a shell makes of `<(…)`.
        let mut command = program.command(&["validate", "/dev/stdin"]);
        let piped = command.stdin(Stdio::piped()).output().expect("the program starts");
        let said = Said::from(piped).status(3);
        assert!(said.out.contains("not a regular file"), "{}", said.out);
    });
}

#[test]
fn a_state_directory_that_others_can_enter_is_not_trusted() {
    Sandbox::run(|_| {
        let manifest = prepare();
        let applied = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ebpf-apply"));
            command.args(words).args(["apply", &manifest, "--detach"]);
            Said::from(command.output().expect("the program starts"))
        };
        applied(&[]).status(0);
        let modes = || fs::metadata("/run/ebpf-apply").expect("it is there").permissions().mode();
        assert_eq!(modes() & 0o7777, 0o700);
        for (bits, mend) in [(0o755, "chmod 700"), (0o750, "chmod 700"), (0o722, "chmod go-w")] {
            mode("/run/ebpf-apply", bits);
            let mend = format!("{mend} /run/ebpf-apply");
            applied(&[]).status(1).complains("cannot trust /run/ebpf-apply").complains(&mend);
        }
        mode("/run/ebpf-apply", 0o700);
        chown("/run/ebpf-apply", Some(SOMEONE), None).expect("an owner");
        applied(&[]).status(1).complains("chown root /run/ebpf-apply");
        chown("/run/ebpf-apply", Some(0), None).expect("an owner");
        symlink("/run/ebpf-apply", "/run/link").expect("a link");
        applied(&["--state-dir", "/run/link"]).status(1).complains("symbolic link");
        applied(&[]).status(0);
    });
}

/// A warning, and what brings it about.
type Spoil = (&'static str, fn(&Path));

#[test]
fn a_record_that_cannot_be_relied_on_counts_as_lost() {
    let record = |program: &Program| program.state().join("edge/inventory.json");
    let spoils: [Spoil; 4] = [
        ("belongs to uid 1000", |path| chown(path, Some(SOMEONE), None).expect("an owner")),
        ("may be written to", |path| mode(path, 0o666)),
        ("damaged record", |path| fs::write(path, "{").expect("a record")),
        ("another version", |path| {
            let text = fs::read_to_string(path).expect("a record");
            fs::write(path, text.replacen("\"format_version\": 1", "\"format_version\": 99", 1))
                .expect("a record");
        }),
    ];
    for (warning, spoil) in spoils {
        Sandbox::run(|_| {
            let manifest = prepare();
            let program = Program::new();
            run(&program, &["apply", &manifest, "--detach"]).status(0);
            let before = tree();
            spoil(&record(&program));
            // The map is not provably ours any more, so it is used and left alone.
            run(&program, &["apply", &manifest, "--detach"]).status(0).complains(warning);
            assert_eq!(tree(), before);
            let again = run(&program, &["plan", &manifest, "--detailed-exitcode"]).status(0);
            assert!(!again.err.contains("record"), "{}", again.err);
        });
    }
}

#[test]
fn modes_on_bpffs_do_not_depend_on_the_mask() {
    for mask in ["000", "022", "777"] {
        Sandbox::run(|_| {
            let manifest = prepare();
            let program = Program::new();
            let line = format!("umask {mask} && exec \"$@\"");
            let ours = program.command(&["apply", &manifest, "--detach"]);
            let mut command = Command::new("sh");
            command.args(["-c", &line, "sh"]).arg(ours.get_program()).args(ours.get_args());
            Said::from(command.output().expect("a shell")).status(0);
            let (tree, state) = (tree(), program.state());
            assert!(tree.len() > 3, "{tree:?}");
            for path in tree.iter().chain([&state, &state.join("edge")]) {
                let mode = fs::symlink_metadata(path).expect("it is there").permissions().mode();
                let wanted = if path.is_dir() { 0o700 } else { 0o600 };
                assert_eq!(mode & 0o7777, wanted, "{} {mask}: {mode:o}", path.display());
            }
        });
    }
}

#[test]
fn a_pin_root_that_others_can_change_is_refused() {
    Sandbox::run(|_| {
        let manifest = prepare();
        let program = Program::new();
        fs::create_dir("/sys/fs/bpf/edge").expect("a directory on bpffs");
        for (expose, mend) in [
            (&(|| mode("/sys/fs/bpf/edge", 0o777)) as &dyn Fn(), "chmod go-w /sys/fs/bpf/edge"),
            (
                // On a bpffs that everyone may write to, anyone can be there first.
                &|| chown("/sys/fs/bpf/edge", Some(SOMEONE), None).expect("an owner"),
                "chown root /sys/fs/bpf/edge",
            ),
            (&|| mode("/sys/fs/bpf", 0o777), "chmod go-w /sys/fs/bpf"),
        ] {
            expose();
            let plan = run(&program, &["plan", &manifest]).status(1);
            assert!(plan.out.contains(mend), "{}", plan.out);
            run(&program, &["apply", &manifest, "--detach"]).status(1).complains(mend);
            assert!(Command::new("sh").args(["-c", mend]).status().expect("a shell").success());
            run(&program, &["plan", &manifest]).status(0);
        }
        assert_eq!(tree().len(), 1, "nothing was made");
    });
}

#[test]
fn what_was_validated_is_what_is_loaded() {
    Sandbox::run(|_| {
        let manifest = prepare();
        let path = Path::new(BASE).join("conf/../lib/a.bpf.o");
        let text = fs::read_to_string(&manifest).expect("a manifest");
        let reads = std::cell::Cell::new(0);
        let checked = validate(Path::new(&manifest), &text, &|object| {
            reads.set(reads.get() + 1);
            let bytes = fs::read(object)?;
            // Somebody swaps the file between the phases.
            fs::copy(crate::support::object("shape_b"), &path)?;
            Ok(bytes)
        });
        let desired = checked.desired.expect("it is valid");
        let digest = desired.objects[0].image.digest;
        fs::remove_file(&path).expect("the object");
        let kernel = Linux::new();
        let private = &mut fs::DirBuilder::new();
        private.mode(0o700).create("/run/state").expect("a directory");
        let state = StateDirectory::new("/run/state");
        let host = Host::new(&kernel, &state, Duration::from_secs(10));
        let applied = host.apply(&desired, &mut |_| {}).expect("applies");
        assert_eq!(reads.get(), 1);
        let recorded: Vec<_> = applied.plan.after.objects.values().map(|one| one.digest).collect();
        assert_eq!(recorded, [digest]);
        let pins = tree();
        let loaded = |name: &str| pins.iter().any(|pin| pin.ends_with(format!("a:{name}")));
        assert!(loaded("count_a") && !loaded("count_b"), "{pins:?}");
        let shown = Command::new("bpftool")
            .args(["--json", "prog", "show", "pinned"])
            .arg("/sys/fs/bpf/edge/~progs/edge/a:count_a")
            .output();
        let shown = String::from_utf8(shown.expect("bpftool is installed").stdout).expect("UTF-8");
        assert!(shown.contains("count_a"), "{shown}");
    });
}
