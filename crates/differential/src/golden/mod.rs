//! Conversations with Apache ZooKeeper kept as text, so that a server can be compared with it where no Java is.
//!
//! A file holds a plan and, under each step, what Apache 3.9.5 answered: a line of comparable text (`=`), and the
//! bytes as they came (`|`, for the reader; ids, times and zxids in them are those of that day). It begins on a server
//! without history, because the stat of `/` counts everything that ever happened below it.

pub mod scripts;

use crate::compare::{first_difference, report};
use crate::conversation::{self, Place, Plan, Record, Transcript};
use crate::profile::Profile;
use crate::step::{Request, Step};
use crate::text::hex;
use anyhow::{Context, Result, anyhow, bail};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

const HEAD: &str =
    "# A conversation with Apache ZooKeeper 3.9.5: what was sent, and under it what came back.\n";

/// The golden files that are kept.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// A plan with the record of it, as text.
pub fn write(plan: &Plan, transcript: &Transcript) -> String {
    let mut out =
        format!("{HEAD}profile {}\nseed {}\nclients {}\n", plan.profile.name(), plan.seed, plan.clients);
    let mut section = |place: Place, title: String| {
        let _ = writeln!(out, "{title}");
        for r in transcript.records.iter().filter(|r| r.place == place) {
            let _ = writeln!(out, "= {} {}", r.who, r.text);
            if !r.raw.is_empty() {
                let _ = writeln!(out, "  | {}", hex(&r.raw));
            }
        }
    };
    section(Place::Begin, "begin".to_owned());
    for (at, step) in plan.steps.iter().enumerate() {
        section(Place::Step(at), format!("step {step}"));
    }
    section(Place::Dump, "dump".to_owned());
    for (at, step) in plan.last.iter().enumerate() {
        section(Place::Last(at), format!("last {step}"));
    }
    section(Place::End, "end".to_owned());
    out
}

/// Reads what [`write`] wrote.
pub fn read(text: &str) -> Result<(Plan, Transcript)> {
    let mut plan = Plan { profile: Profile::Full, seed: 0, clients: 1, steps: Vec::new(), last: Vec::new() };
    let mut transcript = Transcript::default();
    let mut place = Place::Begin;
    for (number, line) in text.lines().enumerate() {
        read_line(line, &mut plan, &mut transcript, &mut place)
            .with_context(|| format!("line {}: {line}", number + 1))?;
    }
    Ok((plan, transcript))
}

fn read_line(line: &str, plan: &mut Plan, transcript: &mut Transcript, place: &mut Place) -> Result<()> {
    if line.starts_with('#') || line.starts_with("  | ") {
        return Ok(());
    }
    if let Some(request) = line.strip_prefix("  request ") {
        let list = if matches!(place, Place::Last(_)) { &mut plan.last } else { &mut plan.steps };
        let Some(Step::Send { requests, .. }) = list.last_mut() else {
            bail!("a request outside a send step")
        };
        requests.push(Request::parse(request).ok_or_else(|| anyhow!("not a request"))?);
        return Ok(());
    }
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let step = || Step::parse(rest).ok_or_else(|| anyhow!("not a step"));
    match word {
        "profile" => plan.profile = Profile::by_name(rest).ok_or_else(|| anyhow!("no such profile"))?,
        "seed" => plan.seed = rest.parse()?,
        "clients" => plan.clients = rest.parse()?,
        "begin" => *place = Place::Begin,
        "dump" => *place = Place::Dump,
        "end" => *place = Place::End,
        "step" => {
            plan.steps.push(step()?);
            *place = Place::Step(plan.steps.len() - 1);
        }
        "last" => {
            plan.last.push(step()?);
            *place = Place::Last(plan.last.len() - 1);
        }
        "=" => {
            let (who, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let record =
                Record { place: *place, who: who.to_owned(), text: text.to_owned(), raw: Vec::new() };
            transcript.records.push(record);
        }
        _ => bail!("no such line in a golden file"),
    }
    Ok(())
}

/// Does a golden file to a server; the report of the first difference that is not explained.
pub fn replay(text: &str, address: SocketAddr) -> Result<Option<String>> {
    let (plan, expected) = read(text)?;
    let seen = conversation::run(address, &plan)
        .with_context(|| format!("the conversation with {address} failed"))?;
    let difference = first_difference(&expected, &seen);
    let meant = |d: &_| crate::explained::explain(&plan, d).is_some();
    Ok(difference.filter(|d| !meant(d)).map(|d| report(&plan, &d, ["golden", "server"])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate;

    #[test]
    fn plans_survive_their_text() {
        for seed in 0..40 {
            let plan = generate::plan(Profile::Full, seed);
            let (back, _) = read(&write(&plan, &Transcript::default())).unwrap();
            assert_eq!(back, plan);
        }
        for plan in scripts::all() {
            let (back, _) = read(&write(&plan, &Transcript::default())).unwrap();
            assert_eq!(back, plan);
        }
    }

    #[test]
    fn records_survive_their_text() {
        let plan = generate::plan(Profile::Full, 3);
        let record =
            |place, text: &str| Record { place, who: "client1".into(), text: text.into(), raw: vec![1] };
        let transcript = Transcript {
            records: vec![
                record(Place::Begin, "one two"),
                record(Place::Step(2), "x"),
                record(Place::End, ""),
            ],
            ..Transcript::default()
        };
        let (_, back) = read(&write(&plan, &transcript)).unwrap();
        assert_eq!(first_difference(&transcript, &back), None);
    }

    #[test]
    fn other_lines_are_refused_with_their_number() {
        let error = read("profile full\nnonsense here\n").unwrap_err();
        assert!(format!("{error:#}").contains("line 2"));
    }

    /// The files must stay readable by this version of the crate.
    #[test]
    fn the_kept_files_are_whole() {
        let mut files = 0;
        for entry in std::fs::read_dir(folder()).unwrap() {
            let path = entry.unwrap().path();
            let (plan, expected) = read(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert!(!plan.steps.is_empty(), "{}", path.display());
            assert!(expected.records.iter().any(|r| r.place == Place::Dump), "{}", path.display());
            files += 1;
        }
        assert!(files > 20, "only {files} golden files");
    }
}
