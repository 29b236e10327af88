//! The changelog of a table: what its entries say.

use redis::Value;
use store_core::{Gone, Key, Record, Result};

use super::meta;
use crate::fault::{corrupt, unexpected};
use crate::reply;

/// One entry. Its number is the revision that the change gave.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// A record was written; with the record, if it is small.
    Put {
        key: String,
        record: Option<Record>,
    },
    Gone {
        key: String,
        why: Gone,
    },
    /// The numbers go on here after this one.
    Jump {
        from: u64,
    },
    /// The log begins here: what came before is not known.
    Begin,
}

impl Entry {
    /// Whether nothing is missing between it and what was seen last.
    pub(super) fn follows(&self, last: u64) -> bool {
        match self.kind {
            Kind::Jump { from } => from == last,
            Kind::Begin => self.sequence <= last,
            _ => self.sequence == last + 1,
        }
    }

    /// The entries of a stream, as XRANGE and XREAD give them.
    pub(super) fn parse_all(entries: Value) -> Result<Vec<Self>> {
        reply::array(entries)?.into_iter().map(Self::parse).collect()
    }

    fn parse(entry: Value) -> Result<Self> {
        let mut entry = reply::array(entry)?.into_iter();
        let id = entry.next().ok_or_else(unexpected)?;
        let fields = reply::array(entry.next().ok_or_else(unexpected)?)?;
        let id = reply::bytes(&id)?;
        let number = id.split(|&byte| byte == b'-').next().unwrap_or_default();
        let wrong = || corrupt("the changelog is not what this layout writes");
        let sequence = reply::number(number).ok_or_else(wrong)?;
        let [kind, what, rest @ ..] = &fields[..] else {
            return Err(wrong());
        };
        let text = || {
            let bytes = reply::bytes(what)?.to_vec();
            String::from_utf8(bytes).map_err(|_| reply::not_utf8())
        };
        let gone = |why| Ok::<_, store_core::Error>(Kind::Gone { key: text()?, why });
        let kind = match reply::bytes(kind)? {
            b"p" => {
                let key = text()?;
                let record = match rest {
                    [_, entry, _, value] => {
                        let value = reply::bytes(value)?.to_vec();
                        let entry = reply::bytes(entry)?;
                        Some(meta::record(Key::new(&key)?, value, Some(entry))?)
                    }
                    _ => None,
                };
                Kind::Put { key, record }
            }
            b"d" => gone(Gone::Deleted)?,
            b"x" => gone(Gone::Expired)?,
            b"e" => gone(Gone::Evicted)?,
            b"j" => Kind::Jump { from: reply::number(reply::bytes(what)?).ok_or_else(wrong)? },
            b"w" => Kind::Begin,
            _ => return Err(wrong()),
        };
        Ok(Self { sequence, kind })
    }
}
