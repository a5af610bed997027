//! `ebpf-apply explain`

use crate::manifest::suggest;
use crate::model::code;
use crate::view;

use super::ExitStatus;
use super::args::ExplainArgs;
use super::context::Context;

pub(super) fn run(args: &ExplainArgs, context: &Context) -> ExitStatus {
    let Some(wanted) = &args.code else {
        context.result(view::explain::list, view::explain::list_json);
        return ExitStatus::Ok;
    };
    if let Some(page) = code::page(wanted) {
        context.result(
            |style| view::explain::page(page, style),
            || view::explain::page_json(wanted, page),
        );
        return ExitStatus::Ok;
    }
    let near = suggest(wanted, code::ALL.iter().map(|(code, _)| *code));
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`ebpf-apply explain` lists them all".to_owned(),
    };
    context.misused(&format!("no problem has the code `{wanted}`; {hint}"))
}
