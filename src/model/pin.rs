//! Pins: policies, roots and paths.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attach::Attachment;
use super::digest::Digest;
use super::name::{Name, NameError};

/// What becomes of a map's (or program's) pin.
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
pub enum PinPolicy {
    /// Not pinned by name: lives while a loaded program or a process holds it.
    None,
    /// Pinned while the deployment lives, unpinned when it ends.
    ByName,
    /// Pinned, and left pinned with its contents when the deployment ends.
    PersistOnExit,
}

impl PinPolicy {
    /// Whether the policy puts a name onto bpffs.
    #[must_use]
    pub fn is_pinned(self) -> bool {
        self != Self::None
    }

    /// The word a manifest uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ByName => "by-name",
            Self::PersistOnExit => "persist-on-exit",
        }
    }
}

impl fmt::Display for PinPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What to do about an existing pin of another shape.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
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
pub enum OnMismatch {
    /// Refuse, and list every differing field.
    #[default]
    Fail,
    /// Start with an empty map; the old contents are lost.
    Replace,
    /// Carry the entries over into a new map, where key and value allow it and the new map has room
    /// for all; otherwise refuse, or fail with nothing changed.
    Migrate,
}

/// The directory on bpffs below which a deployment pins: absolute, normalised, dot-free.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PinRoot(PathBuf);

/// Why a path is no [`PinRoot`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinRootError {
    /// The path is relative.
    #[error("a pin root is an absolute path")]
    Relative,
    /// The path contains `..` or `.` as a component.
    #[error("a pin root has no `.` or `..` component")]
    Traversal,
    /// A component contains a dot, which bpffs refuses.
    #[error("`{0}` contains a `.`, which bpffs refuses in every name (EPERM)")]
    Dot(String),
    /// The path is not UTF-8, or contains a NUL byte.
    #[error("a pin root is UTF-8 text without NUL")]
    Text,
}

impl PinRoot {
    /// Where deployments pin unless their manifest says otherwise.
    pub const DEFAULT_PARENT: &'static str = "/sys/fs/bpf/ebpf-apply";

    /// Checks the path. Repeated and trailing slashes are dropped.
    ///
    /// # Errors
    /// A [`PinRootError`] that says what is wrong. Whether the path lies on bpffs is not asked here.
    pub fn new(path: &Path) -> Result<Self, PinRootError> {
        let text = path.to_str().ok_or(PinRootError::Text)?;
        if text.contains('\0') {
            return Err(PinRootError::Text);
        }
        if !path.is_absolute() {
            return Err(PinRootError::Relative);
        }
        if text.split('/').any(|part| part == "." || part == "..") {
            return Err(PinRootError::Traversal);
        }
        let mut normal = PathBuf::from("/");
        for component in path.components() {
            if let Component::Normal(part) = component {
                normal.push(part);
            }
        }
        // Only what lies on bpffs must be dot-free; where bpffs begins is not known here, so the
        // last component, which is certainly on it, is checked. The kernel layer checks the rest.
        match normal.file_name().and_then(|name| name.to_str()) {
            Some(last) if last.contains('.') => Err(PinRootError::Dot(last.to_owned())),
            _ => Ok(Self(normal)),
        }
    }

    /// `/sys/fs/bpf/ebpf-apply/<name>`.
    #[must_use]
    pub fn default_for(name: &Name) -> Self {
        Self(Path::new(Self::DEFAULT_PARENT).join(name.as_str()))
    }

    /// The directory.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The absolute path of a pin below this root.
    #[must_use]
    pub fn join(&self, pin: &PinPath) -> PathBuf {
        self.0.join(pin.as_str())
    }
}

impl fmt::Display for PinRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl<'de> Deserialize<'de> for PinRoot {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        Self::new(&path).map_err(serde::de::Error::custom)
    }
}

/// Deepest sub-path, in components.
pub const SUBPATH_MAX_DEPTH: usize = 8;

/// A directory below the pin root that a manifest chose: one to eight [`Name`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubPath(Vec<Name>);

/// Why a string is no [`SubPath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubPathError {
    /// The path is absolute.
    #[error("a sub-path is relative to the pin root, so it does not begin with `/`")]
    Absolute,
    /// `.` or `..` as a component.
    #[error("a sub-path stays below the pin root: no `.` or `..`")]
    Traversal,
    /// More than [`SUBPATH_MAX_DEPTH`] components.
    #[error("a sub-path has at most {SUBPATH_MAX_DEPTH} components, this one has {0}")]
    TooDeep(usize),
    /// A component is no [`Name`].
    #[error("`{component}` cannot be a component of a sub-path: {reason}")]
    Component {
        /// The offending component.
        component: String,
        /// What is wrong with it.
        reason: NameError,
    },
}

impl SubPath {
    /// Checks `text`, whose components are separated by `/`.
    ///
    /// # Errors
    /// A [`SubPathError`] for the first component that breaks the grammar.
    pub fn new(text: &str) -> Result<Self, SubPathError> {
        if text.starts_with('/') {
            return Err(SubPathError::Absolute);
        }
        let parts: Vec<&str> = text.split('/').collect();
        if parts.iter().any(|part| *part == "." || *part == "..") {
            return Err(SubPathError::Traversal);
        }
        if parts.len() > SUBPATH_MAX_DEPTH {
            return Err(SubPathError::TooDeep(parts.len()));
        }
        let name = |part: &&str| {
            Name::new(part)
                .map_err(|reason| SubPathError::Component { component: (*part).to_owned(), reason })
        };
        parts.iter().map(name).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for SubPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, component) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("/")?;
            }
            component.fmt(f)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for SubPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// Where something is pinned, relative to a [`PinRoot`]: `state/flows`, `~links/edge/fw:prog:xdp:eth0`.
///
/// Made only by the constructors below, so it has no `.`, `..` or empty component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PinPath(String);

/// What the name of a private pin says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrivatePin {
    /// A pin under `~progs`.
    Program {
        /// The object's name.
        object: String,
        /// The program's name.
        program: String,
    },
    /// A pin under `~maps`.
    Map {
        /// The object's name.
        object: String,
        /// The map's name.
        map: String,
    },
    /// A pin under `~links`.
    Link {
        /// The object's name.
        object: String,
        /// The program's name.
        program: String,
        /// The place, as [`Attachment`] prints it.
        place: String,
    },
}

/// Longest file name on bpffs, in bytes (`NAME_MAX`).
const FILE_NAME_MAX: usize = 255;

impl PinPath {
    /// `<subpath>/<name>`: a pin that the manifest or the object asked for.
    #[must_use]
    pub fn public(subpath: &SubPath, name: &str) -> Self {
        let mut path = String::new();
        for component in &subpath.0 {
            path.push_str(component.as_str());
            path.push('/');
        }
        path.push_str(&escape(name));
        Self(path)
    }

    /// `~links/<deployment>/<object>:<program>:<hook>:<target>`: keeps an attachment in place.
    #[must_use]
    pub fn link(deployment: &Name, object: &Name, program: &str, attachment: &Attachment) -> Self {
        let target = attachment.target();
        let mut key = vec![object.as_str(), program, attachment.hook()];
        key.extend(target.iter().map(String::as_str));
        Self::own("~links", deployment, &key)
    }

    /// `~progs/<deployment>/<object>:<program>`: keeps a loaded program.
    #[must_use]
    pub fn program(deployment: &Name, object: &Name, program: &str) -> Self {
        Self::own("~progs", deployment, &[object.as_str(), program])
    }

    /// `~maps/<deployment>/<object>:<map>`: keeps the contents of a map of policy `none` that the
    /// kernel would drop with its last user reference.
    #[must_use]
    pub fn map(deployment: &Name, object: &Name, map: &str) -> Self {
        Self::own("~maps", deployment, &[object.as_str(), map])
    }

    /// `~stage/<deployment>/<n>`: what a running transaction put aside.
    #[must_use]
    pub fn stage(deployment: &Name, n: usize) -> Self {
        Self::own("~stage", deployment, &[&n.to_string()])
    }

    /// Whether the path lies in a directory that only `deployment` uses: `~links/<deployment>/…`.
    #[must_use]
    pub fn is_private_to(&self, deployment: &Name) -> bool {
        let mut parts = self.0.split('/');
        parts.next().is_some_and(|first| first.starts_with('~'))
            && parts.next() == Some(deployment.as_str())
    }

    /// Whether the path lies in one of our own directories, `~…`, of whichever deployment.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.0.starts_with('~')
    }

    /// Whether the path lies in a stage, where transactions put aside what they replace.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        self.0.starts_with("~stage/")
    }

    /// The parts of the name of a pin that only `deployment` uses, as they were before escaping:
    /// `fw`, `prog`, `xdp`, `eth0.100` of `~links/edge/fw:prog:xdp:eth0%2E100`. `None` for a pin
    /// elsewhere, or one whose name is not of that form.
    #[must_use]
    pub fn private_parts(&self, deployment: &Name) -> Option<PrivatePin> {
        if !self.is_private_to(deployment) {
            return None;
        }
        let parts: Option<Vec<String>> = self.file_name().split(':').map(unescape).collect();
        let directory = self.0.split('/').next()?;
        match (directory, parts?.as_slice()) {
            ("~progs", [object, program]) => {
                Some(PrivatePin::Program { object: object.clone(), program: program.clone() })
            }
            ("~maps", [object, map]) => {
                Some(PrivatePin::Map { object: object.clone(), map: map.clone() })
            }
            ("~links", [object, program, place @ ..]) if !place.is_empty() => {
                Some(PrivatePin::Link {
                    object: object.clone(),
                    program: program.clone(),
                    place: place.join(":"),
                })
            }
            _ => None,
        }
    }

    /// The directories that only `deployment` uses.
    #[must_use]
    pub fn private_directories(deployment: &Name) -> [Self; 4] {
        ["~links", "~maps", "~progs", "~stage"].map(|top| Self(format!("{top}/{deployment}")))
    }

    fn own(directory: &str, deployment: &Name, key: &[&str]) -> Self {
        let parts: Vec<String> = key.iter().map(|part| escape(part)).collect();
        Self(format!("{directory}/{deployment}/{}", bounded(parts.join(":"))))
    }

    /// What lies as `file_name` in this directory; `None` for a name that bpffs cannot hold.
    #[must_use]
    pub fn child(&self, file_name: &str) -> Option<Self> {
        let legal = !file_name.is_empty()
            && file_name.len() <= FILE_NAME_MAX
            && !file_name.contains(['.', '/', '\0']);
        legal.then(|| Self(format!("{}/{file_name}", self.0)))
    }

    /// The path as text, without a leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory this pin lies in, or `None` directly below the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// The directories above this pin, outermost first, the root not counted.
    #[must_use]
    pub fn ancestors(&self) -> Vec<Self> {
        let ends = self.0.match_indices('/').map(|(at, _)| at);
        ends.map(|end| Self(self.0[..end].to_owned())).collect()
    }
}

impl fmt::Display for PinPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PinPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let legal = |part: &str| !part.is_empty() && !part.contains('.') && !part.contains('\0');
        if text.split('/').all(legal) {
            Ok(Self(text))
        } else {
            Err(serde::de::Error::custom(format!("`{text}` is no path below a pin root")))
        }
    }
}

/// Writes `text` with the alphabet of a [`Name`]; any other byte becomes `%XX`, so that two texts
/// never meet in one file name.
fn escape(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            out.push(char::from(byte));
        } else {
            for digit in [b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]] {
                out.push(char::from(digit));
            }
        }
    }
    out
}

/// Reads what [`escape`] wrote; `None` for anything else.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let [high, low, after @ ..] = after else { return None };
            let digits = [*high, *low];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Cuts a file name that bpffs could not hold and makes it unique again with a digest of the whole.
fn bounded(name: String) -> String {
    if name.len() <= FILE_NAME_MAX {
        return name;
    }
    let digest = Digest::of(name.as_bytes()).to_string();
    let tail = &digest[..32];
    format!("{}:{tail}", &name[..FILE_NAME_MAX - tail.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attach::XdpMode;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a legal name")
    }

    #[test]
    fn roots() {
        let root = |text: &str| PinRoot::new(Path::new(text)).map(|root| root.to_string());
        assert_eq!(root("/sys/fs/bpf//edge/"), Ok("/sys/fs/bpf/edge".into()));
        assert_eq!(root("edge"), Err(PinRootError::Relative));
        assert_eq!(root("/sys/fs/bpf/../x"), Err(PinRootError::Traversal));
        assert_eq!(root("/sys/fs/bpf/./x"), Err(PinRootError::Traversal));
        assert_eq!(root("/sys/fs/bpf/v1.2"), Err(PinRootError::Dot("v1.2".into())));
    }

    #[test]
    fn subpaths() {
        assert!(SubPath::new("a/b_c/d-e").is_ok());
        assert_eq!(SubPath::new("/a"), Err(SubPathError::Absolute));
        assert_eq!(SubPath::new("a/../b"), Err(SubPathError::Traversal));
        assert_eq!(SubPath::new("a/b/c/d/e/f/g/h/i"), Err(SubPathError::TooDeep(9)));
        assert!(matches!(
            SubPath::new("a//b"),
            Err(SubPathError::Component { reason: NameError::Empty, .. })
        ));
        assert!(matches!(SubPath::new("v1.2"), Err(SubPathError::Component { .. })));
    }

    #[test]
    fn public_pins_lie_in_their_subpath() {
        let sub = SubPath::new("state/deep").expect("legal");
        let pin = PinPath::public(&sub, "flows");
        assert_eq!(pin.as_str(), "state/deep/flows");
        assert_eq!(pin.file_name(), "flows");
        assert_eq!(pin.parent().map(|p| p.to_string()), Some("state/deep".into()));
        let above: Vec<String> = pin.ancestors().iter().map(ToString::to_string).collect();
        assert_eq!(above, ["state", "state/deep"]);
        assert_eq!(PinPath::public(&SubPath::default(), "flows").parent(), None);
    }

    #[test]
    fn children_stay_in_their_directory() {
        let [links, ..] = PinPath::private_directories(&name("edge"));
        assert_eq!(links.child("a:b").map(|p| p.to_string()), Some("~links/edge/a:b".into()));
        for escape in ["", "..", "a/b", "v1.2"] {
            assert_eq!(links.child(escape), None, "{escape}");
        }
    }

    #[test]
    fn own_pins_are_dot_free_and_distinct() {
        let (edge, fw) = (name("edge"), name("fw"));
        let tracepoint = |name: &str| {
            let attachment = Attachment::RawTracepoint { name: name.to_owned(), cookie: None };
            PinPath::link(&edge, &fw, "prog", &attachment)
        };
        let vlan = Attachment::Xdp { interface: "eth0.100".into(), mode: XdpMode::Auto };
        let vlan = PinPath::link(&edge, &fw, "prog", &vlan);
        assert_eq!(vlan.as_str(), "~links/edge/fw:prog:xdp:eth0%2E100");
        assert!(vlan.is_private_to(&edge) && !vlan.is_private_to(&fw));
        assert_ne!(tracepoint("a:b"), tracepoint("a%3Ab"));
        let link = |place: &str| PrivatePin::Link {
            object: "fw".into(),
            program: "prog".into(),
            place: place.into(),
        };
        assert_eq!(vlan.private_parts(&edge), Some(link("xdp:eth0.100")));
        assert_eq!(tracepoint("a:b%").private_parts(&edge), Some(link("raw-tracepoint:a:b%")));
        assert_eq!(vlan.private_parts(&fw), None);
        let long = "x".repeat(400);
        let first = tracepoint(&format!("{long}1"));
        assert_eq!(first.file_name().len(), FILE_NAME_MAX);
        assert_ne!(first, tracepoint(&format!("{long}2")));
    }
}
