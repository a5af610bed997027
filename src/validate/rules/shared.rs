//! XDP programs that share an interface, called by a dispatcher of libxdp.

use super::attachments::Place;
use crate::manifest::{Hook, Xdp};
use crate::model::attach::XdpMode;
use crate::model::code;
use crate::model::dispatch::Run;
use crate::model::problem::Problem;

impl Place<'_, '_, '_> {
    /// When and how a dispatcher calls the program; `None` where it has the interface for itself.
    pub(super) fn shared(&mut self, hook: &Xdp) -> Option<Run> {
        if !hook.dispatcher {
            let options = [
                ("priority", hook.priority.is_some()),
                ("chain-actions", hook.chain_actions.is_some()),
            ];
            for (option, _) in options.into_iter().filter(|(_, given)| *given) {
                let message = format!(
                    "`{option}` is for programs that a dispatcher calls, and none is asked for"
                );
                let problem = Problem::error(code::BAD_TARGET, None, message)
                    .help("add `dispatcher = true` to share the interface with other programs");
                self.report(option, problem);
            }
            return None;
        }
        if hook.mode == XdpMode::Offload {
            let message =
                "no card runs a dispatcher: mode `offload` is for a program that is alone";
            let problem = Problem::error(code::BAD_TARGET, None, message)
                .help("write mode `native`, `generic` or `auto`");
            self.report("mode", problem);
        }
        if !self.subject.spec().has_btf {
            let message = format!(
                "object `{}` has no BTF, without which no dispatcher can call its programs",
                self.subject.name
            );
            let problem = Problem::error(code::HOOK_MISMATCH, None, message)
                .help("compile it with `-g`, which makes clang write BTF");
            self.report("dispatcher", problem);
        }
        let entry = self.subject.entry.programs.get(&self.program.name);
        let alone = |other: &Hook| matches!(other, Hook::Xdp(other) if !other.dispatcher);
        if entry.is_some_and(|entry| entry.attach.iter().any(alone)) {
            let message = format!(
                "program `{}` is called by a dispatcher here, and has an interface for itself elsewhere",
                self.program.name
            );
            let problem = Problem::error(code::ATTACHMENT_CONFLICT, None, message)
                .help("it is loaded for one or the other: write `dispatcher = true` at both");
            self.report("dispatcher", problem);
        }
        let default = self.program.xdp_run.clone().unwrap_or_default();
        Some(Run {
            priority: hook.priority.unwrap_or(default.priority),
            chain_actions: match &hook.chain_actions {
                Some(actions) => actions.iter().copied().collect(),
                None => default.chain_actions,
            },
        })
    }
}
