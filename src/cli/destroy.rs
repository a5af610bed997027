//! `ebpf-apply destroy`

use crate::apply::Holder;
use crate::kernel::linux::Linux;
use crate::model::name::Name;

use super::ExitStatus;
use super::args::DestroyArgs;
use super::context::Context;
use super::hold;

pub(super) fn run(args: &DestroyArgs, context: &Context) -> ExitStatus {
    let name = match name(args, context) {
        Ok(name) => name,
        Err(status) => return status,
    };
    let _holder = match Holder::take(&context.state, &name) {
        Ok(holder) => holder,
        Err(error) => return context.failed(&error.into()),
    };
    let kernel = Linux::new();
    hold::end(&context.host(&kernel), &name, args.purge, context)
}

fn name(args: &DestroyArgs, context: &Context) -> Result<Name, ExitStatus> {
    match (&args.name, &args.manifest) {
        (Some(name), _) => Name::new(name).map_err(|error| {
            context.complain(&format!("error: `{name}` names no deployment: {error}\n"));
            ExitStatus::Usage
        }),
        (None, Some(manifest)) => context.name(manifest),
        (None, None) => Err(ExitStatus::Usage),
    }
}
