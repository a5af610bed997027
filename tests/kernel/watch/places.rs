//! File systems that must be mounted to be tried.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use ebpf_apply::watch::{Method, Named, Options, Source, Watcher};
use rustix::mount::{MountFlags, mount};

use super::{Edge, text};
use crate::host;
use crate::sandbox::{Sandbox, mount_at};

#[test]
fn objects_of_a_config_map_are_swapped_with_the_manifest() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        mount_at("tmpfs", "/mnt");
        let publish = |n: u32| {
            let directory = format!("/mnt/..{n}");
            fs::create_dir(&directory).expect("a directory");
            fs::write(format!("{directory}/edge.toml"), text(1)).expect("the manifest");
            let mut object = fs::read(edge.object()).expect("the object");
            object.extend(n.to_le_bytes());
            fs::write(format!("{directory}/edge.bpf.o"), object).expect("the object");
            symlink(format!("..{n}"), "/mnt/..data_tmp").expect("a link");
            fs::rename("/mnt/..data_tmp", "/mnt/..data").expect("the swap");
        };
        publish(0);
        symlink("..data/edge.toml", "/mnt/edge.toml").expect("a link");
        symlink("..data/edge.bpf.o", "/mnt/edge.bpf.o").expect("a link");
        let (mut held, _) = edge.program.watch("/mnt/edge.toml", &[]);
        for n in 1..4 {
            publish(n);
            fs::remove_dir_all(format!("/mnt/..{}", n - 1)).expect("the old one");
            assert_eq!(held.result()["generation"], n + 1);
        }
    });
}

/// A file that names no others.
struct Alone;

impl Source for Alone {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn named(&self, _first: &[u8]) -> Named {
        Named { paths: Vec::new(), complete: true }
    }
}

#[test]
fn an_overlay_is_polled() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        mount_at("tmpfs", "/mnt");
        for directory in ["lower", "upper", "work", "merged"] {
            fs::create_dir(format!("/mnt/{directory}")).expect("a directory");
        }
        fs::write("/mnt/lower/edge.toml", text(1)).expect("the manifest");
        fs::copy(edge.object(), "/mnt/lower/edge.bpf.o").expect("the object");
        let options = c"lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work";
        mount("overlay", "/mnt/merged", "overlay", MountFlags::empty(), options)
            .expect("an overlay");
        let manifest = "/mnt/merged/edge.toml";
        let options = Options { method: Method::Auto, poll_interval: Duration::from_secs(1) };
        let started = Watcher::start(Path::new(manifest), options, Instant::now(), &Alone);
        let (watcher, _) = started.expect("a watcher");
        let reason = watcher.polls_because().expect("a reason");
        assert!(reason.contains("overlayfs"), "{reason}");

        let (mut held, _) = edge.program.watch(manifest, &["--poll-interval", "1"]);
        for n in 2..4 {
            fs::write(format!("{manifest}.new"), text(n)).expect("the manifest");
            fs::rename(format!("{manifest}.new"), manifest).expect("a rename");
            assert_eq!(held.result()["generation"], n);
        }
    });
}
