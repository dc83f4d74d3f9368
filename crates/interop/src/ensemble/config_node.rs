//! `/zookeeper/config` in an ensemble of both kinds: every member shows the same, from its start and after every way of
//! coming back. Only the time of the entry is each member's own.
use super::{Ensemble, Plan};
use crate::apache;
use crate::jute::Stat;
use crate::raw::Session;
use crate::report::Suite;
use crate::run::Options;
use crate::server::ServerKind;
use anyhow::{Context, Result, ensure};

const CONFIG: &str = "/zookeeper/config";

pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("config-node", &options.server.to_string());
    let apache = ServerKind::Apache(apache::REFERENCE.to_owned());
    let kinds = [apache.clone(), options.server.clone(), options.server.clone()];
    let mut ensemble =
        Plan::voters("config-node", &kinds).observer(&options.server).observer(&apache).build()?;
    suite.add_result("from the start", from_the_start(&mut ensemble));
    suite.add_result("after a short absence", after(&mut ensemble, |_| Ok(())));
    suite.add_result(
        "with an empty folder",
        after(&mut ensemble, |ensemble| ensemble.member(2).empty_folder()),
    );
    suite.add_result("digests", digests(&mut ensemble));
    Ok(suite.finish())
}

fn from_the_start(ensemble: &mut Ensemble) -> Result<()> {
    ensemble.start_all()?;
    ensemble.wait_for_all()?;
    same_everywhere(ensemble)
}

/// Members 2 (a voter) and 4 (an observer) go and come back.
fn after(ensemble: &mut Ensemble, meanwhile: impl Fn(&mut Ensemble) -> Result<()>) -> Result<()> {
    ensemble.member(2).stop()?;
    ensemble.member(4).kill9()?;
    meanwhile(ensemble)?;
    ensemble.wait_for_leader()?;
    let mut session = Session::open(ensemble.member(3).place.client, 20_000)?;
    for number in 0..5 {
        let path = format!("/while-away-{number}-{:?}", std::time::Instant::now())
            .replace([' ', '{', '}', ':', ','], "");
        session.create(&path, None, &[crate::jute::Acl::open()], crate::raw::flag::PERSISTENT)?;
    }
    ensemble.start_all()?;
    ensemble.wait_for_all()?;
    same_everywhere(ensemble)
}

fn same_everywhere(ensemble: &Ensemble) -> Result<()> {
    let mut first: Option<(String, Stat)> = None;
    for member in &ensemble.members {
        let mut session = Session::open(member.place.client, 20_000)?;
        let (data, stat) = session.get(CONFIG)?.with_context(|| format!("member {} has none", member.id))?;
        let text = String::from_utf8(data.unwrap_or_default())?;
        ensure!(stat.mtime > 0, "member {} has no time", member.id);
        let shown = (text, Stat { mtime: 0, ..stat });
        ensure!(shown.0.ends_with("\nversion=0"), "member {} shows {:?}", member.id, shown.0);
        let expected = first.get_or_insert_with(|| shown.clone());
        ensure!(
            shown == *expected,
            "member {} ({}) shows {shown:?} and not {expected:?}",
            member.id,
            member.kind
        );
        session.close()?;
    }
    Ok(())
}

/// No member has found another digest than a transaction carried.
fn digests(ensemble: &mut Ensemble) -> Result<()> {
    for member in &ensemble.members {
        let counted = super::status::counter(member.place.client_address(), "zk_digest_mismatches_count")?;
        ensure!(counted == Some(0.0), "member {} counts {counted:?}", member.id);
    }
    ensemble.stop_all()
}
