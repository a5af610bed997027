//! `ebpf-apply inspect`

use std::path::Path;

use crate::object::Image;
use crate::view;
use crate::view::object::Inspected;

use super::ExitStatus;
use super::args::InspectArgs;
use super::checked;
use super::context::Context;

pub(super) fn run(args: &InspectArgs, context: &Context) -> ExitStatus {
    let inspected: Vec<Inspected> = args.objects.iter().map(|path| inspect(path)).collect();
    for failed in inspected.iter().filter_map(|one| one.as_ref().err()) {
        context.complain(|style| view::failure::error(failed, style));
    }
    context.result(
        |_| {
            let style = context.line_style();
            inspected.iter().flatten().map(|image| view::object::human(image, style)).collect()
        },
        || view::object::json(&inspected),
    );
    if inspected.iter().all(Result::is_ok) { ExitStatus::Ok } else { ExitStatus::Invalid }
}

pub(super) fn inspect(path: &Path) -> Inspected {
    let failed = |error: String| format!("cannot inspect {}: {error}", path.display());
    let bytes = checked::object(path).map_err(|error| failed(error.to_string()))?;
    Image::new(path.to_owned(), bytes).map_err(|error| failed(error.to_string()))
}
