//! `init`: whatever an object is like, the manifest it yields is valid, and what the manifest proposes
//! is too; what the object itself has wrong stays the validator's to say.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, io};

use ebpf_apply::draft::{Entry, draft};
use ebpf_apply::model::code;
use ebpf_apply::model::name::Name;
use ebpf_apply::model::problem::Severity;
use ebpf_apply::object::Image;
use ebpf_apply::validate::{Problem, validate};
use proptest::prelude::*;

/// Where Debian's xdp-tools and libxdp1 install theirs.
const INSTALLED: &[&str] = &["/usr/lib/x86_64-linux-gnu/bpf", "/usr/lib/bpf"];

/// Every object that inspects, of this package and of those that are installed.
fn images() -> Vec<Image> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(support::root().join("bpf")).expect("bpf/ can be listed") {
        let file = entry.expect("bpf/ can be listed").file_name();
        if let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".bpf.c")) {
            paths.push(support::object(name));
        }
    }
    for directory in INSTALLED.iter().filter_map(|directory| fs::read_dir(directory).ok()) {
        let files = directory.map(|entry| entry.expect("it can be listed").path());
        paths.extend(files.filter(|path| path.extension().is_some_and(|kind| kind == "o")));
    }
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| Image::new(path.clone(), fs::read(path).expect("it can be read")).ok())
        .collect()
}

/// The objects with names in the manifest.
fn named(images: &[Image]) -> Vec<(Name, String, &Image)> {
    let name = |index| Name::new(&format!("o{index}")).expect("a legal name");
    let entry = |(index, image)| (name(index), format!("{index}.o"), image);
    images.iter().enumerate().map(entry).collect()
}

fn drafted(entries: &[(Name, String, &Image)]) -> String {
    let entries: Vec<Entry<'_>> =
        entries.iter().map(|(name, path, image)| Entry { name, path, image }).collect();
    draft(&Name::new("edge").expect("a legal name"), &entries)
}

/// The manifest that names the objects and says nothing of them.
fn bare(entries: &[(Name, String, &Image)]) -> String {
    let object =
        |(name, path, _): &(Name, String, &Image)| format!("[objects.{name}]\npath = \"{path}\"\n");
    let objects: String = entries.iter().map(object).collect();
    format!("version = 1\nname = \"edge\"\n{objects}")
}

fn problems(text: &str, entries: &[(Name, String, &Image)]) -> Vec<Problem> {
    let read = |path: &Path| {
        let found = entries.iter().find(|(_, named, _)| Path::new(named) == path);
        found.map(|(.., image)| image.bytes.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    };
    validate(Path::new(""), text, &read).problems
}

/// Objects with a defect of their own, which `init` leaves to the validator.
fn is_sound(image: &Image) -> bool {
    let name = image.path.file_name().and_then(|name| name.to_str()).expect("a name");
    !name.starts_with("invalid_") && !name.starts_with("inspect_defects.")
}

/// The draft says of objects what they say by themselves, but for what it avoids: programs that cannot
/// be loaded without a word are not.
fn says_no_more(text: &str, found: &[Problem], own: &[Problem]) -> bool {
    if text.contains("\nload = \"listed\"\n") {
        said(found).is_subset(&said(own))
            && found.iter().all(|problem| problem.code != code::SECTION_INCOMPLETE)
    } else {
        said(found) == said(own)
    }
}

/// What was said, wherever.
fn said(problems: &[Problem]) -> BTreeSet<(&'static str, String)> {
    problems.iter().map(|problem| (problem.code, problem.message.clone())).collect()
}

/// The draft with every proposal that is commented out put in.
fn uncommented(text: &str) -> String {
    let line = |line: &str| {
        let bare = line.strip_prefix("# ").filter(|rest| {
            let key = rest.split_once(" = ").map(|(key, _)| key);
            rest.starts_with("[objects.")
                || key.is_some_and(|key| {
                    key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
                })
        });
        format!("{}\n", bare.unwrap_or(line))
    };
    text.lines().map(line).collect()
}

#[test]
fn what_init_writes_is_valid_for_every_object() {
    let images = images();
    assert!(images.len() > 40, "only {} objects", images.len());
    let (mut clean, mut attached, mut proposed) = (0, 0, 0);
    for image in &images {
        let entries = named(std::slice::from_ref(image));
        let text = drafted(&entries);
        let found = problems(&text, &entries);
        let own = problems(&bare(&entries), &entries);
        let path = image.path.display();
        assert!(says_no_more(&text, &found, &own), "{path}: {found:#?}\n{text}");
        let refused = found.iter().any(|problem| problem.severity == Severity::Error);
        assert!(!refused || !is_sound(image), "{path}: {found:#?}\n{text}");
        clean += usize::from(found.is_empty());
        attached += text.matches("\nattach = ").count();
        proposed += text.matches("\n# attach = ").count();
    }
    assert!(clean > 35 && attached > 5 && proposed > 20, "{clean} {attached} {proposed}");
}

#[test]
fn what_init_proposes_is_valid_too() {
    for image in &images() {
        let entries = named(std::slice::from_ref(image));
        let text = uncommented(&drafted(&entries));
        let own = said(&problems(&bare(&entries), &entries));
        let is_new = |problem: &&Problem| {
            // All examples name one interface; what a replacement replaces is not in this object.
            let of_examples =
                [code::ATTACHMENT_CONFLICT, code::UNKNOWN_PROGRAM, code::SLOT_NOT_LOADED];
            !of_examples.contains(&problem.code)
                && !own.contains(&(problem.code, problem.message.clone()))
        };
        let found = problems(&text, &entries);
        let new: Vec<&Problem> = found.iter().filter(is_new).collect();
        assert!(new.is_empty(), "{}: {new:#?}\n{text}", image.path.display());
    }
}

/// The draft of one of this package's objects.
fn drafted_object(name: &str) -> String {
    let path = support::object(name);
    let bytes = fs::read(&path).expect("it can be read");
    let images = [Image::new(path, bytes).expect("it is an object")];
    drafted(&named(&images))
}

#[test]
fn programs_that_need_a_word_are_left_out_until_they_get_it() {
    let text = drafted_object("kernel_functions");
    for part in [
        "\nload = \"listed\"\n",
        "\n# attach = [{ hook = \"fentry\", function = \"do_unlinkat\" }]\n",
        "\n# attach = [{ hook = \"lsm-cgroup\", function = \"socket_create\", \
         path = \"/sys/fs/cgroup/system.slice\" }]\n",
        "\nattach = [{ hook = \"section\" }]\n",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    for name in ["replacement", "replacement_misfit", "replacement_other"] {
        let text = drafted_object(name);
        assert!(text.contains("\nload = \"listed\"\n"), "{name}:\n{text}");
        assert!(text.contains("\n# attach = [{ hook = \"freplace\", "), "{name}:\n{text}");
    }
    assert!(!drafted_object("firewall").contains("load = "));
}

#[test]
fn probes_get_the_hook_that_their_section_names() {
    let text = drafted_object("user_probes");
    for (section, element) in [
        ("uprobe", "{ hook = \"uprobe\", target = \"/usr/bin/bash\", symbol = \"readline\" }"),
        (
            "uretprobe",
            "{ hook = \"uretprobe\", target = \"/usr/bin/bash\", symbol = \"readline\" }",
        ),
        (
            "usdt",
            "{ hook = \"usdt\", target = \"libc.so.6\", provider = \"libc\", name = \"setjmp\" }",
        ),
    ] {
        let part = format!("   # SEC(\"{section}\")\n# attach = [{element}]\n");
        assert!(text.contains(&part), "{part}\n{text}");
    }
    assert!(!text.contains("\"kprobe\""), "{text}");
}

#[test]
fn programs_get_examples_that_are_meant_for_them() {
    for (object, part) in [
        ("net_hooks", "at = \"local-in\", priority = 1 }"),
        ("dialect", "{ hook = \"xdp\", interface = \"eth1\" }"),
        ("initial_slots", ", called by way of map jumps\n"),
        ("iterators", "{ hook = \"iter\", map = \"o0."),
    ] {
        let text = drafted_object(object);
        assert!(text.contains(part), "{object}: {part}\n{text}");
    }
}

#[test]
fn a_section_without_a_place_is_told_its_own_hook() {
    let path = support::object("user_probes");
    let bytes = fs::read(&path).expect("it can be read");
    let images = [Image::new(path, bytes).expect("it is an object")];
    let entries = named(&images);
    for section in ["uprobe", "uretprobe", "usdt"] {
        let mut programs = images[0].spec.programs.iter();
        let program = programs.find(|program| program.section == section).expect(section);
        let attach = format!(
            "[objects.o0.programs.{}]\nattach = [{{ hook = \"section\" }}]\n",
            program.name
        );
        let found = problems(&format!("{}{attach}", bare(&entries)), &entries);
        let help = format!("write `{{ hook = \"{section}\", … }}` with the place");
        let is_told = |problem: &Problem| {
            problem.code == code::SECTION_INCOMPLETE && problem.help.as_deref() == Some(&*help)
        };
        assert!(found.iter().any(is_told), "{section}: {found:#?}");
    }
}

#[test]
fn objects_with_maps_of_one_name_are_kept_apart() {
    let images = images();
    let entries = named(&images);
    let text = drafted(&entries);
    assert!(text.contains("\nsubpath = \"o1\"\n"));
    let own: BTreeSet<_> = entries
        .iter()
        .flat_map(|entry| {
            let entry = std::slice::from_ref(entry);
            said(&problems(&drafted(entry), entry))
        })
        .collect();
    assert_eq!(said(&problems(&text, &entries)), own, "each says what it says by itself");
    assert_eq!(text, drafted(&entries), "the same each time");
}

#[test]
fn variables_are_proposed_with_the_values_they_have() {
    let wanted = [
        ("global_types", &["standard", "rules", "choice", "share", "ratio"][..]),
        ("globals", &["mode", "label", "upstream", "balance", "enabled"]),
    ];
    for (object, names) in wanted {
        let path = support::object(object);
        let image =
            Image::new(path.clone(), fs::read(path).expect("it can be read")).expect("fine");
        let images = [image];
        let entries = named(&images);
        let text = drafted(&entries);
        for name in names {
            assert!(text.contains(&format!("\n# {name} = ")), "{name}:\n{text}");
        }
        // The variables' lines, and what comes before them, no longer commented out.
        let (before, variables) = text.split_once("\n# [objects.o0.globals]\n").expect("some");
        let lines = variables.lines().map_while(|line| line.strip_prefix("# "));
        let lines: Vec<&str> = lines.collect();
        let said = format!("{before}\n[objects.o0.globals]\n{}\n", lines.join("\n"));
        let read = |_: &Path| Ok(images[0].bytes.clone());
        let with = validate(Path::new(""), &said, &read);
        assert_eq!(with.problems, [], "{said}");
        let digest = |desired: Option<ebpf_apply::validate::Desired>| {
            desired.expect("it is valid").objects[0].load_digest
        };
        let without = validate(Path::new(""), before, &read);
        assert_eq!(digest(with.desired), digest(without.desired), "no byte changes:\n{said}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_objects_yield_valid_manifests_too(
        at in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let names = ["firewall", "globals", "three_policies", "inspect_rich"];
        let mut bytes = fs::read(support::object(at.get::<&str>(&names))).expect("it can be read");
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(image) = Image::new("damaged.o", bytes) {
            let images = [image];
            let entries = named(&images);
            let text = drafted(&entries);
            let found = problems(&text, &entries);
            let own = problems(&bare(&entries), &entries);
            prop_assert!(says_no_more(&text, &found, &own), "{:#?}\n{}", found, text);
        }
    }
}

fn run(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ebpf-apply"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("the program starts")
}

#[test]
fn a_manifest_is_written_where_there_is_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    for below in ["objects", "hosts/edge"] {
        fs::create_dir_all(root.join(below)).expect("it can be made");
    }
    let object: PathBuf = root.join("objects/fire.wall.o");
    fs::copy(support::object("firewall"), object).expect("it can be copied");

    let init = ["init", "objects/fire.wall.o", "--name", "edge", "-o", "hosts/edge/edge.toml"];
    let output = run(&init, root);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0), "{output:?}");
    let text = fs::read_to_string(root.join("hosts/edge/edge.toml")).expect("it is written");
    assert!(text.contains("path = \"../../objects/fire.wall.o\""), "{text}");
    assert!(text.contains("[objects.fire]") && text.contains("name    = \"edge\""), "{text}");
    let valid = run(&["validate", "hosts/edge/edge.toml", "--deny", "warnings"], root);
    assert_eq!(valid.status.code(), Some(0), "{}", String::from_utf8_lossy(&valid.stdout));

    let again = run(&["init", "objects/fire.wall.o", "-o", "hosts/edge/edge.toml"], root);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.code() == Some(1) && said.contains("left as it is"), "{said}");
    assert_eq!(fs::read_to_string(root.join("hosts/edge/edge.toml")).expect("still there"), text);

    let output = run(&["init", "objects/fire.wall.o", "--name", "../etc"], root);
    assert_eq!(output.status.code(), Some(64));
    let output = run(&["init", "hosts/edge/edge.toml"], root);
    assert_eq!(output.status.code(), Some(3));
}
