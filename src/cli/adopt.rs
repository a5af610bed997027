//! `ebpf-apply adopt`

use super::ExitStatus;
use super::apply;
use super::args::{AdoptArgs, ApplyArgs, TrustArgs};
use super::context::Context;

pub(super) fn run(args: &AdoptArgs, context: &Context) -> ExitStatus {
    let AdoptArgs { manifest, trust, btf, verifier_log } = args.clone();
    let TrustArgs { require_digests, trusted_keys } = trust;
    let args =
        ApplyArgs { require_digests, trusted_keys, btf, verifier_log, ..ApplyArgs::detached() };
    apply::adopt(&manifest, &args, context)
}
