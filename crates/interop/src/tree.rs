//! The whole tree of a server as data, and the differences between two of them.
use crate::jute::{Acl, Stat};
use crate::raw::Session;
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// All that a client can learn about a znode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub data: Option<Vec<u8>>,
    pub acls: Vec<Acl>,
    pub stat: Stat,
}

/// Every znode by its path.
pub type Tree = BTreeMap<String, Node>;

/// Reads the whole tree; the session must be allowed to read all of it.
pub fn read(session: &mut Session) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut waiting = vec!["/".to_owned()];
    while let Some(path) = waiting.pop() {
        let (data, stat) = session.get(&path)?.with_context(|| format!("{path} vanished"))?;
        let acls = session.acls(&path)?;
        let parent = if path == "/" { "" } else { &path };
        waiting.extend(session.children(&path)?.iter().map(|name| format!("{parent}/{name}")));
        tree.insert(path, Node { data, acls, stat });
    }
    Ok(tree)
}

/// Takes out what lawfully differs between servers on the same folder.
///
/// `/zookeeper/config` does not exist before 3.5, has the time of the server's own start, and counts as a
/// child of `/zookeeper`.
pub fn without_own_nodes(mut tree: Tree) -> Tree {
    tree.remove("/zookeeper/config");
    if let Some(node) = tree.get_mut("/zookeeper") {
        node.stat.num_children = 0;
        node.stat.cversion = 0;
    }
    tree
}

/// Every difference as one line; empty if the trees are equal.
pub fn differences(before: &Tree, after: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (path, old) in before {
        match after.get(path) {
            None => found.push(format!("{path} is missing")),
            Some(new) if new != old => found.push(format!("{path} was {old:?}, is {new:?}")),
            Some(_) => {}
        }
    }
    let added = after.keys().filter(|path| !before.contains_key(*path));
    found.extend(added.map(|path| format!("{path} appeared")));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        Node { data: Some(text.into()), acls: vec![Acl::open()], stat: Stat::default() }
    }

    #[test]
    fn every_difference_is_found() {
        let before = Tree::from([("/".into(), node("")), ("/a".into(), node("1")), ("/b".into(), node("2"))]);
        let mut changed = node("1");
        changed.stat.pzxid = 9;
        let after = Tree::from([("/".into(), node("")), ("/a".into(), changed), ("/c".into(), node("2"))]);
        let found = differences(&before, &after);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("/a") && found[1] == "/b is missing" && found[2] == "/c appeared");
        assert_eq!(differences(&before, &before), Vec::<String>::new());
    }

    #[test]
    fn own_nodes_are_left_out() {
        let tree = Tree::from([("/zookeeper".into(), node("")), ("/zookeeper/config".into(), node("x"))]);
        assert_eq!(without_own_nodes(tree).len(), 1);
    }
}
