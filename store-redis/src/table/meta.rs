//! What lies beside a value: `revision expiry metadata`.

use store_core::{Error, Key, Metadata, Record, Result, Revision, Timestamp};

use crate::fault::corrupt;
use crate::reply::number;

/// One entry of a table's metadata.
#[derive(Debug)]
pub(crate) struct Meta<'a> {
    pub(crate) sequence: u64,
    pub(crate) expires: Option<Timestamp>,
    json: &'a [u8],
}

impl<'a> Meta<'a> {
    pub(crate) fn parse(entry: &'a [u8]) -> Result<Self> {
        let wrong = || corrupt("the record's metadata entry is not what this layout writes");
        let mut parts = entry.splitn(3, |&byte| byte == b' ');
        let mut next = || parts.next().ok_or_else(wrong);
        let (sequence, expires, json) = (next()?, next()?, next()?);
        let expires: u64 = number(expires).ok_or_else(wrong)?;
        Ok(Self {
            sequence: number(sequence).ok_or_else(wrong)?,
            expires: Timestamp::from_millis(expires),
            json,
        })
    }

    fn metadata(&self) -> Result<Metadata> {
        if self.json.is_empty() {
            return Ok(Metadata::new());
        }
        let wrong = |error: Error| corrupt("the record's metadata is not JSON").with_source(error);
        let text = std::str::from_utf8(self.json)
            .map_err(|_| corrupt("the record's metadata is not UTF-8"))?;
        Metadata::parse(text).map_err(wrong)
    }
}

/// The revision of a number that the table's counter gave.
pub(crate) fn revision(sequence: u64) -> Revision {
    Revision::from_parts(0, sequence)
}

/// A record from its value and its metadata entry. Without the entry it was written by somebody else, and has no revision.
pub(crate) fn record(key: Key<'_>, value: Vec<u8>, entry: Option<&[u8]>) -> Result<Record> {
    let builder = Record::builder(key, value);
    let Some(entry) = entry else {
        return Ok(builder.build());
    };
    let meta = Meta::parse(entry)?;
    let builder = builder.revision(revision(meta.sequence)).expires(meta.expires);
    Ok(builder.metadata(meta.metadata()?).build())
}

/// The metadata as it lies in the entry.
pub(crate) fn json(metadata: &Metadata) -> String {
    if metadata.is_empty() { String::new() } else { metadata.to_json() }
}
