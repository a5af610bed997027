//! The `ebpf-apply` program; all of it is in the library.

use ebpf_apply::cli::{ExitStatus, run};

fn main() -> ExitStatus {
    run()
}
