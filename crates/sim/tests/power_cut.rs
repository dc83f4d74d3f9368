//! A power cut at every storage call of a script: nothing acknowledged may be lost, whatever the disk kept of the rest.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use journal::recover;
use sim::disk::Image;
use sim::run::{Acknowledged, Pace, check, recover_options, run};
use sim::script::{OWNERS, Script};
use sim::{Rng, SimDisk, java};
use std::sync::{Arc, Mutex};

/// What a start on this disk finds, twice over, and what Java makes of it; the last zxid.
fn examine(image: Image, script: &Script, acknowledged: i64) -> Result<i64, String> {
    let disk = SimDisk::from_image(image);
    disk.set_phase("recover");
    let first = recover(&disk, &recover_options()).map_err(|e| format!("refused: {e}"))?;
    check(&first.tree, script, acknowledged)?;
    if !first.report.warnings.is_empty() {
        return Err(format!("warnings: {:?}", first.report.warnings));
    }
    let zxid = first.tree.last_zxid();
    // What was recovered is served from now on, so it must survive the next power cut.
    let again = SimDisk::from_image(disk.image().power_cut(&mut Rng::new(7), false));
    let second = recover(&again, &recover_options()).map_err(|e| format!("refused after repair: {e}"))?;
    check(&second.tree, script, zxid)?;
    if second.tree.last_zxid() != zxid {
        return Err(format!("found {zxid} first and {} then", second.tree.last_zxid()));
    }
    if !second.report.repaired.is_empty() {
        return Err(format!("repaired again: {:?}", second.report.repaired));
    }
    let seen = java::start(&again.image(), OWNERS).map_err(|e| format!("Java: {e}"))?;
    if Some(&seen.nodes) != script.after(zxid).map(|m| &m.nodes) {
        return Err(format!("Java sees something else at {zxid}"));
    }
    Ok(zxid)
}

struct Sweep {
    calls: u64,
    cuts: u64,
    complaints: Vec<String>,
}

/// Runs the script, cutting the power (`seeds` times, torn differently, and once cleanly) before every call.
fn sweep(script: &Arc<Script>, pace: Pace, seeds: u64, prepare: impl Fn(&SimDisk)) -> Sweep {
    let disk = SimDisk::new(pace.seed % 2 == 0);
    prepare(&disk);
    let acknowledged = Acknowledged::default();
    let result = Arc::new(Mutex::new(Sweep { calls: 0, cuts: 0, complaints: Vec::new() }));
    let (sink, acked, plan) = (result.clone(), acknowledged.clone(), script.clone());
    disk.observe(move |call, image| {
        let mut sweep = sink.lock().unwrap();
        sweep.calls += 1;
        for seed in 0..=seeds {
            let mut rng = Rng::new(call.number << 8 | seed);
            sweep.cuts += 1;
            let cut = image.power_cut(&mut rng, seed > 0);
            if let Err(e) = examine(cut, &plan, acked.get()) {
                sweep.complaints.push(format!("call {call:?}, seed {seed}: {e}"));
            }
        }
    });
    let tree = run(&disk, script, pace, &acknowledged).unwrap();
    check(&tree, script, script.len() as i64).unwrap();
    disk.observe(|_, _| {});
    Arc::try_unwrap(result).ok().unwrap().into_inner().unwrap()
}

#[test]
fn nothing_acknowledged_is_lost_at_any_call() {
    let script = Arc::new(Script::generate(11, 500));
    for pace in [
        Pace { seed: 1, ..Pace::default() },
        Pace { seed: 2, prealloc_bytes: 0, batch: 20, ..Pace::default() },
        Pace { seed: 3, prealloc_bytes: 256 << 10, batch: 60, roll: 30, ..Pace::default() },
    ] {
        let sweep = sweep(&script, pace, 4, |_| {});
        println!("{pace:?}: {} calls, {} power cuts", sweep.calls, sweep.cuts);
        let n = sweep.complaints.len();
        assert!(n == 0, "{n} complaints, first {:#?}", &sweep.complaints[..n.min(5)]);
        assert!(sweep.calls > 300);
    }
}
