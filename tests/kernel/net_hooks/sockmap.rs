//! Programs of the sockets in a map.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use aya::maps::{Map, MapData, SockMap};

use super::{Deployment, SK_MSG, link};
use crate::features::{SOCKMAP_LINKS, SOCKMAPS, goes_without, lacks};
use crate::sandbox::Sandbox;

const PARSER: u32 = 3;
const VERDICT: u32 = 4;

/// The map, which lives on while it is open.
pub(crate) fn sockets() -> SockMap<MapData> {
    let map = MapData::from_pin("/sys/fs/bpf/hooks/sockets").expect("a pin");
    Map::SockMap(map).try_into().expect("a sockmap")
}

/// Two ends of a connection, the first of them in the map.
pub(crate) fn connection_in(map: &mut SockMap<MapData>) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let one = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let (other, _) = listener.accept().expect("a connection");
    map.set(0, &one, 0).expect("a TCP socket");
    (one, other)
}

fn connection() -> (TcpStream, TcpStream) {
    connection_in(&mut sockets())
}

pub(crate) fn pass(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"x").expect("a connection");
    let mut byte = [0];
    to.read_exact(&mut byte).expect("a byte");
}

#[test]
fn sk_msg() {
    if lacks(&[SOCKMAPS]) {
        return;
    }
    Sandbox::run(|_| {
        let deployment = Deployment::apply(
            "[objects.hooks.programs.on_msg]\nattach = [{ hook = \"sockmap\", map = \
             \"hooks.sockets\" }]\n",
        );
        let (mut one, mut other) = connection();
        assert_eq!(deployment.counted(SK_MSG, || pass(&mut one, &mut other)), 1);
        deployment.is_in_sync();
        // Older kernels have the map keep the program by itself.
        let linked = !goes_without(SOCKMAP_LINKS);
        let id = || linked.then(|| link("on_msg:sockmap:hooks%2Esockets")["id"].clone());
        let before = id();
        let plan = deployment.renew(10);
        assert!(plan.contains("swapped atomically"), "{plan}");
        assert_eq!(id(), before);
        // A socket has the program that its map had when it was put in.
        let (mut one, mut other) = connection();
        assert_eq!(deployment.counted(SK_MSG, || pass(&mut one, &mut other)), 10);
        deployment.end();
    });
}

#[test]
fn sk_skb() {
    if lacks(&[SOCKMAPS]) {
        return;
    }
    Sandbox::run(|_| {
        let deployment = Deployment::apply(
            "[objects.hooks.programs.on_parse]\nattach = [{ hook = \"sockmap\", map = \
             \"hooks.sockets\" }]\n[objects.hooks.programs.on_stream]\nattach = [{ hook = \"sockmap\", \
             map = \"hooks.sockets\" }]\n",
        );
        let (mut one, mut other) = connection();
        let verdicts = deployment.count(VERDICT);
        assert!(deployment.counted(PARSER, || pass(&mut other, &mut one)) > 0);
        assert!(deployment.count(VERDICT) > verdicts);
        deployment.is_in_sync();
        deployment.end();
    });
}

#[test]
fn a_map_that_is_replaced_takes_its_programs_along() {
    if lacks(&[SOCKMAPS]) {
        return;
    }
    Sandbox::run(|_| {
        let attach = "[objects.hooks.programs.on_msg]\nattach = [{ hook = \"sockmap\", map = \
                      \"hooks.sockets\" }]\n[objects.hooks.maps.sockets]\nmax-entries = ENTRIES\n\
                      on-mismatch = \"replace\"\n";
        let deployment = Deployment::apply(&attach.replace("ENTRIES", "16"));
        let (mut one, mut other) = connection();
        assert_eq!(deployment.counted(SK_MSG, || pass(&mut one, &mut other)), 1);
        let plan = deployment.change(&attach.replace("ENTRIES", "32"), 1);
        assert!(plan.contains("its map is another one now"), "{plan}");
        let (mut one, mut other) = connection();
        assert_eq!(deployment.counted(SK_MSG, || pass(&mut one, &mut other)), 1);
        deployment.is_in_sync();
        deployment.end();
    });
}
