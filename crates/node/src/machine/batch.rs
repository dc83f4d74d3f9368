//! Log records on their way to the disk, and from there to the tree.

use wire::file::RECORD_OVERHEAD_BYTES;

/// Whole log records, one behind the other, exactly as the file will hold them. Their zxids rise.
#[derive(Debug, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    /// Where each record begins.
    starts: Vec<u32>,
    first_zxid: i64,
    last_zxid: i64,
}

impl Batch {
    pub(super) fn with_capacity(bytes: usize) -> Batch {
        Batch { bytes: Vec::with_capacity(bytes), ..Batch::default() }
    }

    pub(super) fn add(&mut self, start: usize, zxid: i64) {
        if self.starts.is_empty() {
            self.first_zxid = zxid;
        }
        self.last_zxid = zxid;
        self.starts.push(u32::try_from(start).expect("a batch is bounded far below 4 GiB"));
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn first_zxid(&self) -> i64 {
        self.first_zxid
    }

    pub fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// The payload of record `i`: header, transaction, digest.
    pub fn payload(&self, i: usize) -> &[u8] {
        let start = self.starts[i] as usize;
        let end = self.starts.get(i + 1).map_or(self.bytes.len(), |next| *next as usize);
        const HEAD: usize = RECORD_OVERHEAD_BYTES - 1;
        &self.bytes[start + HEAD..end - 1]
    }

    /// The zxid of record `i`, which stands behind session and cxid in its header.
    pub fn zxid(&self, i: usize) -> i64 {
        self.payload(i)[12..].first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
    }

    /// The number of records up to `zxid`, inclusive.
    pub fn up_to(&self, zxid: i64) -> usize {
        if zxid >= self.last_zxid {
            return self.len();
        }
        if zxid < self.first_zxid {
            return 0;
        }
        // Within an epoch no number is left out.
        let contiguous = self.last_zxid - self.first_zxid == self.len() as i64 - 1;
        if contiguous {
            return (zxid - self.first_zxid + 1) as usize;
        }
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.zxid(middle) <= zxid { low = middle + 1 } else { high = middle }
        }
        low
    }
}
