//! `ebpf-apply adopt`

use super::ExitStatus;
use super::apply;
use super::args::{AdoptArgs, ApplyArgs};
use super::context::Context;

pub(super) fn run(args: AdoptArgs, context: &Context) -> ExitStatus {
    let AdoptArgs { manifest, btf, verifier_log } = args;
    let args = ApplyArgs { btf, verifier_log, ..ApplyArgs::detached() };
    apply::adopt(&manifest, &args, context)
}
