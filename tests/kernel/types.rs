//! `--btf`: types from a file instead of the kernel's own.

use std::fs;

use object::write::Object;
use object::{Architecture, BinaryFormat, Endianness, SectionKind};

use crate::program::Program;
use crate::sandbox::Sandbox;
use crate::support::object;

const KERNEL: &str = "/sys/kernel/btf/vmlinux";

fn manifest(program: &Program) -> String {
    let text = format!(
        "version = 1\nname = \"types\"\npin-root = \"/sys/fs/bpf/types\"\n\n[objects.it]\npath = \"{}\"\n",
        object("core_read").display()
    );
    program.manifest("types.toml", &text)
}

/// An ELF file with one section.
fn elf_with(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let section = elf.add_section(Vec::new(), name.into(), SectionKind::Other);
    elf.append_section_data(section, contents, 1);
    elf.write().expect("an ELF file")
}

#[test]
fn come_raw_or_in_an_elf_file() {
    Sandbox::run(|_| {
        let program = Program::new();
        let manifest = manifest(&program);
        let raw = program.directory().join("raw.btf");
        fs::copy(KERNEL, &raw).expect("copy the kernel's BTF");
        let elf = program.directory().join("vmlinux");
        fs::write(&elf, elf_with(".BTF", &fs::read(KERNEL).expect("the kernel's BTF")))
            .expect("a writable directory");
        for file in [raw, elf] {
            let file = file.display().to_string();
            program.run(&["apply", &manifest, "--detach", "--btf", &file]).status(0);
            program.run(&["destroy", &manifest]).status(0);
        }
    });
}

#[test]
fn that_do_not_fit_or_are_none_fail_and_say_so() {
    Sandbox::run(|_| {
        let program = Program::new();
        let manifest = manifest(&program);
        // The object's own types lack what the kernel's would have: nothing to adjust to.
        let other = object("bench_small").display().to_string();
        let said = program.run(&["apply", &manifest, "--detach", "--btf", &other]).status(1);
        said.complains("no match for");
        for command in [&["plan", &manifest][..], &["apply", &manifest, "--detach"]] {
            let said = program.run(&[command, &["--btf", "/nowhere"]].concat()).status(1);
            said.complains("/nowhere");
        }
    });
}
