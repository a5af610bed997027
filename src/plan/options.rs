//! The options of an attachment: what of it can change without making it another one.

use crate::model::attach::Attachment;

use super::probes;

/// The part of an attachment that is not its identity, in words.
pub(super) fn options(attachment: &Attachment) -> String {
    match attachment {
        Attachment::Xdp { mode, .. } => format!("mode {}", mode.as_str()),
        Attachment::XdpShared { mode, run, .. } => {
            format!("mode {}, {}", mode.as_str(), run.describe())
        }
        Attachment::Tcx { position, .. } | Attachment::Netkit { position, .. } => match position {
            Some(position) => format!("position {position}"),
            None => "no position".to_owned(),
        },
        Attachment::Netfilter { defrag: true, .. } => "defrag".to_owned(),
        Attachment::Netfilter { defrag: false, .. } => "no defrag".to_owned(),
        Attachment::Tc { priority, handle, .. } => {
            format!("priority {}, handle {}", number(*priority), number(*handle))
        }
        _ => probes::options(attachment).unwrap_or_else(|| attachment.to_string()),
    }
}

fn number<N: std::fmt::Display>(number: Option<N>) -> String {
    number.map_or_else(|| "any".to_owned(), |number| number.to_string())
}
