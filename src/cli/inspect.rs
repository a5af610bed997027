//! `ebpf-apply inspect`

use crate::object::Image;
use crate::view;

use super::ExitStatus;
use super::args::InspectArgs;
use super::context::Context;

pub(super) fn run(args: &InspectArgs, context: &Context) -> ExitStatus {
    let mut images = Vec::new();
    let mut status = ExitStatus::Ok;
    for path in &args.objects {
        let image = std::fs::read(path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| Image::new(path.clone(), bytes).map_err(|error| error.to_string()));
        match image {
            Ok(image) => images.push(image),
            Err(error) => {
                context.complain(&format!("error: cannot inspect {}: {error}\n", path.display()));
                status = ExitStatus::Invalid;
            }
        }
    }
    context.result(
        |style| images.iter().map(|image| view::object::human(image, style)).collect(),
        || view::object::json(&images),
    );
    status
}
