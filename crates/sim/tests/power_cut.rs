//! A power cut, and a kill that spares the page cache, at every storage call of a script: nothing acknowledged may be
//! lost, whatever the disk kept of the rest. And the other way round: without any one of the syncs, something is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use journal::{Dir, Storage, StorageFile, recover};
use sim::disk::{Call, CallKind, Image};
use sim::run::{Acknowledged, Pace, check, examine, recover_options, run};
use sim::script::Script;
use sim::{Rng, SimDisk};
use std::sync::{Arc, Mutex};

type Syncs = fn(&Call) -> bool;

#[derive(Default)]
struct Sweep {
    calls: u64,
    starts: u64,
    complaints: Vec<String>,
}

/// Runs the script; before every call, looks at what a kill and several power cuts would leave.
fn sweep(script: &Arc<Script>, pace: Pace, same_dir: bool, seeds: u64, ignored: Option<Syncs>) -> Sweep {
    let disk = SimDisk::new(same_dir);
    if let Some(which) = ignored {
        disk.ignore_syncs(which);
    }
    let acknowledged = Acknowledged::default();
    let result = Arc::new(Mutex::new(Sweep::default()));
    let (sink, acked, plan) = (result.clone(), acknowledged.clone(), script.clone());
    disk.observe(move |call, image| {
        let mut sweep = sink.lock().unwrap();
        sweep.calls += 1;
        if ignored.is_some() && sweep.complaints.len() > 3 {
            return;
        }
        let cut = |seed| image.power_cut(&mut Rng::new(call.number << 8 | seed), seed > 0);
        for image in (0..=seeds).map(cut).chain([image.clone()]) {
            sweep.starts += 1;
            if let Err(e) = examine(image, &plan, acked.get(), |_| {}) {
                sweep.complaints.push(format!("{call:?}: {e}"));
            }
        }
    });
    let tree = run(&disk, script, pace, &acknowledged).unwrap();
    check(&tree, script, script.len() as i64).unwrap();
    std::mem::take(&mut *result.lock().unwrap())
}

#[test]
fn nothing_acknowledged_is_lost_at_any_call() {
    let script = Arc::new(Script::generate(11, 500));
    for (pace, same_dir) in [
        (Pace { seed: 1, ..Pace::default() }, false),
        (Pace { seed: 2, prealloc_bytes: 0, batch: 20, ..Pace::default() }, true),
        (Pace { seed: 3, prealloc_bytes: 256 << 10, batch: 60, roll: 30, ..Pace::default() }, false),
    ] {
        let sweep = sweep(&script, pace, same_dir, 3, None);
        println!("{pace:?}: {} calls, {} starts", sweep.calls, sweep.starts);
        let n = sweep.complaints.len();
        assert!(n == 0, "{n} complaints, first {:#?}", &sweep.complaints[..n.min(5)]);
        assert!(sweep.calls > 150);
    }
}

#[test]
fn without_any_one_sync_something_is_lost() {
    let script = Arc::new(Script::generate(12, 250));
    let kinds: [(&str, Syncs); 5] = [
        ("header of a new log", |c| is_log(c) && c.syncs_before == 0),
        ("log data", |c| is_log(c) && c.syncs_before > 0),
        ("log folder", |c| c.phase == "run" && c.kind == CallKind::SyncDir && c.dir == Dir::Log),
        ("snapshot data", |c| c.phase == "run" && c.kind == CallKind::SyncData && c.dir == Dir::Snapshot),
        ("snapshot folder", |c| c.phase == "run" && c.kind == CallKind::SyncDir && c.dir == Dir::Snapshot),
    ];
    let pace = Pace { seed: 5, batch: 12, snapshot: 40, purge: 30, ..Pace::default() };
    for (name, which) in kinds {
        let sweep = sweep(&script, pace, false, 4, Some(which));
        println!("without the sync of the {name}: {:?}", sweep.complaints.first());
        assert!(!sweep.complaints.is_empty(), "nobody misses the sync of the {name}");
    }
    assert_eq!(sweep(&script, pace, false, 1, None).complaints, [""; 0], "with all of them nothing is lost");
}

fn is_log(call: &Call) -> bool {
    call.phase == "run" && call.kind == CallKind::SyncData && call.dir == Dir::Log
}

/// A folder as Java may leave it when it is killed: everything in the page cache, nothing synced.
fn unsynced(script: &Script, same_dir: bool) -> Image {
    let disk = SimDisk::new(same_dir);
    let pace = Pace { snapshot: 0, purge: 0, roll: 0, ..Pace::default() };
    let half = Script {
        records: script.records[..100].to_vec(),
        states: script.states[..101].to_vec(),
        digests: script.digests[..101].to_vec(),
    };
    run(&disk, &half, pace, &Acknowledged::default()).unwrap();
    let written = disk.image();
    let disk = SimDisk::new(same_dir);
    for dir in [Dir::Log, Dir::Snapshot] {
        for (name, _) in written.list(dir) {
            disk.create(dir, &name).unwrap().write_all(written.read(dir, &name).unwrap()).unwrap();
        }
    }
    disk.image()
}

#[test]
fn what_another_process_left_unsynced_is_made_durable_before_it_is_served() {
    let script = Script::generate(13, 120);
    for same_dir in [false, true] {
        let image = unsynced(&script, same_dir);
        assert!(image.is_dirty());
        assert_eq!(examine(image, &script, 100, |_| {}), Ok(100));
    }
    let kinds: [(&str, Syncs); 4] = [
        ("log data", |c| c.kind == CallKind::SyncData && c.dir == Dir::Log),
        ("log folder", |c| c.kind == CallKind::SyncDir && c.dir == Dir::Log),
        ("snapshot data", |c| c.kind == CallKind::SyncData && c.dir == Dir::Snapshot),
        ("snapshot folder", |c| c.kind == CallKind::SyncDir && c.dir == Dir::Snapshot),
    ];
    for (name, which) in kinds {
        let result = examine(unsynced(&script, false), &script, 100, |disk| disk.ignore_syncs(which));
        assert!(result.is_err(), "nobody misses the sync of the {name} in recovery");
    }
}

/// The power goes again at every call of a recovery that has something to repair.
#[test]
fn a_recovery_may_be_cut_short_anywhere() {
    let script = Arc::new(Script::generate(14, 120));
    let disk = SimDisk::new(false);
    let acknowledged = Acknowledged::default();
    let images = Arc::new(Mutex::new(Vec::new()));
    let (sink, acked) = (images.clone(), acknowledged.clone());
    disk.observe(move |call, image| {
        if call.number % 5 == 0 {
            let cut = image.power_cut(&mut Rng::new(call.number), true);
            sink.lock().unwrap().push((cut, acked.get()));
        }
    });
    let pace = Pace { batch: 30, ..Pace::default() };
    run(&disk, &script, pace, &acknowledged).unwrap();
    let mut cuts = 0;
    for (image, acked) in images.lock().unwrap().iter().cloned() {
        let disk = SimDisk::from_image(image);
        let plan = script.clone();
        let count = Arc::new(Mutex::new(0));
        let counter = count.clone();
        disk.observe(move |call, image| {
            *counter.lock().unwrap() += 1;
            let cut = image.power_cut(&mut Rng::new(call.number), true);
            examine(cut, &plan, acked, |_| {}).unwrap();
        });
        recover(&disk, &recover_options()).unwrap();
        cuts += *count.lock().unwrap();
    }
    assert!(cuts > 200, "{cuts}");
}
