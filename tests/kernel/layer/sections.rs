//! Every section of libbpf's table loads, but for what the running kernel shows that it lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::Command;
use std::{fs, io};

use ebpf_apply::btf::{Btf, Kind, Shape};
use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::kernel::{Kernel, KernelError, LoadRequest};
use ebpf_apply::model::kinds::{AttachType, ProgramType};
use ebpf_apply::model::program::ProgramSpec;
use ebpf_apply::object::{Image, sections};

use crate::contract::image;
use crate::sandbox::Sandbox;

/// Sections whose programs cannot be loaded by themselves, and what they need.
const NOT_ALONE: &[(&str, &str)] = &[
    ("freplace+", "a function of a program to replace"),
    ("struct_ops+", "the struct that it is in"),
    ("struct_ops.s+", "the struct that it is in"),
];

/// What the C library and the standard library call EPERM.
const FORBIDDEN: &str = "Operation not permitted";

#[test]
fn every_section_of_the_table_loads() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let mut seen: BTreeSet<&str> = NOT_ALONE.iter().map(|(pattern, _)| *pattern).collect();
        let mut refused = Vec::new();
        for object in ["dialect", "sections", "sections_functions"] {
            let image = image(object);
            let btf = kernel.load_btf(&image).expect("load BTF");
            for program in &image.spec.programs {
                seen.extend(sections::pattern(&program.section));
                let request = LoadRequest {
                    image: &image,
                    programs: vec![program],
                    maps: BTreeMap::new(),
                    btf: btf.as_ref(),
                };
                let Err(error) = kernel.load_programs(&[request]) else { continue };
                match lacking(&image, program, &error) {
                    Some(feature) => {
                        writeln!(io::stdout(), "skipped: {}: {feature}", program.section)
                            .expect("standard output");
                    }
                    None => {
                        refused.push(format!("{}: {error} {:?}", program.section, error.log));
                    }
                }
            }
        }
        assert!(refused.is_empty(), "{}", refused.join("\n"));
        let missing: Vec<_> =
            sections::patterns().filter(|pattern| !seen.contains(pattern)).collect();
        assert!(missing.is_empty(), "no program for {missing:?}");
    });
}

/// What the kernel lacks for a program it refused, by other evidence than our being refused.
fn lacking(image: &Image, program: &ProgramSpec, error: &KernelError) -> Option<String> {
    let kind = program.kind.as_ref().expect("a known section");
    if let Some(name) = kind.attach_type.and_then(AttachType::name) {
        let name = format!("BPF_{}", name.to_uppercase());
        if !attach_types().contains(&name) {
            return Some(format!("the kernel's types know no {name}"));
        }
    }
    let log = error.log.as_ref().map_or("", |log| log.text.as_str());
    // The verifier lists what may sleep; tracepoints came last.
    if kind.sleepable && log.contains("programs can be sleepable") && !log.contains("tracepoint") {
        return Some("the verifier says that tracepoints cannot sleep".to_owned());
    }
    if kind.program_type == ProgramType::LIRC_MODE2 && !configured("CONFIG_BPF_LIRC_MODE2") {
        return Some("the kernel is built without CONFIG_BPF_LIRC_MODE2".to_owned());
    }
    // Some kernels let nobody at their functions: EPERM for root, before the verifier looks.
    let forbidden = error.to_string().contains(FORBIDDEN) && log.is_empty();
    (forbidden && kind.needs_attach_btf && libbpf_is_forbidden(image, &program.section)).then(
        || "the kernel forbids programs at its functions, to libbpf as well (EPERM)".to_owned(),
    )
}

/// The constants of the running kernel's `enum bpf_attach_type`.
fn attach_types() -> BTreeSet<String> {
    let bytes = fs::read("/sys/kernel/btf/vmlinux").expect("the kernel has BTF");
    let btf = Btf::parse(&bytes).expect("it is well-formed");
    let found = btf.find("bpf_attach_type", Kind::Enum).expect("the kernel has bpf(2)");
    let Shape::Enum(constants) = found.shape() else { panic!("{:?} is no enum", found.shape()) };
    constants.iter().map(|constant| constant.name.to_owned()).collect()
}

/// Whether the kernel was built with an option. One that does not tell has them all.
fn configured(option: &str) -> bool {
    let told = Command::new("zcat").args(["-f", "/proc/config.gz"]).output();
    let told = told.expect("gzip is installed").stdout;
    let set = [format!("{option}=y"), format!("{option}=m")];
    told.is_empty()
        || String::from_utf8_lossy(&told).lines().any(|line| set.contains(&line.to_owned()))
}

/// Whether bpftool gets EPERM for the program of a section.
fn libbpf_is_forbidden(image: &Image, section: &str) -> bool {
    let directory = tempfile::tempdir().expect("a directory for this test");
    let object = directory.path().join("alone.bpf.o");
    fs::write(&object, autoloaded(&image.bytes, section)).expect("a writable directory");
    let loaded = Command::new("bpftool")
        .args(["prog", "loadall"])
        .arg(&object)
        .arg("/sys/fs/bpf/alone")
        .output()
        .expect("bpftool is installed");
    let said = String::from_utf8_lossy(&loaded.stderr);
    !loaded.status.success() && (said.contains(FORBIDDEN) || said.contains("-EPERM"))
}

/// The object with the `?` of one section's name skipped, so that its program is the one that is
/// loaded without being asked for.
fn autoloaded(object: &[u8], section: &str) -> Vec<u8> {
    let number = |at: usize, bytes: usize| {
        let field = object.get(at..at + bytes).expect("a whole object");
        field.iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let header = |index: usize| number(40, 8) + index * 64;
    let names = number(header(number(62, 2)) + 24, 8);
    let wanted = [section.as_bytes(), b"\0"].concat();
    let is_wanted = |index: &usize| {
        let name = names + number(header(*index), 4);
        object.get(name..).is_some_and(|name| name.starts_with(&wanted))
    };
    let index = (0..number(60, 2)).find(is_wanted).expect("the section is there");
    let at = header(index);
    let name = u32::try_from(number(at, 4) + 1).expect("32 bits");
    let mut changed = object.to_vec();
    changed[at..at + 4].copy_from_slice(&name.to_le_bytes());
    changed
}
