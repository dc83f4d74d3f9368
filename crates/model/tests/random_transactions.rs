//! Random transactions, sensible and senseless, applied to the tree and to the model: both must agree on every
//! answer, every event and every field, and a view frozen at any moment must stay what it was.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use model::Model;
use proptest::prelude::*;
use support::{Collected, Pair, acl, assert_same, put_create};
use tree::{Rules, Tree};
use wire::OpCode;
use wire::data::OwnerRules;
use wire::jute::Put;

const OWNERS: OwnerRules = OwnerRules { extended_types: true, emulate_353_ttl: false };

#[derive(Debug, Clone)]
enum Op {
    Session(u8),
    /// Whether the transaction lists the ephemerals, and whether it lists somebody else's too.
    Close(u8, bool, bool),
    Create {
        under: u16,
        name: u8,
        kind: u8,
        data: Option<Vec<u8>>,
        acl: u8,
        cversion: i8,
    },
    Delete(u16),
    SetData(u16, Option<Vec<u8>>),
    SetAcl(u16, u8),
    Quota(u16),
    Error,
    Multi(Vec<Op>),
    Freeze,
    ReadFrozen(u8),
    Thaw,
}

fn simple() -> impl Strategy<Value = Op> {
    let data = || proptest::option::weighted(0.9, proptest::collection::vec(any::<u8>(), 0..20));
    prop_oneof![
        6 => (any::<u16>(), 0u8..9, 0u8..8, data(), any::<u8>(), -2i8..4).prop_map(
            |(under, name, kind, data, acl, cversion)| Op::Create { under, name, kind, data, acl, cversion }
        ),
        4 => any::<u16>().prop_map(Op::Delete),
        3 => (any::<u16>(), data()).prop_map(|(p, d)| Op::SetData(p, d)),
        2 => (any::<u16>(), any::<u8>()).prop_map(|(p, a)| Op::SetAcl(p, a)),
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => simple(),
        2 => (0u8..4).prop_map(Op::Session),
        1 => (0u8..4, any::<bool>(), any::<bool>()).prop_map(|(s, l, o)| Op::Close(s, l, o)),
        2 => any::<u16>().prop_map(Op::Quota),
        1 => Just(Op::Error),
        2 => proptest::collection::vec(prop_oneof![9 => simple(), 1 => Just(Op::Error)], 0..5)
            .prop_map(Op::Multi),
        2 => Just(Op::Freeze),
        3 => (1u8..20).prop_map(Op::ReadFrozen),
        1 => Just(Op::Thaw),
    ]
}

/// An existing path most of the time.
fn path(model: &Model, choice: u16) -> String {
    if choice % 16 == 15 {
        return ["", "/missing", "/missing/child", "noslash", "/zookeeper/quota/x"][choice as usize % 5]
            .to_owned();
    }
    let n = choice as usize % model.nodes.len();
    model.nodes.keys().nth(n).cloned().unwrap_or_default()
}

fn child(parent: &str, name: u8) -> String {
    let name = ["a", "b", "c", "d", "e", "f", "zookeeper_limits", "zookeeper_stats", "long-name-é"]
        [name as usize % 9];
    format!("{}/{name}", if parent == "/" { "" } else { parent })
}

fn encode_multi(parts: &[Op], model: &Model) -> Vec<u8> {
    let mut b = Vec::new();
    b.put_count(parts.len());
    for part in parts {
        let (_, code, body) = encode(part, model);
        let code = if code == OpCode::SetAcl && body.len() % 7 > 0 { OpCode::Error } else { code };
        b.put_i32(code.code());
        b.put_buffer(Some(if code == OpCode::Error { &[255, 255, 255, 146] } else { &body }));
    }
    b
}

/// The transaction's session, type and bare record.
fn encode(op: &Op, model: &Model) -> (i64, OpCode, Vec<u8>) {
    let mut b = Vec::new();
    match op {
        Op::Session(s) => {
            b.put_i32(4000 + i32::from(*s));
            (100 + i64::from(*s), OpCode::CreateSession, b)
        }
        Op::Close(s, listed, others) => {
            let session = 100 + i64::from(*s);
            (session, OpCode::CloseSession, close_list(model, session, *listed, *others))
        }
        Op::Create { under, name, kind, data, acl: list, cversion } => {
            let parent = path(model, *under);
            put_create(&mut b, &child(&parent, *name), data.as_deref(), &acl(*list));
            let next = model.get(&parent).map_or(0, |n| n.stat.cversion) + i32::from(*cversion);
            let code = match kind {
                0 => OpCode::CreateContainer,
                1 => OpCode::CreateTtl,
                2..=4 => OpCode::Create2,
                _ => OpCode::Create,
            };
            if matches!(code, OpCode::Create | OpCode::Create2) {
                // An ephemeral quota znode would make usage depend on the order in which a session's unlisted
                // ephemerals go, which nothing defines.
                b.put_bool(kind % 2 == 0 && !matches!(name, 6 | 7));
            }
            b.put_i32(next);
            if code == OpCode::CreateTtl {
                b.put_i64(5000);
            }
            (100 + i64::from(*kind % 3), code, b)
        }
        Op::Delete(p) => {
            b.put_ustring(&path(model, *p));
            (100, if p % 2 == 0 { OpCode::Delete } else { OpCode::DeleteContainer }, b)
        }
        Op::SetData(p, data) => {
            b.put_ustring(&path(model, *p));
            b.put_buffer(data.as_deref());
            b.put_i32(i32::from(*p) - 3);
            (100, OpCode::SetData, b)
        }
        Op::SetAcl(p, list) => {
            b.put_ustring(&path(model, *p));
            b.extend_from_slice(&acl(*list));
            b.put_i32(i32::from(*list));
            (100, OpCode::SetAcl, b)
        }
        Op::Error => {
            b.put_i32(-110);
            (100, OpCode::Error, b)
        }
        Op::Multi(parts) => (101, OpCode::Multi, encode_multi(parts, model)),
        Op::Quota(_) | Op::Freeze | Op::ReadFrozen(_) | Op::Thaw => unreachable!("no single transaction"),
    }
}

/// The list of a closeSession, if it has one.
fn close_list(model: &Model, session: i64, listed: bool, others: bool) -> Vec<u8> {
    let mut b = Vec::new();
    if listed {
        let mut paths: Vec<String> = model.ephemerals(session).into_iter().collect();
        if others {
            paths.extend(model.ephemerals(session + 1));
        }
        b.put_count(paths.len());
        paths.iter().for_each(|p| b.put_ustring(p));
    }
    b
}

/// Makes the path chosen by `choice` a quota, intermediate znodes included.
fn make_quota(pair: &mut Pair, choice: u16) {
    let target = path(&pair.model, choice);
    if !target.starts_with('/') || target == "/" || target.starts_with("/zookeeper/quota") {
        return;
    }
    let mut at = tree::QUOTA.to_owned();
    let leaves = ["zookeeper_limits", "zookeeper_stats"];
    for name in target[1..].split('/') {
        at = format!("{at}/{name}");
        create_plain(pair, &at, b"");
    }
    create_plain(pair, &format!("{at}/{}", leaves[0]), b"count=5,bytes=100=;byteHardLimit=200");
    create_plain(pair, &format!("{at}/{}", leaves[1]), b"count=0,bytes=0");
}

fn create_plain(pair: &mut Pair, path: &str, data: &[u8]) {
    let mut b = Vec::new();
    put_create(&mut b, path, Some(data), &acl(0));
    b.put_bool(false);
    b.put_i32(-1);
    pair.apply(100, OpCode::Create.code(), &b);
}

/// A view in progress: what was said at the freeze, what was read since, and what must come out.
struct View {
    header: tree::FrozenHeader,
    read: Collected,
    then: Model,
}

fn run(ops: &[Op], rules: Rules) -> Pair {
    let mut pair = Pair::new(Tree::new(rules), Model::new(rules.owners));
    let mut view: Option<View> = None;
    for op in ops {
        match op {
            Op::Freeze if view.is_none() => {
                let then = pair.model.clone();
                view = Some(View { header: pair.tree.freeze(), read: Collected::default(), then });
            }
            Op::ReadFrozen(slots) => finish_if_done(&mut pair.tree, &mut view, u32::from(*slots)),
            Op::Thaw => finish_if_done(&mut pair.tree, &mut view, u32::MAX),
            Op::Freeze => {}
            Op::Quota(choice) => make_quota(&mut pair, *choice),
            _ => {
                let (session, code, body) = encode(op, &pair.model);
                pair.apply(session, code.code(), &body);
            }
        }
    }
    finish_if_done(&mut pair.tree, &mut view, u32::MAX);
    pair
}

fn finish_if_done(tree: &mut Tree, view: &mut Option<View>, slots: u32) {
    if let Some(v) = view
        && !v.read.read(tree, slots)
    {
        v.read.assert_is(&v.header, &v.then);
        tree.thaw();
        *view = None;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn tree_and_model_agree(ops in proptest::collection::vec(any_op(), 0..120), seed in any::<u64>()) {
        let pair = run(&ops, Rules { owners: OWNERS, digest: true, hash_seed: seed });
        assert_same(&pair.tree, &pair.model);
    }

    #[test]
    fn they_agree_after_every_step(ops in proptest::collection::vec(any_op(), 0..25)) {
        let rules = Rules { owners: OwnerRules::default(), digest: true, hash_seed: 1 };
        for n in 0..=ops.len() {
            run(&ops[..n], rules).assert_same();
        }
    }
}
