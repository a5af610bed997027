//! `ebpf-apply adopt`

use super::ExitStatus;
use super::apply;
use super::args::{AdoptArgs, ApplyArgs, TrustArgs};
use super::context::Context;

pub(super) fn run(args: &AdoptArgs, context: &Context) -> ExitStatus {
    let TrustArgs { require_digests, trusted_keys } = args.trust.clone();
    let detached = ApplyArgs {
        require_digests,
        trusted_keys,
        btf: args.btf.clone(),
        verifier_log: args.verifier_log.clone(),
        ..ApplyArgs::detached()
    };
    apply::adopt(&args.manifest, &detached, context)
}
