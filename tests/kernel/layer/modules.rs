//! What objects ask of kernel modules. The module must be loaded: no test loads one into the host's
//! kernel.

use std::collections::BTreeMap;

use ebpf_apply::kernel::linux::{Handle, Linux};
use ebpf_apply::kernel::{Kernel, LoadRequest, Result};
use ebpf_apply::object::Image;

use super::running::{element, output, run};
use crate::contract::{create_maps, image};
use crate::features::{
    CONNECTION_LOOKUP, PROGRAMS_AT_FUNCTIONS, TYPES_OF_DUMMY, TYPES_OF_X_TABLES, lacks,
};
use crate::sandbox::Sandbox;

/// One program of the object, with the object's maps.
struct Alone {
    maps: BTreeMap<String, Handle>,
    program: Result<Handle>,
}

fn load(kernel: &Linux, image: &Image, program: &str) -> Alone {
    let btf = kernel.load_btf(image).expect("load BTF");
    let maps = create_maps(kernel, image, btf.as_ref());
    let request = LoadRequest {
        image,
        programs: vec![image.spec.program(program).expect("the object has it")],
        maps: maps.iter().map(|(name, map)| (name.as_str(), map)).collect(),
        btf: btf.as_ref(),
    };
    let loaded = kernel.load_programs(&[request]);
    let only = |loaded: Vec<BTreeMap<String, Handle>>| {
        loaded.into_iter().flatten().next().expect("it was loaded").1
    };
    Alone { program: loaded.map(only), maps }
}

fn expect_loaded(loaded: &Alone) -> &Handle {
    loaded.program.as_ref().unwrap_or_else(|error| panic!("{error} {:?}", error.log))
}

#[test]
fn functions_and_types_of_a_module_are_found() {
    if lacks(&[CONNECTION_LOOKUP]) {
        return;
    }
    Sandbox::run(|_| {
        let loaded = load(&Linux::new(), &image("module_types"), "conntrack");
        run(expect_loaded(&loaded), &[0; 64]);
        let [called, error, size, ..] = element::<[u64; 4]>(&loaded.maps[".bss"], 0);
        assert_eq!(called, 1);
        // -ENOENT: there is no such connection; so the function ran.
        assert_eq!(error, u64::from((-libc::ENOENT).cast_unsigned()));
        assert!(size >= 12, "the size of the module's own struct: {size}");
    });
}

#[test]
fn a_variable_of_a_module_is_found() {
    if lacks(&[TYPES_OF_X_TABLES]) {
        return;
    }
    Sandbox::run(|_| {
        let loaded = load(&Linux::new(), &image("module_types"), "variable");
        expect_loaded(&loaded);
    });
}

#[test]
fn a_function_of_a_module_is_attached_to() {
    if lacks(&[TYPES_OF_DUMMY, PROGRAMS_AT_FUNCTIONS]) {
        return;
    }
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("module_types");
        for program in ["anywhere", "in_dummy"] {
            let loaded = load(&kernel, &image, program);
            let id = kernel.id(expect_loaded(&loaded)).to_string();
            let shown = output("bpftool", &["--json", "prog", "show", "id", &id]);
            let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
            assert_eq!(shown["type"], "tracing");
        }
    });
}

#[test]
fn a_module_that_is_named_is_the_only_one_searched() {
    Sandbox::run(|_| {
        let loaded = load(&Linux::new(), &image("module_types"), "in_another");
        let error = loaded.program.expect_err("it is not there").to_string();
        let expected = "module `nonesuch` is not loaded, or has no func `dummy_xmit` in its BTF";
        assert!(error.contains(expected), "{error}");
    });
}
