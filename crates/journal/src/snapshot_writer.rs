//! Writing a snapshot (quorum-and-disk §4.2), piece by piece and at the caller's pace.

use crate::codec::{Compression, Encoder};
use crate::image::{encode_end, encode_node, encode_tables};
use crate::names;
use crate::storage::{Dir, Storage, StorageFile};
use std::io::{self, Write};
use tree::{FrozenHeader, FrozenNode};
use wire::file::FileHeader;
use wire::jute::Put;
use wire::txn::TxnDigest;

struct FileWriter<F>(F);

impl<F: StorageFile> Write for FileWriter<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What stands behind the znodes.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotOptions {
    pub compression: Compression,
    /// `zookeeper.digest.enabled`
    pub digest: bool,
    /// `zookeeper.serializeLastProcessedZxid.enabled`
    pub last_zxid: bool,
}

/// A snapshot in the making. It exists under a name of its own until [`SnapshotWriter::finish`].
pub struct SnapshotWriter<F: StorageFile> {
    out: Encoder<FileWriter<F>>,
    adler: simd_adler32::Adler32,
    zxid: i64,
    digest: Option<u64>,
    options: SnapshotOptions,
    in_progress: &'static str,
}

impl<F: StorageFile> SnapshotWriter<F> {
    /// Begins the file with header, sessions and access lists.
    pub fn begin<S: Storage<File = F>>(
        storage: &S,
        header: &FrozenHeader,
        options: SnapshotOptions,
    ) -> io::Result<Self> {
        Self::begin_as(storage, header, options, names::SNAPSHOT_IN_PROGRESS)
    }

    /// Likewise under another name until it has its final one.
    pub(crate) fn begin_as<S: Storage<File = F>>(
        storage: &S,
        header: &FrozenHeader,
        options: SnapshotOptions,
        in_progress: &'static str,
    ) -> io::Result<Self> {
        let file = storage.create(Dir::Snapshot, in_progress)?;
        let mut writer = SnapshotWriter {
            out: Encoder::new(options.compression, FileWriter(file))?,
            adler: simd_adler32::Adler32::new(),
            zxid: header.zxid,
            // Before the first transaction Java has no digest, and says so with a zero.
            digest: options.digest.then_some(if header.zxid == 0 { 0 } else { header.digest }),
            options,
            in_progress,
        };
        let mut bytes = Vec::new();
        FileHeader::SNAPSHOT.encode(&mut bytes);
        encode_tables(header, &mut bytes);
        writer.write(&bytes)?;
        Ok(writer)
    }

    /// Appends one znode to `out`, for [`SnapshotWriter::write`].
    pub fn encode_node(node: &FrozenNode<'_>, out: &mut Vec<u8>) {
        encode_node(node, out);
    }

    /// Writes encoded znodes, root first and parents before children.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.adler.write(bytes);
        self.out.write_all(bytes)
    }

    /// Makes what is written so far durable, so that the end does not have to do it all at once.
    pub fn sync_piece(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.out.get_mut().0.sync_data()
    }

    /// Each checksum covers everything before it, earlier checksums included.
    fn seal(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        bytes.put_i64(i64::from(self.adler.finish()));
        bytes.put_ustring("/");
        self.write(&bytes)
    }

    /// Closes the znodes, adds the optional sections, makes the file durable and gives it its name, which is returned.
    pub fn finish<S: Storage<File = F>>(self, storage: &S) -> io::Result<String> {
        let name = names::snapshot(self.zxid, self.options.compression);
        self.finish_as(storage, &name)?;
        Ok(name)
    }

    /// Likewise under another name.
    pub(crate) fn finish_as<S: Storage<File = F>>(mut self, storage: &S, name: &str) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode_end(&mut bytes);
        self.write(&bytes)?;
        self.seal()?;
        if let Some(digest) = self.digest {
            bytes.clear();
            bytes.put_i64(self.zxid);
            TxnDigest { version: TxnDigest::VERSION, tree_digest: digest }.encode(&mut bytes);
            self.write(&bytes)?;
            self.seal()?;
        }
        if self.options.last_zxid {
            self.write(&self.zxid.to_be_bytes())?;
            self.seal()?;
        }
        let FileWriter(mut file) = self.out.finish()?;
        file.sync_data()?;
        storage.rename(Dir::Snapshot, self.in_progress, name)?;
        storage.sync_dir(Dir::Snapshot)
    }
}
