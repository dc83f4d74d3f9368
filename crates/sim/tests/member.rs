//! What a member of an ensemble does to its folders beyond appending (epochs, truncate, install), with a power cut at
//! every storage call: recovery finds the old or the new, and what was returned from is durable. And the other way
//! round: without any one of the syncs, somebody complains.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod history;

use history::{History, at, clean, folder, recovered, spread};
use journal::{
    Compression, Dir, LogOptions, LogWriter, SnapshotOptions, TruncateError, announce_epoch, install,
    load_epochs, recover, save_accepted_epoch, save_current_epoch, truncate,
};
use sim::disk::{Call, CallKind, Image};
use sim::run::recover_options;
use sim::{Rng, SimDisk, java, script};
use std::sync::{Arc, Mutex};

const OPTIONS: SnapshotOptions =
    SnapshotOptions { compression: Compression::None, digest: true, last_zxid: true };

const NO_PREALLOCATION: LogOptions = LogOptions { prealloc_bytes: 0, sync: true, max_record: 1 << 20 };

type Syncs = fn(&Call) -> bool;

/// Runs `run` on a disk with this image, and `judge` on what a kill and some power cuts before each of its calls, and
/// behind the last, would leave. `judge` is told what `run` had written into the progress by then.
fn sweep(
    image: &Image,
    ignored: Option<Syncs>,
    run: impl FnOnce(&SimDisk, &Mutex<[i64; 2]>),
    judge: impl Fn(&SimDisk, [i64; 2]) -> Result<(), String> + Send + Sync + 'static,
) -> Vec<String> {
    let disk = SimDisk::from_image(image.clone());
    if let Some(which) = ignored {
        disk.ignore_syncs(which);
    }
    let progress = Arc::new(Mutex::new([0; 2]));
    let complaints = Arc::new(Mutex::new(Vec::new()));
    let judge = Arc::new(judge);
    let look = {
        let (complaints, progress) = (complaints.clone(), progress.clone());
        move |what: String, number: u64, image: &Image| {
            let now = *progress.lock().unwrap();
            let cut = |seed| image.power_cut(&mut Rng::new(number << 8 | seed), seed > 0);
            for left in (0..4).map(cut).chain([image.clone()]) {
                if let Err(e) = judge(&SimDisk::from_image(left), now) {
                    complaints.lock().unwrap().push(format!("{what}: {e}"));
                }
            }
        }
    };
    let observer = look.clone();
    disk.observe(move |call, image| observer(format!("{call:?}"), call.number, image));
    run(&disk, &progress);
    look("behind the end".into(), 1 << 20, &disk.image());
    let mut complaints = complaints.lock().unwrap();
    std::mem::take(&mut *complaints)
}

/// With every sync there is no complaint, and without any one of these there is.
fn each_is_missed(kinds: &[(&str, Syncs)], sweep: impl Fn(Option<Syncs>) -> Vec<String>) {
    let complaints = sweep(None);
    assert!(complaints.is_empty(), "{} complaints: {:#?}", complaints.len(), &complaints[..1]);
    for (name, which) in kinds {
        let complaints = sweep(Some(*which));
        println!("without the sync of the {name}: {:?}", complaints.first());
        assert!(!complaints.is_empty(), "nobody misses the sync of the {name}");
    }
}

#[test]
fn epochs_are_never_behind_what_was_returned_from() {
    let start = {
        let disk = SimDisk::new(false);
        folder(&disk, &History::default(), 100, 100);
        disk.image()
    };
    let run = |disk: &SimDisk, progress: &Mutex<[i64; 2]>| {
        load_epochs(disk, 0, true).unwrap();
        for epoch in [1, 3, 12, 13] {
            save_accepted_epoch(disk, epoch).unwrap();
            progress.lock().unwrap()[0] = epoch;
            announce_epoch(disk).unwrap();
            let mut log = LogWriter::new(disk.clone(), NO_PREALLOCATION);
            let mut history = History::default();
            history.push(at(epoch, 1));
            log.append(at(epoch, 1), &history.records[0].1).unwrap();
            log.sync().unwrap();
            save_current_epoch(disk, epoch).unwrap();
            progress.lock().unwrap()[1] = epoch;
        }
    };
    let judge = |disk: &SimDisk, [accepted, current]: [i64; 2]| {
        let zxid = recover(disk, &recover_options()).map_err(|e| e.to_string())?.tree.last_zxid();
        let first = load_epochs(disk, zxid, true).map_err(|e| e.to_string())?;
        if first.accepted < accepted || first.current < current || first.current < zxid >> 32 {
            return Err(format!("{first:?} behind {accepted}, {current}, {zxid:x}"));
        }
        let again = SimDisk::from_image(disk.image().power_cut(&mut Rng::new(1), false));
        match load_epochs(&again, zxid, true) {
            Ok(second) if second == first => Ok(()),
            other => Err(format!("{first:?}, then {other:?}")),
        }
    };
    each_is_missed(
        &[
            ("accepted epoch", |c| c.kind == CallKind::SyncData && c.name.starts_with("acceptedEpoch")),
            ("current epoch", |c| c.kind == CallKind::SyncData && c.name.starts_with("currentEpoch")),
            ("folder", |c| c.kind == CallKind::SyncDir && c.dir == Dir::Snapshot),
        ],
        |ignored| sweep(&start, ignored, run, judge),
    );
}

/// Whether the state is one of this history, at a zxid of which `allowed` holds; and whether Java finds the same.
fn is_of(history: &History, disk: &SimDisk, allowed: impl Fn(i64) -> bool) -> Result<i64, String> {
    let (zxid, digest) = recovered(disk)?;
    if !allowed(zxid) || history.digest_at(zxid) != Some(digest) {
        return Err(format!("at {zxid:#x} with {digest:x}"));
    }
    let seen = java::start(&disk.image(), script::OWNERS).map_err(|e| format!("Java: {e}"))?;
    if seen.last_zxid != zxid || seen.digest() != digest {
        return Err(format!("Java is at {:#x}", seen.last_zxid));
    }
    Ok(zxid)
}

fn truncated(history: &History, image: &Image, keep: i64, ignored: Option<Syncs>) -> Vec<String> {
    let last = history.last();
    let found = if keep & 0xffff_ffff == 0 { history.before(keep) } else { keep };
    let judged = history.clone();
    sweep(
        image,
        ignored,
        |disk, progress| {
            truncate(disk, &recover_options(), keep).unwrap();
            *progress.lock().unwrap() = [1, 1];
        },
        move |disk, [done, _]| {
            let allowed = |zxid| if done == 1 { zxid == found } else { (found..=last).contains(&zxid) };
            is_of(&judged, disk, allowed)?;
            // Another branch goes on from there.
            let (mut branch, mut other) = (judged.clone(), LogWriter::new(disk.clone(), NO_PREALLOCATION));
            let (from, _) = recovered(disk)?;
            branch.truncate(from);
            let next = at((last >> 32) + 1, 1);
            branch.push(next);
            other.append(next, &branch.records.last().unwrap().1).and_then(|()| other.sync()).unwrap();
            is_of(&branch, disk, |zxid| zxid == next).map(|_| ())
        },
    )
}

#[test]
fn a_truncation_is_exact_wherever_it_is_and_whenever_the_power_goes() {
    let history = History::of(&[(1, 9), (2, 7), (4, 12)]);
    for (skip, (roll, snapshot)) in [(100, 100), (3, 5), (1, 4)].into_iter().enumerate() {
        let disk = SimDisk::new(roll == 3);
        folder(&disk, &history, roll, snapshot);
        let image = disk.image();
        let mut places = vec![at([1, 2, 4][skip], 0)];
        places.extend(history.records.iter().skip(skip).step_by(5).map(|(zxid, ..)| *zxid));
        for keep in places {
            let complaints = truncated(&history, &image, keep, None);
            assert!(complaints.is_empty(), "{roll} {snapshot} {keep:#x}: {:#?}", &complaints[..1]);
        }
    }
}

#[test]
fn a_truncation_needs_each_of_its_syncs() {
    let history = History::of(&[(1, 9), (2, 7), (4, 12)]);
    let disk = SimDisk::new(false);
    folder(&disk, &history, 4, 6);
    let image = disk.image();
    let kinds: [(&str, Syncs); 3] = [
        ("snapshot folder", |c| c.kind == CallKind::SyncDir && c.dir == Dir::Snapshot),
        ("log folder", |c| c.kind == CallKind::SyncDir && c.dir == Dir::Log),
        ("log data", |c| c.kind == CallKind::SyncData && c.dir == Dir::Log),
    ];
    each_is_missed(&kinds, |ignored| truncated(&history, &image, at(2, 2), ignored));
}

#[test]
fn a_place_that_the_log_does_not_know_is_refused_and_nothing_is_changed() {
    let history = History::of(&[(1, 9), (2, 7), (4, 12)]);
    for (roll, snapshot) in [(100, 100), (3, 5)] {
        let disk = SimDisk::new(false);
        folder(&disk, &history, roll, snapshot);
        let before = clean(&disk);
        for keep in [at(1, 10), at(2, 8), at(3, 0), at(3, 1), at(4, 13), at(5, 0), at(9, 4)] {
            let result = truncate(&disk, &recover_options(), keep);
            assert!(matches!(result, Err(TruncateError::NotInLog { .. })), "{keep:#x}: {result:?}");
            assert_eq!(clean(&disk), before);
        }
    }
}

#[test]
fn a_snapshot_that_may_hold_more_is_not_kept() {
    let history = History::of(&[(1, 9)]);
    let disk = SimDisk::new(false);
    folder(&disk, &history, 100, 4);
    // As if Java had written it while two more transactions came: its name says 4, its end 6.
    let late = |name: &str| disk.image().read(Dir::Snapshot, name).unwrap().to_vec();
    let fuzzy = history::retail(&late("snapshot.100000004"), at(1, 6), history.digest_at(at(1, 6)).unwrap());
    let mut image = disk.image();
    image.put(Dir::Snapshot, "snapshot.100000004", &fuzzy);
    for (keep, stays) in [(at(1, 5), false), (at(1, 6), false), (at(1, 7), true)] {
        let disk = SimDisk::from_image(image.clone());
        truncate(&disk, &recover_options(), keep).unwrap();
        let names: Vec<String> = disk.image().list(Dir::Snapshot).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.contains(&"snapshot.100000004".to_owned()), stays, "{keep:x}: {names:?}");
        assert_eq!(recovered(&disk).unwrap().0, keep);
    }
    // With nothing older to start from, the cut is refused.
    let alone = SimDisk::from_image(image);
    journal::Storage::remove(&alone, Dir::Snapshot, "snapshot.0").unwrap();
    let before = clean(&alone);
    let result = truncate(&alone, &recover_options(), at(1, 5));
    assert!(matches!(result, Err(TruncateError::NoSnapshot { .. })), "{result:?}");
    assert_eq!(clean(&alone), before);
}

fn taken_over(
    old: &History,
    new: &History,
    image: &Image,
    options: SnapshotOptions,
    ignored: Option<Syncs>,
) -> Vec<String> {
    let (before, after) = (old.clone(), new.clone());
    sweep(
        image,
        ignored,
        |disk, progress| {
            install(disk, &mut new.tree(), options).unwrap();
            *progress.lock().unwrap() = [1, 1];
        },
        move |disk, [done, _]| {
            let is_new = is_of(&after, disk, |zxid| zxid == after.last());
            let is_old = is_of(&before, disk, |zxid| zxid == before.last());
            let (Ok(from), history) = (match (is_new, is_old) {
                (Ok(zxid), _) => (Ok(zxid), &after),
                (Err(new), Ok(_)) if done == 1 => (Err(new), &before),
                (Err(_), Ok(zxid)) => (Ok(zxid), &before),
                (Err(new), Err(old)) => return Err(format!("neither: {new}; {old}")),
            }) else {
                return Err("the old state is back".into());
            };
            for next in [from + 1, at(9, 1)] {
                let disk = SimDisk::from_image(disk.image());
                let (mut history, mut log) =
                    (history.clone(), LogWriter::new(disk.clone(), NO_PREALLOCATION));
                history.push(next);
                log.append(next, &history.records.last().unwrap().1).and_then(|()| log.sync()).unwrap();
                is_of(&history, &disk, |zxid| zxid == next)?;
            }
            Ok(())
        },
    )
}

#[test]
fn an_installed_tree_replaces_everything_or_nothing() {
    let old = History::of(&[(1, 9), (2, 7)]);
    let packed = SnapshotOptions { compression: Compression::Gzip, ..OPTIONS };
    // Newer, older, in the middle of the old history, and at the place of an old snapshot.
    for (branch, options) in [
        (&[(1, 5), (3, 4)][..], OPTIONS),
        (&[(1, 9), (2, 3), (5, 1)], packed),
        (&[(1, 5)], packed),
        (&[(1, 9), (2, 6)], OPTIONS),
    ] {
        let new = spread(branch);
        for (roll, snapshot) in [(100, 100), (4, 5), (1, 1)] {
            let disk = SimDisk::new(roll == 4);
            folder(&disk, &old, roll, snapshot);
            let complaints = taken_over(&old, &new, &disk.image(), options, None);
            assert!(complaints.is_empty(), "{branch:?} {roll}: {:#?}", &complaints[..1]);
        }
    }
}

#[test]
fn an_installation_needs_each_of_its_syncs() {
    let old = History::of(&[(1, 9), (2, 7)]);
    let new = spread(&[(1, 5)]);
    let disk = SimDisk::new(false);
    folder(&disk, &old, 4, 5);
    let kinds: [(&str, Syncs); 3] = [
        ("snapshot", |c| c.kind == CallKind::SyncData && c.dir == Dir::Snapshot),
        ("snapshot folder", |c| c.kind == CallKind::SyncDir && c.dir == Dir::Snapshot),
        ("log folder", |c| c.kind == CallKind::SyncDir && c.dir == Dir::Log),
    ];
    each_is_missed(&kinds, |ignored| taken_over(&old, &new, &disk.image(), OPTIONS, ignored));
}
