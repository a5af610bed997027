//! Any bytes as an object: described, or refused, and what was described can be shown.

#![no_main]

use ebpf_apply::object::{Image, inspect};
use ebpf_apply::view::{self, Style};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(spec) = inspect(bytes) else { return };
    serde_json::to_string(&spec).expect("a description is JSON");
    if let Ok(image) = Image::new("fuzzed.bpf.o", bytes.to_vec()) {
        let _ = view::object::human(&image, Style::PLAIN);
    }
});
