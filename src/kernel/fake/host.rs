//! What happens to the host itself, whoever does it.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::Result;
use super::Fake;
use super::sockets::Sockets;

impl Fake {
    /// Adds a network interface, with an index that was never used before.
    pub fn add_interface(&self, name: &str) {
        self.lock().hooks.add_interface(name);
    }

    /// Removes an interface: its links are severed, its filters are gone.
    pub fn remove_interface(&self, name: &str) {
        let mut state = self.lock();
        if let Some(index) = state.hooks.remove_interface(name) {
            state.sever_interface(index);
        }
    }

    /// Adds a cgroup.
    pub fn add_cgroup(&self, path: &Path) {
        self.lock().hooks.add_cgroup(path);
    }

    /// Removes a cgroup: its links are severed.
    pub fn remove_cgroup(&self, path: &Path) {
        let mut state = self.lock();
        if let Some(id) = state.hooks.remove_cgroup(path) {
            state.sever_cgroup(id);
        }
    }

    /// Makes the kernel one from before tcx.
    pub fn take_tcx_away(&self) {
        self.lock().hooks.lacks_tcx = true;
    }

    /// Makes the kernel one from before links to perf events, and to several places.
    pub fn take_event_links_away(&self) {
        self.lock().hooks.lacks_event_links = true;
    }

    /// Makes the kernel one from before links to maps of sockets.
    pub fn take_socket_links_away(&self) {
        self.lock().hooks.sockets = Sockets::Told;
    }

    /// Makes it one that does not even tell what maps of sockets run.
    pub fn hide_kept_programs(&self) {
        self.lock().hooks.sockets = Sockets::Untold;
    }

    /// Adds a network namespace that is mounted there.
    pub fn add_namespace(&self, path: &Path) {
        self.lock().hooks.add_namespace(path);
    }

    /// Adds a static tracepoint.
    pub fn add_tracepoint(&self, category: &str, name: &str) {
        self.lock().hooks.tracepoints.insert((category.to_owned(), name.to_owned()));
    }

    /// The host goes down and comes up again: nothing of BPF survives. Handles from before are dead.
    pub fn reboot(&self) {
        self.lock().reboot();
    }

    /// Writes an entry of a map; `ENOENT` if there is no such map.
    pub fn write_entry(&self, map: u32, key: &[u8], value: &[u8]) -> Result<()> {
        self.lock().write_entry(map, key, value)
    }

    /// Deletes an entry of a map, if it is there.
    pub fn delete_entry(&self, map: u32, key: &[u8]) {
        self.lock().delete_entry(map, key);
    }

    /// The entries of a map; none if there is no such map.
    #[must_use]
    pub fn entries(&self, map: u32) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.lock().entries(map)
    }
}
