//! The `ebpf-apply` program; all of it is in the library.

use ebpf_apply::cli::{ExitStatus, run};

/// musl's own costs a small apply a third of its time.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitStatus {
    run()
}
