//! Programs of netfilter.

use std::net::UdpSocket;

use super::{Deployment, link};
use crate::features::{NETFILTER, NETFILTER_DEFRAG, lacks};
use crate::sandbox::Sandbox;

const HITS: u32 = 5;

pub(crate) fn send() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("an address");
    socket.send_to(b"x", "127.0.0.1:9").expect("a route");
}

fn attach(program: &str, options: &str) -> String {
    format!(
        "[objects.hooks.programs.{program}]\nattach = [{{ hook = \"netfilter\", family = \"ipv4\", at \
         = \"local-out\", priority = 7{options} }}]\n"
    )
}

#[test]
fn netfilter() {
    if lacks(&[NETFILTER]) {
        return;
    }
    Sandbox::run(|_| {
        let deployment = Deployment::apply(&attach("on_netfilter", ""));
        let once = deployment.counted(HITS, send);
        assert!(once > 0);
        deployment.is_in_sync();
        let first = link("on_netfilter:netfilter:ipv4:local-out:7")["id"].clone();

        let plan = deployment.renew(10);
        assert!(plan.contains("at a priority nearby"), "{plan}");
        assert_ne!(link("on_netfilter:netfilter:ipv4:local-out:7")["id"], first);
        assert_eq!(deployment.counted(HITS, send), 10 * once, "it runs once, at its own priority");
        deployment.is_in_sync();

        // Another program takes the place of the first.
        let plan = deployment.change(&attach("on_netfilter_too", ""), 100);
        assert!(plan.contains("link.hooks.on_netfilter_too[netfilter:ipv4:local-out:7]"), "{plan}");
        assert_eq!(deployment.counted(HITS, send), 100 * once);
        deployment.is_in_sync();
        deployment.end_of(HITS, send);
    });
}

#[test]
fn fragments_are_reassembled_on_demand() {
    if lacks(&[NETFILTER, NETFILTER_DEFRAG]) {
        return;
    }
    Sandbox::run(|_| {
        let deployment = Deployment::apply(&attach("on_netfilter", ""));
        let once = deployment.counted(HITS, send);
        let plan = deployment.change(&attach("on_netfilter", ", defrag = true"), 1);
        assert!(plan.contains("no defrag → defrag"), "{plan}");
        assert_eq!(deployment.counted(HITS, send), once);
        deployment.is_in_sync();
        deployment.end_of(HITS, send);
    });
}
