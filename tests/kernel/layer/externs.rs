//! What an object asks of the kernel by name.

use ebpf_apply::kernel::linux::Linux;
use ebpf_apply::kernel::{Kernel, LoadRequest};
use ebpf_apply::model::live::LiveObject;
use ebpf_apply::model::pin::PinRoot;

use super::running::{element, output, run};
use crate::contract::{image, load, pin};
use crate::features::{COOKIES, RCU_FUNCTIONS, configuration, goes_without};
use crate::sandbox::Sandbox;

/// The value of an option; empty where there is none.
fn option(name: &str) -> String {
    let text = configuration();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_default().to_owned()
}

#[test]
fn values_of_the_configuration_and_addresses_of_symbols_arrive() {
    Sandbox::run(|_| {
        let loaded = load(&Linux::new(), "externs");
        run(loaded.program("ask"), &[0; 64]);
        let seen = |index| element::<u64>(&loaded.maps["seen"], index);
        let version = aya::util::KernelVersion::current().expect("the kernel has a version");
        assert_eq!(seen(0), u64::from(version.code()));
        let symbols = std::fs::read_to_string("/proc/kallsyms").expect("the symbols");
        let address = |name: &str| {
            let line = symbols.lines().find(|line| line.split_whitespace().nth(2) == Some(name));
            line.map(|line| u64::from_str_radix(&line[..16], 16).expect("an address"))
        };
        let wrapped = address("__x64_sys_bpf").or_else(|| address("__arm64_sys_bpf"));
        assert_eq!(seen(1), u64::from(!goes_without(COOKIES)));
        assert_eq!(seen(2), u64::from(wrapped.is_some()));
        assert_eq!(seen(3), 0, "a weak value that this version does not know");
        assert_eq!(seen(4), 1);
        let jit = option("CONFIG_BPF_JIT");
        assert_eq!(seen(5), u64::from(jit.bytes().next().unwrap_or_default()));
        assert_eq!(seen(6), 1, "TRI_YES");
        assert_eq!(seen(7).to_string(), option("CONFIG_HZ"));
        assert_eq!(seen(8), option("CONFIG_LOG_BUF_SHIFT").parse::<u64>().unwrap_or_default());
        let compiler = option("CONFIG_CC_VERSION_TEXT");
        assert_eq!(Some(seen(9)), compiler.as_bytes().get(1).copied().map(u64::from));
        assert_eq!(seen(10), 0, "the text was cut and ends");
        assert_eq!(seen(11), 0);
        assert_eq!(Some(seen(12)), address("bpf_prog_put"));
        assert_eq!(seen(13), 0);
        assert_eq!(seen(14), u64::from(!goes_without(RCU_FUNCTIONS)), "a function was called");
        assert_eq!(seen(15), 0, "a function that is not there");
    });
}

#[test]
fn the_map_of_values_is_named_typed_and_frozen() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let root = PinRoot::new("/sys/fs/bpf/externs".as_ref()).expect("a legal root");
        kernel.make_root(&root).expect("make the root");
        let loaded = load(&kernel, "externs");
        kernel.pin(loaded.program("ask"), &root, &pin("ask")).expect("pin");
        let found = kernel.open(&root, &pin("ask")).expect("open").expect("it is pinned");
        let LiveObject::Program(program) = found.object else { panic!("a program is pinned") };
        let own: Vec<u32> = loaded.maps.values().map(|map| kernel.id(map)).collect();
        let id = program.map_ids.iter().find(|id| !own.contains(id)).expect("one more map");
        let shown = output("bpftool", &["--json", "map", "show", "id", &id.to_string()]);
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(shown["name"], "externs.kconfig");
        assert_eq!(shown["flags"], 0x480, "mappable, and read-only for programs");
        assert_eq!(shown["frozen"], 1);
        assert!(shown["btf_id"].is_number(), "it has a type: {shown}");
    });
}

#[test]
fn an_option_that_is_missing_is_named() {
    Sandbox::run(|_| {
        let kernel = Linux::new();
        let image = image("missing_option");
        let programs = image.spec.programs.iter().collect();
        let request = LoadRequest {
            image: &image,
            programs,
            maps: std::collections::BTreeMap::new(),
            btf: None,
        };
        let error = kernel.load_programs(&[request]).expect_err("there is no such option");
        assert!(error.to_string().contains("`CONFIG_THAT_IS_NOWHERE`"), "{error}");
    });
}
