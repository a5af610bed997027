//! What a wanted state comes to on the host at hand, before anything is planned.

use std::borrow::Cow;

use crate::kernel::{Kernel, Result, Settled};
use crate::validate::Desired;

/// With every attachment as this host's kernel makes it.
pub(super) fn settle<'d, K: Kernel>(kernel: &K, desired: &'d Desired) -> Result<Cow<'d, Desired>> {
    let mut settled = Cow::Borrowed(desired);
    for (at, object) in desired.objects.iter().enumerate() {
        for (index, program) in object.programs.iter().enumerate() {
            if program.attachments.is_empty() {
                continue;
            }
            let Some(found) = kernel.settle(&program.spec, &program.attachments)? else { continue };
            let Settled { attach_type, attachments, note } = found;
            let objects = &mut settled.to_mut().objects;
            let programs = objects.get_mut(at).map(|object| &mut object.programs);
            let Some(program) = programs.and_then(|programs| programs.get_mut(index)) else {
                continue;
            };
            if let Some(kind) = &mut program.spec.kind {
                kind.attach_type = attach_type;
            }
            program.attachments = attachments;
            program.note = note;
        }
    }
    Ok(settled)
}
