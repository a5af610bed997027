//! What the hooks of the network are told beside their targets.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::kinds::AttachType;

/// Where `ip netns` mounts the namespaces that it names (ip-netns(8)).
pub const NETNS_DIRECTORY: &str = "/run/netns";

/// Place among several programs at one hook.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// Before all others.
    First,
    /// After all others.
    Last,
    /// Right before that program.
    Before(Neighbour),
    /// Right after that program.
    After(Neighbour),
}

/// A program at the same hook.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Neighbour {
    /// Of the same manifest.
    Own {
        /// Its object.
        object: String,
        /// The program.
        program: String,
    },
    /// The only one of that name there, whoever attached it; at most 15 bytes, as the kernel keeps
    /// names.
    Named(String),
    /// The program or link that is pinned at that absolute path.
    Pinned(PathBuf),
}

impl Position {
    /// The program beside which it is.
    #[must_use]
    pub fn neighbour(&self) -> Option<&Neighbour> {
        match self {
            Self::Before(neighbour) | Self::After(neighbour) => Some(neighbour),
            Self::First | Self::Last => None,
        }
    }
}

/// `first`, ``before `fw.check` ``.
impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::First => f.write_str("first"),
            Self::Last => f.write_str("last"),
            Self::Before(neighbour) => write!(f, "before {neighbour}"),
            Self::After(neighbour) => write!(f, "after {neighbour}"),
        }
    }
}

impl Neighbour {
    /// What a manifest names: a path, `<object>.<program>` of its own, or any other program.
    #[must_use]
    pub fn named(name: &str) -> Self {
        if name.starts_with('/') {
            return Self::Pinned(PathBuf::from(name));
        }
        match name.split_once('.') {
            Some((object, program)) => {
                Self::Own { object: object.to_owned(), program: program.to_owned() }
            }
            None => Self::Named(name.to_owned()),
        }
    }
}

impl std::fmt::Display for Neighbour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own { object, program } => write!(f, "`{object}.{program}`"),
            Self::Named(name) => write!(f, "`{name}`"),
            Self::Pinned(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One end of a netkit pair.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum NetkitSide {
    /// The end that was created first.
    Primary,
    /// Its peer.
    Peer,
}

impl NetkitSide {
    /// The word a manifest uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Peer => "peer",
        }
    }

    /// The attach type of this end.
    #[must_use]
    pub fn attach_type(self) -> AttachType {
        match self {
            Self::Primary => AttachType::NETKIT_PRIMARY,
            Self::Peer => AttachType::NETKIT_PEER,
        }
    }
}

/// A protocol family of netfilter.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum NetfilterFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl NetfilterFamily {
    /// The word a manifest uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// `NFPROTO_*` of `include/uapi/linux/netfilter.h`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Ipv4 => 2,
            Self::Ipv6 => 10,
        }
    }
}

/// A place on a packet's way.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum NetfilterAt {
    /// Before the routing decision.
    Prerouting,
    /// Before delivery to this host.
    LocalIn,
    /// Between two interfaces.
    Forward,
    /// As this host sends.
    LocalOut,
    /// Before it leaves.
    Postrouting,
}

impl NetfilterAt {
    /// The word a manifest uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::LocalIn => "local-in",
            Self::Forward => "forward",
            Self::LocalOut => "local-out",
            Self::Postrouting => "postrouting",
        }
    }

    /// `enum nf_inet_hooks` of `include/uapi/linux/netfilter.h`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::LocalIn => 1,
            Self::Forward => 2,
            Self::LocalOut => 3,
            Self::Postrouting => 4,
        }
    }
}

/// A namespace in an address: `own`, the name that `ip netns` gave it, or where it is mounted.
pub(super) fn netns_name(path: Option<&Path>) -> String {
    let Some(path) = path else { return "own".to_owned() };
    let named = path.strip_prefix(NETNS_DIRECTORY).ok().filter(|name| *name != Path::new("own"));
    named.unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_called_what_their_users_call_them() {
        assert_eq!(netns_name(None), "own");
        assert_eq!(netns_name(Some(Path::new("/run/netns/blue"))), "blue");
        for path in ["/proc/7/ns/net", "/run/netns/own"] {
            assert_eq!(netns_name(Some(Path::new(path))), path);
        }
    }

    #[test]
    fn positions_are_recorded_as_manifests_write_them() {
        let position = Position::Before(Neighbour::Named("check".to_owned()));
        let text = serde_json::to_string(&position).expect("JSON");
        assert_eq!(text, r#"{"before":{"named":"check"}}"#);
        assert_eq!(serde_json::from_str::<Position>("\"first\"").expect("a word"), Position::First);
        assert_eq!(position.to_string(), "before `check`");
    }
}
