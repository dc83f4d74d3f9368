//! Files cut off at every byte and rotten in every bit: never a panic, and either the exact state, or a refusal.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use journal::{Dir, LogError, LogFile, LogItem, Storage, recover};
use sim::SimDisk;
use sim::disk::{Image, SECTOR};
use sim::run::{Acknowledged, Pace, check, recover_options, run};
use sim::script::Script;
use wire::file::{RecordAt, read_record};

/// The first `len` transactions of the script on a disk with one log, every one of them acknowledged.
fn written(script: &Script, len: usize, pace: Pace) -> Image {
    let part = Script {
        records: script.records[..len].to_vec(),
        states: script.states[..=len].to_vec(),
        digests: script.digests[..=len].to_vec(),
    };
    let disk = SimDisk::new(false);
    run(&disk, &part, pace, &Acknowledged::default()).unwrap();
    disk.image()
}

fn log_only() -> Pace {
    Pace { snapshot: 0, roll: 0, purge: 0, ..Pace::default() }
}

fn the_log(image: &Image) -> (String, Vec<u8>) {
    let logs = image.list(Dir::Log);
    assert_eq!(logs.len(), 1);
    (logs[0].0.clone(), image.read(Dir::Log, &logs[0].0).unwrap().to_vec())
}

/// Where each record ends.
fn record_ends(log: &[u8]) -> Vec<usize> {
    let mut ends = vec![16];
    while let RecordAt::Whole { used, .. } = read_record(&log[ends[ends.len() - 1]..], 1 << 20) {
        ends.push(ends[ends.len() - 1] + used);
    }
    ends
}

fn with(image: &Image, dir: Dir, name: &str, bytes: &[u8]) -> SimDisk {
    let mut image = image.clone();
    image.put(dir, name, bytes);
    SimDisk::from_image(image)
}

/// How many records a reader gets, and where it says the write was cut short.
fn read_all(disk: &SimDisk, name: &str) -> Result<(usize, Option<u64>), LogError> {
    let mut log = LogFile::open(disk.open(Dir::Log, name).unwrap(), 1 << 20)?;
    let mut records = 0;
    loop {
        match log.next()? {
            LogItem::Record(_) => records += 1,
            LogItem::End { torn_at } => return Ok((records, torn_at)),
        }
    }
}

#[test]
fn a_log_cut_off_at_any_byte_gives_every_record_before() {
    let script = Script::generate(31, 350);
    let pace = Pace { prealloc_bytes: 0, ..log_only() };
    let image = written(&script, 350, pace);
    let (name, log) = the_log(&image);
    let ends = record_ends(&log);
    assert!(log.len() > 64 << 10, "{} bytes", log.len());
    for cut in 0..64 << 10 {
        let disk = with(&image, Dir::Log, &name, &log[..cut]);
        let whole = ends.partition_point(|end| *end <= cut).saturating_sub(1);
        match read_all(&disk, &name) {
            Err(LogError::Empty | LogError::ShortHeader(_)) => assert!(cut < 16),
            Err(e) => panic!("cut at {cut}: {e}"),
            Ok((records, torn_at)) => {
                assert_eq!(records, whole, "cut at {cut}");
                let torn = (!ends.contains(&cut)).then_some(ends[whole] as u64);
                assert_eq!(torn_at, torn, "cut at {cut}");
            }
        }
        if cut % 257 == 0 {
            let recovered = recover(&disk, &recover_options()).unwrap();
            assert_eq!(recovered.tree.last_zxid(), whole as i64);
            check(&recovered.tree, &script, whole as i64).unwrap();
        }
    }
}

#[test]
fn no_flipped_bit_of_a_log_loses_anything_silently() {
    let script = Script::generate(34, 200);
    // Few enough transactions to end within the 8 KB, and enough to pass them.
    for (len, prealloc_bytes) in [(18, 16 << 10), (18, 0), (60, 16 << 10)] {
        let image = written(&script, len, Pace { prealloc_bytes, batch: 3, ..log_only() });
        let (name, log) = the_log(&image);
        let mut refused = 0;
        for bit in 0..log.len().min(8 << 10) * 8 {
            let mut rotten = log.clone();
            rotten[bit / 8] ^= 1 << (bit % 8);
            let disk = with(&image, Dir::Log, &name, &rotten);
            match recover(&disk, &recover_options()) {
                Err(_) => refused += 1,
                Ok(r) => check(&r.tree, &script, len as i64)
                    .unwrap_or_else(|e| panic!("{len} transactions, bit {bit}: {e}")),
            }
        }
        let end = record_ends(&log)[len].min(8 << 10);
        println!("{len} transactions end at {end}: {refused} flips refused");
        assert!(refused >= end * 8 - 16 * 8, "every bit of a record counts");
    }
}

/// A sector that reads as zeros where acknowledged records were is found, unless it lies in what the very last sync
/// wrote: there it looks exactly like a write that was cut short.
#[test]
fn a_zeroed_sector_is_found_up_to_the_last_batch() {
    let script = Script::generate(33, 300);
    let image = written(&script, 300, Pace { batch: 4, ..log_only() });
    let (name, log) = the_log(&image);
    let ends = record_ends(&log);
    let last_batch = ends[300 - 4] / SECTOR;
    let mut lost = 0;
    for sector in 0..ends[300] / SECTOR {
        let mut rotten = log.clone();
        rotten[sector * SECTOR..(sector + 1) * SECTOR].fill(0);
        if rotten == log {
            continue;
        }
        if let Ok(r) = recover(&with(&image, Dir::Log, &name, &rotten), &recover_options()) {
            let found = r.tree.last_zxid();
            assert!(sector >= last_batch, "sector {sector} of {last_batch}: only {found} of 300 recovered");
            lost += 1;
        }
    }
    println!("{lost} zeroed sectors of the last batch taken for a torn write");
}

/// Snapshots of every kind, cut off and rotten, with and without an older one to fall back to.
#[test]
fn a_damaged_snapshot_is_passed_over_or_refused() {
    let script = Script::generate(35, 90);
    for seed in 40..60 {
        let pace = Pace {
            seed,
            snapshot: 30,
            roll: 20,
            purge: if seed % 2 == 0 { 0 } else { 20 },
            ..Pace::default()
        };
        let image = written(&script, 90, pace);
        let snapshots = image.list(Dir::Snapshot);
        let Some((name, _)) = snapshots.iter().max_by_key(|(n, _)| journal::names::snapshot_zxid(n)) else {
            panic!("no snapshot")
        };
        let whole = image.read(Dir::Snapshot, name).unwrap();
        let try_with = |bytes: &[u8], what: &str| match recover(
            &with(&image, Dir::Snapshot, name, bytes),
            &recover_options(),
        ) {
            Err(_) => {}
            Ok(r) => check(&r.tree, &script, 90).unwrap_or_else(|e| panic!("{name}, {what}: {e}")),
        };
        for cut in (0..whole.len()).step_by(1 + whole.len() / 1500) {
            try_with(&whole[..cut], "cut off");
        }
        for bit in (0..whole.len() * 8).step_by(1 + whole.len() * 8 / 3000) {
            let mut rotten = whole.to_vec();
            rotten[bit / 8] ^= 1 << (bit % 8);
            try_with(&rotten, "rotten");
        }
    }
}

/// One small snapshot in each packing, at every byte and every bit.
#[test]
fn every_byte_and_bit_of_small_snapshots() {
    let script = Script::generate(36, 40);
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let image = written(&script, 40, Pace { seed, snapshot: 100, ..log_only() });
        for (name, len) in image.list(Dir::Snapshot) {
            let kind = [".gz", ".snappy"].into_iter().find(|end| name.ends_with(end)).unwrap_or("plain");
            let named = journal::names::snapshot_zxid(&name).filter(|zxid| *zxid > 10);
            if let Some(zxid) = named.filter(|_| len < 8 << 10 && kinds.insert(kind)) {
                every_byte_and_bit(&script, &image, &name, zxid);
            }
        }
    }
    assert_eq!(kinds.len(), 3, "{kinds:?}");
}

fn every_byte_and_bit(script: &Script, image: &Image, name: &str, zxid: i64) {
    let whole = image.read(Dir::Snapshot, name).unwrap().to_vec();
    let load = |bytes: &[u8]| {
        journal::load_snapshot(&with(image, Dir::Snapshot, name, bytes), name, &recover_options())
    };
    let good = |tree: &tree::Tree| check(tree, script, zxid).is_ok() && tree.last_zxid() == zxid;
    assert!(good(&load(&whole).unwrap()));
    for cut in 0..whole.len() {
        if let Ok(tree) = load(&whole[..cut]) {
            assert!(good(&tree), "{name}: cutting at {cut} changed the tree");
        }
    }
    for bit in 0..whole.len() * 8 {
        let mut rotten = whole.clone();
        rotten[bit / 8] ^= 1 << (bit % 8);
        if let Ok(tree) = load(&rotten) {
            assert!(good(&tree), "{name}: bit {bit} changed the tree");
        }
    }
}

/// An unreadable snapshot still says how far the database had come.
#[test]
fn a_start_that_would_go_back_in_time_is_refused() {
    let script = Script::generate(37, 20);
    let image = written(&script, 20, log_only());
    let with_snapshot =
        |name: &str| recover(&with(&image, Dir::Snapshot, name, b"ZKSN cut"), &recover_options());
    let refused = with_snapshot("snapshot.15").map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("up to 0x15") && refused.contains("only to 0x14"), "{refused}");
    for harmless in ["snapshot.14", "snapshot.100000000"] {
        check(&with_snapshot(harmless).unwrap().tree, &script, 20).unwrap();
    }
}
