//! The server's tree is the model's, and its digest the one that every transaction carries.

use super::{Broken, History};
use crate::run::nodes_of;
use tree::Tree;
use wire::data::StatPersisted;

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
    let mut nodes = nodes_of(tree);
    // What a member writes there itself is in no transaction.
    if let (Some(own), Some(model)) = (nodes.get_mut(tree::CONFIG), model.nodes.get(tree::CONFIG)) {
        own.data.clone_from(&model.data);
        let StatPersisted { version, mzxid, mtime, .. } = model.stat;
        own.stat = StatPersisted { version, mzxid, mtime, ..own.stat };
    }
    if nodes == model.nodes {
        return Ok(());
    }
    let differs =
        nodes.iter().find(|(path, node)| model.nodes.get(*path) != Some(node)).map(|(path, _)| path);
    Err(format!("state: the znodes differ at {}, {differs:?}", model.last_zxid))
}
