//! `db.autocreate=false`: an empty folder is an empty database only if the operator has promised it by a file
//! `initialize`. Otherwise its server gives no vote that could make an empty member the leader, and waits for the data.
use super::{Ensemble, Plan};
use crate::apache;
use crate::four_letter;
use crate::jute::Acl;
use crate::raw::{Session, flag};
use crate::report::Suite;
use crate::run::Options;
use crate::server::ServerKind;
use anyhow::{Result, bail, ensure};
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("initialize", &options.server.to_string());
    let apache = ServerKind::Apache(apache::REFERENCE.to_owned());
    let kinds = [options.server.clone(), options.server.clone(), apache];
    let mut ensemble =
        Plan::voters("initialize", &kinds).property("zookeeper.db.autocreate", false).build()?;
    suite.add_result("without the file nobody leads", nobody_leads(&mut ensemble));
    suite.add_result("with it a new ensemble begins", begins(&mut ensemble));
    suite.add_result("a lost folder comes back", comes_back(&mut ensemble));
    suite.add_result("two lost folders do not outvote the third", not_outvoted(&mut ensemble));
    Ok(suite.finish())
}

fn promise(ensemble: &mut Ensemble, id: u8) -> Option<PathBuf> {
    Some(ensemble.member(id).version_2().parent()?.join("initialize"))
}

/// No member serves for as long as several elections would take.
fn stays_without_leader(ensemble: &Ensemble) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        if let Some(member) = ensemble.members.iter().find(|member| member.status().is_ok()) {
            bail!("member {} serves: {}", member.id, ensemble.describe());
        }
        std::thread::sleep(super::POLL);
    }
    Ok(())
}

fn nobody_leads(ensemble: &mut Ensemble) -> Result<()> {
    ensemble.start_all()?;
    for id in ensemble.ids() {
        let address = ensemble.member(id).place.client_address();
        let deadline = Instant::now() + super::PATIENCE;
        while four_letter::ask_at(address, "ruok", Duration::from_secs(1)).is_err() {
            ensure!(Instant::now() < deadline, "{}", ensemble.describe());
            std::thread::sleep(super::POLL);
        }
    }
    stays_without_leader(ensemble)?;
    ensemble.stop_all()?;
    for id in ensemble.ids() {
        // Apache's has written the epoch -1, with which no database begins.
        ensemble.member(id).empty_folder()?;
    }
    Ok(())
}

fn begins(ensemble: &mut Ensemble) -> Result<()> {
    for id in ensemble.ids() {
        if let Some(file) = promise(ensemble, id) {
            std::fs::write(file, "")?;
        }
    }
    ensemble.start_all()?;
    ensemble.wait_for_all()?;
    for id in ensemble.ids() {
        ensure!(!promise(ensemble, id).is_some_and(|file| file.exists()), "member {id} keeps the file");
    }
    let mut session = Session::open(ensemble.member(1).place.client, 20_000)?;
    session.create("/kept", Some(b"data"), &[Acl::open()], flag::PERSISTENT)?;
    session.close()
}

fn has_the_data(ensemble: &mut Ensemble, id: u8) -> Result<()> {
    let mut session = Session::open(ensemble.member(id).place.client, 20_000)?;
    session.sync()?;
    let found = session.get("/kept")?;
    ensure!(found.is_some_and(|(data, _)| data.as_deref() == Some(&b"data"[..])), "member {id} lacks it");
    session.close()
}

fn comes_back(ensemble: &mut Ensemble) -> Result<()> {
    ensemble.member(1).kill9()?;
    ensemble.member(1).empty_folder()?;
    ensemble.member(1).start()?;
    ensemble.wait_for_all()?;
    has_the_data(ensemble, 1)
}

/// The two empty ones are a majority, and must not begin anew without the third.
fn not_outvoted(ensemble: &mut Ensemble) -> Result<()> {
    ensemble.stop_all()?;
    for id in [1, 2] {
        ensemble.member(id).empty_folder()?;
        ensemble.member(id).start()?;
    }
    stays_without_leader(ensemble)?;
    ensemble.stop_all()
}
