//! Taking paths apart. Validity of paths that clients send is judged in `node`.

/// The parent's path and the last name; the parent of a top-level znode is `/`. `None` without a slash.
pub fn parent_and_name(path: &str) -> Option<(&str, &str)> {
    let (parent, name) = path.rsplit_once('/')?;
    Some((if parent.is_empty() { "/" } else { parent }, name))
}

/// Like [`parent_and_name`], with root spelled as digests spell it: the empty string.
pub fn split_parent(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}
