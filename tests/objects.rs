//! Every C source under `bpf/` builds into an object for the BPF machine.

mod support;

use std::fs;

use object::{Architecture, Object as _};

#[test]
fn every_source_builds() {
    let mut built = 0;
    for entry in fs::read_dir(support::root().join("bpf")).expect("bpf/ can be listed") {
        let file = entry.expect("bpf/ can be listed").file_name();
        let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".bpf.c")) else {
            continue;
        };
        let bytes = fs::read(support::object(name)).expect("what was built can be read");
        let elf = object::File::parse(&*bytes).expect("what was built is an object");
        assert_eq!(elf.architecture(), Architecture::Bpf, "{name}");
        built += 1;
    }
    assert!(built > 0, "no source in bpf/");
}
