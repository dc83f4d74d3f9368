//! The bytes of ZooKeeper's records, written and read by hand.
//!
//! On purpose this shares no code with the server: a mistake made twice in the same way would not be seen.
use anyhow::{Context, Result, bail};

/// One entry of an access list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acl {
    pub permissions: i32,
    pub scheme: String,
    pub id: String,
}

impl Acl {
    pub fn new(permissions: i32, scheme: &str, id: &str) -> Acl {
        Acl { permissions, scheme: scheme.to_owned(), id: id.to_owned() }
    }

    /// Everybody may do everything.
    pub fn open() -> Acl {
        Acl::new(31, "world", "anyone")
    }
}

/// The fields of a znode's Stat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    pub ephemeral_owner: i64,
    pub data_length: i32,
    pub num_children: i32,
    pub pzxid: i64,
}

/// Appends fields in their order; every method returns the writer, so that a record reads as one line.
#[derive(Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn int(mut self, value: i32) -> Writer {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub fn long(mut self, value: i64) -> Writer {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    pub fn boolean(mut self, value: bool) -> Writer {
        self.bytes.push(u8::from(value));
        self
    }

    /// A buffer; `None` is written as length -1.
    pub fn buffer(mut self, value: Option<&[u8]>) -> Writer {
        let Some(bytes) = value else { return self.int(-1) };
        self = self.int(bytes.len() as i32);
        self.bytes.extend(bytes);
        self
    }

    pub fn string(self, value: &str) -> Writer {
        self.buffer(Some(value.as_bytes()))
    }

    pub fn strings<'a>(self, strings: impl ExactSizeIterator<Item = &'a str>) -> Writer {
        let start = self.int(strings.len() as i32);
        strings.fold(start, |out, one| out.string(one))
    }

    pub fn acls(self, acls: &[Acl]) -> Writer {
        let start = self.int(acls.len() as i32);
        acls.iter().fold(start, |out, acl| out.int(acl.permissions).string(&acl.scheme).string(&acl.id))
    }

    /// Bytes that are records already.
    pub fn raw(mut self, bytes: &[u8]) -> Writer {
        self.bytes.extend(bytes);
        self
    }
}

/// Takes fields off the front of a record.
pub struct Reader<'a> {
    pub rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(rest: &'a [u8]) -> Reader<'a> {
        Reader { rest }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (front, rest) = self.rest.split_at_checked(count).context("the record ends early")?;
        self.rest = rest;
        Ok(front)
    }

    pub fn int(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    pub fn long(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into()?))
    }

    pub fn boolean(&mut self) -> Result<bool> {
        Ok(self.take(1)?[0] != 0)
    }

    pub fn buffer(&mut self) -> Result<Option<Vec<u8>>> {
        match self.int()? {
            -1 => Ok(None),
            length if length < 0 => bail!("a buffer of length {length}"),
            length => Ok(Some(self.take(length as usize)?.to_vec())),
        }
    }

    pub fn string(&mut self) -> Result<String> {
        let bytes = self.buffer()?.context("a null string")?;
        String::from_utf8(bytes).context("a string that is not UTF-8")
    }

    fn vector<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.int()?;
        (0..count).map(|_| one(self)).collect()
    }

    pub fn strings(&mut self) -> Result<Vec<String>> {
        self.vector(Reader::string)
    }

    pub fn acls(&mut self) -> Result<Vec<Acl>> {
        self.vector(|reader| {
            Ok(Acl { permissions: reader.int()?, scheme: reader.string()?, id: reader.string()? })
        })
    }

    pub fn stat(&mut self) -> Result<Stat> {
        Ok(Stat {
            czxid: self.long()?,
            mzxid: self.long()?,
            ctime: self.long()?,
            mtime: self.long()?,
            version: self.int()?,
            cversion: self.int()?,
            aversion: self.int()?,
            ephemeral_owner: self.long()?,
            data_length: self.int()?,
            num_children: self.int()?,
            pzxid: self.long()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let acls = [Acl::open(), Acl::new(1, "ip", "10.0.0.0/8")];
        let out = Writer::default().int(-2).long(7).boolean(true).string("é").buffer(None).acls(&acls);
        let mut reader = Reader::new(&out.bytes);
        assert_eq!((reader.int().unwrap(), reader.long().unwrap()), (-2, 7));
        assert!(reader.boolean().unwrap());
        assert_eq!(reader.string().unwrap(), "é");
        assert_eq!(reader.buffer().unwrap(), None);
        assert_eq!(reader.acls().unwrap(), acls);
        assert!(reader.rest.is_empty());
    }

    #[test]
    fn a_short_record_is_an_error() {
        assert!(Reader::new(&[0, 0, 0]).int().is_err());
        assert!(Reader::new(&[0, 0, 0, 9, 1]).buffer().is_err());
        assert!(Reader::new(&[255, 255, 255, 254]).buffer().is_err());
    }
}
