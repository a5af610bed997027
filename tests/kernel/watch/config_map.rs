//! A `ConfigMap` in a pod: the volume that kubelet writes, mounted read-only, and the manifest in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount_bind, mount_remount};
use rustix::process::Signal;

use super::flood::counted;
use super::{Edge, text};
use crate::host::{self, attached, send_udp};
use crate::sandbox::{Sandbox, mount_at};

/// Where kubelet has the volume, and where the container sees it.
const KUBELET: &str = "/run/volume";
const MOUNTED: &str = "/run/manifest";

/// Writes as kubelet does (`AtomicWriter.Write` in `pkg/volume/util/atomic_writer.go`), which calls
/// the time of an update its directory's name.
struct Volume {
    data: PathBuf,
    updates: u32,
}

impl Volume {
    fn new(manifest: &str) -> Self {
        for directory in [KUBELET, MOUNTED] {
            fs::create_dir(directory).expect("an empty /run");
        }
        mount_at("tmpfs", KUBELET);
        fs::set_permissions(KUBELET, Permissions::from_mode(0o777)).expect("a volume");
        let mut volume = Self { data: PathBuf::new(), updates: 0 };
        volume.update(manifest);
        symlink("..data/edge.toml", Path::new(KUBELET).join("edge.toml")).expect("a link");
        mount_bind(KUBELET, MOUNTED).expect("a mount of the container's");
        let flags = MountFlags::BIND | MountFlags::RDONLY;
        mount_remount(MOUNTED, flags, "").expect("read-only");
        volume
    }

    fn update(&mut self, manifest: &str) {
        let volume = Path::new(KUBELET);
        self.updates += 1;
        let name = format!("..2026_11_26_11_00_{:02}.1234567890", self.updates);
        let written = volume.join(&name);
        fs::create_dir(&written).expect("a directory");
        fs::set_permissions(&written, Permissions::from_mode(0o755)).expect("ours");
        fs::write(written.join("edge.toml"), manifest).expect("the manifest");
        fs::set_permissions(written.join("edge.toml"), Permissions::from_mode(0o644))
            .expect("ours");
        symlink(&name, volume.join("..data_tmp")).expect("a link");
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("the swap");
        let old = std::mem::replace(&mut self.data, written);
        if old.exists() {
            fs::remove_dir_all(old).expect("the old one");
        }
    }
}

#[test]
fn each_swap_of_a_config_map_is_one_reload_and_no_packet_goes_uncounted() {
    Sandbox::run(|sandbox| {
        host::wire(sandbox);
        let edge = Edge::new();
        // The manifest is in one volume and the object in another.
        let manifest = |number| {
            let object = edge.object().display().to_string();
            text(number).replace("path = \"edge.bpf.o\"", &format!("path = \"{object}\""))
        };
        let mut volume = Volume::new(&manifest(1));
        let (mut held, first) = edge.program.watch(&format!("{MOUNTED}/edge.toml"), &[]);
        assert_eq!(first["generation"], 1);
        for number in 1..6 {
            let before = attached("veth0");
            send_udp(10);
            volume.update(&manifest(number + 1));
            send_udp(10);
            let result = held.result();
            assert_eq!(result["outcome"], "applied", "{result}");
            // One more reload would have another number here the next time.
            assert_eq!(result["generation"], number + 1, "{result}");
            assert_ne!(attached("veth0"), before, "the new program runs");
            let seen = counted();
            send_udp(10);
            let now = counted();
            let (old, new) = (number as usize, number as usize + 1);
            assert_eq!((now[old], now[new]), (seen[old], seen[new] + 10), "the old one has ended");
        }
        assert_eq!(counted().iter().sum::<u64>(), 5 * 30);

        // Labels of the pod change and kubelet writes the same again.
        volume.update(&manifest(6));
        volume.update("version = ");
        assert_eq!(held.result()["outcome"], "invalid");
        send_udp(10);
        assert_eq!(counted().iter().sum::<u64>(), 5 * 30 + 10, "the last good one goes on");
        // What the probes of a pod ask.
        let probe = ["status", "--name", "edge", "--detailed-exitcode"];
        edge.program.run(&probe).status(0);
        let (status, rest) = held.end(Signal::TERM);
        assert_eq!(status, Some(0), "{rest}");
        assert_eq!(rest.lines().count(), 1, "the end, and no reload before it: {rest}");
    });
}
