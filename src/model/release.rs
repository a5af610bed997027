//! Releases of Linux, as far as they decide what a kernel can do.

use std::fmt;
use std::str::FromStr;

/// A release by its first two numbers; what comes after them only mends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    /// The first number.
    pub major: u16,
    /// The second.
    pub minor: u16,
}

/// Why a text is no [`Release`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no release of Linux: write it as `5.15`, or as `uname -r` does")]
pub struct ReleaseError(String);

impl Release {
    /// `release(5, 15)` is Linux 5.15.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Release {
    type Err = ReleaseError;

    /// Reads `5.15`, and what `uname -r` prints: `5.15.0-91-generic`.
    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let error = || ReleaseError(text.to_owned());
        let (major, rest) = text.split_once('.').ok_or_else(error)?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (minor, rest) = rest.split_at(end);
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        };
        let ends = rest.is_empty() || rest.starts_with(['.', '-', '+', '~']);
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) if ends => Ok(Self { major, minor }),
            _ => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_people_and_kernels_write_them() {
        for text in ["5.15", "5.15.0", "5.15.0-91-generic", "5.15-rc3", "5.15+"] {
            assert_eq!(text.parse(), Ok(Release::new(5, 15)), "{text}");
        }
        for text in
            ["", "5", "five.15", "5.", ".15", "5.x", "5.15x", "v5.15", "+5.15", "5.-1", "70000.1"]
        {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
    }

    #[test]
    fn releases_are_ordered_by_number() {
        assert!(Release::new(5, 9) < Release::new(5, 10));
        assert_eq!(Release::new(6, 1).to_string(), "6.1");
    }
}
