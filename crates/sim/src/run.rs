//! The durable half of a server, run over a script: append, sync, then acknowledge and apply; snapshots while writes
//! go on, log rolls and purges in between.

use crate::disk::Image;
use crate::script::{OWNERS, Script};
use crate::{Rng, SimDisk, java};
use journal::{
    Compression, LogOptions, LogWriter, RecoverError, RecoverOptions, Recovered, SnapshotOptions,
    SnapshotWriter, Storage, purge, recover,
};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tree::{Rules, Tree};
use wire::jute::Limits;
use wire::txn::TxnRecord;

/// Rules of every recovery here; the digest is on so that it is compared.
pub fn recover_options() -> RecoverOptions {
    RecoverOptions {
        rules: Rules { owners: OWNERS, digest: true, hash_seed: 1 },
        limits: Limits::default(),
        trust_empty: false,
        repair: true,
    }
}

/// The zxid up to which somebody was told that his write is durable. Shared with the observer of the disk.
#[derive(Clone, Default)]
pub struct Acknowledged(Arc<AtomicI64>);

impl Acknowledged {
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn raise(&self, zxid: i64) {
        self.0.fetch_max(zxid, Ordering::Relaxed);
    }
}

/// How a run goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub seed: u64,
    pub prealloc_bytes: u64,
    /// The largest number of transactions under one sync.
    pub batch: usize,
    /// Chances in a hundred, per batch.
    pub snapshot: u64,
    pub roll: u64,
    pub purge: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { seed: 1, prealloc_bytes: 16 << 10, batch: 6, snapshot: 10, roll: 6, purge: 4 }
    }
}

/// A server between start and end.
struct Server<'s> {
    disk: SimDisk,
    script: &'s Script,
    rng: Rng,
    pace: Pace,
    tree: Tree,
    log: LogWriter<SimDisk>,
    snapshot: Option<SnapshotWriter<<SimDisk as Storage>::File>>,
    acknowledged: Acknowledged,
}

/// Starts on `disk` and runs the script from where the disk stands to its end, or to the first error.
pub fn run(
    disk: &SimDisk,
    script: &Script,
    pace: Pace,
    acknowledged: &Acknowledged,
) -> Result<Tree, RecoverError> {
    disk.set_phase("recover");
    let Recovered { tree, report, .. } = recover(disk, &recover_options())?;
    acknowledged.raise(tree.last_zxid());
    disk.set_phase("run");
    let options = LogOptions { prealloc_bytes: pace.prealloc_bytes, ..LogOptions::default() };
    let mut server = Server {
        disk: disk.clone(),
        script,
        rng: Rng::new(pace.seed),
        pace,
        tree,
        log: LogWriter::new(disk.clone(), options),
        snapshot: None,
        acknowledged: acknowledged.clone(),
    };
    if report.fresh {
        server.begin_snapshot(Compression::None)?;
        while server.snapshot.is_some() {
            server.continue_snapshot(u32::MAX)?;
        }
    }
    while (server.tree.last_zxid() as usize) < script.len() {
        server.batch()?;
    }
    Ok(server.tree)
}

impl Server<'_> {
    fn batch(&mut self) -> io::Result<()> {
        let first = self.tree.last_zxid() as usize;
        let count = (1 + self.rng.index(self.pace.batch)).min(self.script.len() - first);
        let records = &self.script.records[first..first + count];
        if self.rng.chance(50) {
            self.log.append(first as i64 + 1, &records.concat())?;
        } else {
            for (i, record) in records.iter().enumerate() {
                self.log.append((first + i) as i64 + 1, record)?;
            }
        }
        self.log.sync()?;
        self.acknowledged.raise((first + count) as i64);
        for record in records {
            let payload = &record[12..record.len() - 1];
            let record = TxnRecord::decode(payload, Limits::default()).expect("scripts are valid");
            self.tree.apply(&record, &mut Vec::new());
            self.tree.sweep();
        }
        self.housekeeping()
    }

    fn housekeeping(&mut self) -> io::Result<()> {
        if self.snapshot.is_some() {
            let slots = 1 + self.rng.below(60) as u32;
            self.continue_snapshot(slots)?;
        } else if self.rng.chance(self.pace.snapshot) {
            let kinds = [Compression::None, Compression::Gzip, Compression::Snappy];
            let kind = *self.rng.pick(&kinds);
            self.begin_snapshot(kind)?;
        }
        if self.rng.chance(self.pace.roll) {
            self.log.roll()?;
        }
        if self.rng.chance(self.pace.purge) {
            purge(&self.disk, 1 + self.rng.index(3))?;
        }
        Ok(())
    }

    fn begin_snapshot(&mut self, compression: Compression) -> io::Result<()> {
        let header = self.tree.freeze();
        let options = SnapshotOptions { compression, digest: true, last_zxid: true };
        self.snapshot = Some(SnapshotWriter::begin(&self.disk, &header, options)?);
        Ok(())
    }

    fn continue_snapshot(&mut self, slots: u32) -> io::Result<()> {
        let Some(mut writer) = self.snapshot.take() else { return Ok(()) };
        let mut bytes = Vec::new();
        let more = self.tree.read_frozen(slots, |node| {
            SnapshotWriter::<<SimDisk as Storage>::File>::encode_node(&node, &mut bytes);
            true
        });
        writer.write(&bytes)?;
        if more {
            self.snapshot = Some(writer);
        } else {
            self.tree.thaw();
            writer.finish(&self.disk)?;
        }
        Ok(())
    }
}

/// The tree in the model's terms, to compare the two.
pub fn nodes_of(tree: &Tree) -> std::collections::BTreeMap<String, model::Node> {
    let mut nodes = std::collections::BTreeMap::new();
    let mut todo = vec!["/".to_owned()];
    while let Some(path) = todo.pop() {
        let node = tree.get(&path).expect("children exist");
        let slash = if path == "/" { "" } else { "/" };
        todo.extend(node.children().map(|name| format!("{path}{slash}{name}")));
        let acl = node.acl().map(|a| a.encoded().to_vec()).unwrap_or_default();
        let data = node.data().map(<[u8]>::to_vec);
        nodes.insert(path, model::Node { data, acl, stat: node.stored_stat() });
    }
    nodes
}

/// What is wrong with a recovered tree, if anything: it must be the state after some transaction of the script, not
/// before the last acknowledged one.
pub fn check(tree: &Tree, script: &Script, acknowledged: i64) -> Result<(), String> {
    let zxid = tree.last_zxid();
    if zxid < acknowledged {
        return Err(format!("acknowledged up to {acknowledged}, but only {zxid} was recovered"));
    }
    let Some(expected) = script.after(zxid) else { return Err(format!("{zxid} is not in the script")) };
    if tree.sessions() != &expected.sessions {
        return Err(format!("sessions differ at {zxid}"));
    }
    if tree.digest() != script.digests[zxid as usize] || nodes_of(tree) != expected.nodes {
        return Err(format!("znodes differ at {zxid}"));
    }
    Ok(())
}

/// Starts on `image` as a server does, and again after another power cut, and once more as Java would.
///
/// Returns the zxid that all three found, or what was wrong. `prepare` sees the disk of the first start.
pub fn examine(
    image: Image,
    script: &Script,
    acknowledged: i64,
    prepare: impl Fn(&SimDisk),
) -> Result<i64, String> {
    let disk = SimDisk::from_image(image);
    disk.set_phase("recover");
    prepare(&disk);
    let first = recover(&disk, &recover_options()).map_err(|e| format!("refused: {e}"))?;
    check(&first.tree, script, acknowledged)?;
    if !first.report.warnings.is_empty() {
        return Err(format!("warnings: {:?}", first.report.warnings));
    }
    let zxid = first.tree.last_zxid();
    // What was recovered is served from now on, so it must survive the next power cut.
    for tearing in [false, true] {
        let again = SimDisk::from_image(disk.image().power_cut(&mut Rng::new(7), tearing));
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
    }
    Ok(zxid)
}
