//! The server's tree is the model's, and its digest the one that every transaction carries.

use super::{Broken, History};
use crate::run::nodes_of;
use tree::Tree;

pub fn equal(history: &History, tree: &Tree) -> Result<(), Broken> {
    let model = &history.model;
    if tree.last_zxid() != model.last_zxid {
        return Err(format!(
            "state: the tree stands at {}, the log at {}",
            tree.last_zxid(),
            model.last_zxid
        ));
    }
    if tree.sessions() != &model.sessions {
        return Err(format!("state: the sessions differ at {}", model.last_zxid));
    }
    if tree.digest_mismatches() > 0 || tree.digest() != model.digest() {
        return Err(format!("state: the digest differs at {}", model.last_zxid));
    }
    let nodes = nodes_of(tree);
    // A member has its own text and time in the configuration's znode.
    let is_config = |path: &String| path == tree::CONFIG;
    let missing = model.nodes.keys().find(|path| !nodes.contains_key(*path));
    let differing = nodes.iter().filter(|(path, _)| !is_config(path));
    let mut differing = differing.filter(|(path, node)| model.nodes.get(*path) != Some(node));
    let differs = missing.or_else(|| differing.next().map(|(path, _)| path));
    if differs.is_none() {
        return Ok(());
    }
    Err(format!("state: the znodes differ at {}, {differs:?}", model.last_zxid))
}
