//! From the data folder to a tree that can be served, and what is written when there is nothing yet.

use crate::disk::Disk;
use crate::start::StartError;
use config::Config;
use journal::{Compression, RecoverOptions, Recovered, SnapshotOptions, SnapshotWriter};
use node::Settings;
use std::io;
use wire::jute::Limits;

/// How this server's files are read.
pub(crate) fn recover_options(config: &Config, settings: &Settings, seed: u64) -> RecoverOptions {
    RecoverOptions {
        rules: tree::Rules { owners: settings.owners, digest: settings.digest, hash_seed: seed },
        limits: Limits { field_bytes: settings.max_record },
        trust_empty: config.storage.trust_empty_snapshot,
        repair: true,
    }
}

/// How its snapshots are written.
pub(crate) fn snapshot_options(config: &Config) -> SnapshotOptions {
    let storage = &config.storage;
    let compression = match storage.snapshot_compression {
        config::Compression::None => Compression::None,
        config::Compression::Gzip => Compression::Gzip,
        config::Compression::Snappy => Compression::Snappy,
    };
    SnapshotOptions {
        compression,
        digest: storage.digest_enabled,
        last_zxid: storage.serialize_last_processed_zxid,
    }
}

/// Restores the tree, and writes the first snapshot of a new database.
pub(crate) fn recover(
    config: &Config,
    settings: &Settings,
    disk: &Disk,
    seed: u64,
) -> Result<Recovered, StartError> {
    let storage = &config.storage;
    let options = recover_options(config, settings, seed);
    let dir = disk.dirs().snapshots.display().to_string();
    let mut recovered = journal::recover(disk, &options)
        .map_err(|source| StartError::Recover { dir: dir.clone(), source })?;
    let report = &recovered.report;
    for (file, reason) in &report.rejected {
        tracing::warn!(file, reason, "snapshot passed over");
    }
    for what in report.repaired.iter().chain(&report.warnings) {
        tracing::warn!("{what}");
    }
    // A database without a snapshot gets one at once: logs alone, trusted this time, would be refused the next.
    let needs_snapshot = report.snapshot.is_none();
    if report.fresh {
        tracing::info!(dir, "new database");
    } else {
        let zxid = format!("{:#x}", recovered.tree.last_zxid());
        let (snapshot, txns) = (report.snapshot.as_deref().unwrap_or("none"), report.txns);
        tracing::info!(dir, snapshot, txns, zxid, znodes = recovered.tree.len(), "database restored");
    }
    let is_promised = disk.has_initialize();
    if report.fresh && config.ensemble.is_distributed() && !storage.autocreate_db && !is_promised {
        tracing::warn!(
            dir,
            "the data folder is empty, and db.autocreate is false: this server does not vote before a leader has sent it \
             the data. To begin a new ensemble, create an empty file `initialize` in dataLogDir of every member"
        );
        recovered.tree.set_last_zxid(zab::election::UNVERIFIED);
        return Ok(recovered);
    }
    if needs_snapshot {
        first_snapshot(disk, &mut recovered, storage)
            .map_err(|source| StartError::System { what: "cannot write the first snapshot", source })?;
    }
    if is_promised {
        // Only now that the database stands: a crash before leaves the promise in force.
        disk.remove_initialize()
            .map_err(|source| StartError::System { what: "cannot remove the file `initialize`", source })?;
    }
    Ok(recovered)
}

fn first_snapshot(disk: &Disk, recovered: &mut Recovered, storage: &config::Storage) -> io::Result<()> {
    let options = SnapshotOptions {
        compression: journal::Compression::None,
        digest: storage.digest_enabled,
        last_zxid: storage.serialize_last_processed_zxid,
    };
    let header = recovered.tree.freeze();
    let mut writer = SnapshotWriter::begin(disk, &header, options)?;
    let mut bytes = Vec::new();
    while recovered.tree.read_frozen(u32::MAX, |node| {
        SnapshotWriter::<crate::disk::DiskFile>::encode_node(&node, &mut bytes);
        true
    }) {}
    recovered.tree.thaw();
    writer.write(&bytes)?;
    writer.finish(disk).map(|_name| ())
}
