//! What the running release means for something that the kernel refuses.

use crate::model::release::Release;

pub(super) use crate::model::since::{of_kind, of_shape};

/// The release that runs.
pub(super) fn running() -> Option<Release> {
    let code = aya::util::KernelVersion::current().ok()?.code();
    let [_, major, minor, _] = code.to_be_bytes();
    Some(Release::new(major.into(), minor.into()))
}

/// "which Linux has since 6.4, and this is 5.15"; that it was built without, if it is new enough.
pub(super) fn compare(since: Release, running: Option<Release>) -> String {
    match running {
        Some(running) if running < since => {
            format!("Linux has them since {since}, and this is {running}")
        }
        Some(running) => {
            format!("Linux has them since {since}, so this one ({running}) was built without")
        }
        None => format!("Linux has them since {since}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_old_is_told_from_built_without() {
        let at = Release::new;
        let old = compare(at(6, 4), Some(at(5, 15)));
        assert_eq!(old, "Linux has them since 6.4, and this is 5.15");
        assert!(compare(at(6, 4), Some(at(6, 18))).ends_with("this one (6.18) was built without"));
        assert!(compare(at(5, 8), Some(at(5, 8))).contains("built without"));
    }

    #[test]
    fn the_running_release_is_known() {
        assert!(running().is_some_and(|release| release > Release::new(4, 0)));
    }
}
