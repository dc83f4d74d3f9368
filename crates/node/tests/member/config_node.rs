//! `/zookeeper/config` shows each member's own configuration, without a transaction.

use crate::stage::{Stage, WALL_MS, settings};
use zab::View;

const CONFIG: &str = "/zookeeper/config";

#[test]
fn it_is_there_from_the_start() {
    let mut stage = Stage::new(settings(1));
    let digest = stage.tree.digest();
    let node = stage.tree.get(CONFIG).unwrap();
    assert_eq!(node.data(), Some(&b"server.1=a:1:2:participant\nversion=0"[..]));
    let stat = node.stat();
    assert_eq!((stat.version, stat.mzxid, stat.mtime, stat.aversion), (-1, 0, WALL_MS, -1));
    assert_eq!(stage.tree.recompute_digest(), digest);
    assert_eq!(stage.tree.last_zxid(), 0);
    stage.pass(1000);
    assert_eq!(stage.tree.get(CONFIG).unwrap().stat().mtime, WALL_MS, "written once");
}

#[test]
fn it_is_named_after_the_zxid_that_made_it() {
    let view = View { version: 0x1_0000_0007, ..settings(1).view };
    let stage = Stage::new(node::EnsembleSettings { view, ..settings(1) });
    let node = stage.tree.get(CONFIG).unwrap();
    assert!(node.data().unwrap().ends_with(b"\nversion=100000007"));
    assert_eq!(node.stat().mzxid, 0x1_0000_0007);
}
