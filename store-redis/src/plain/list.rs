//! Listings of the layout `plain`: the server's own scan, in its order.

use redis::Value;
use store_core::{
    Cursor, Error, Feature, Key, ListOptions, Namespace, Order, Page, ReadOptions, Record, Result,
    U64Page, stable_hash,
};

use super::{COUNT, Plain};
use crate::fault::{Effect, unexpected};
use crate::reply;
use crate::table::escape_glob;

/// The kind of this layout's cursors: the server's own.
const CURSOR: u8 = b's';
impl Plain {
    /// Keys in the server's order; within one answer of the server in byte order. A key may come twice.
    pub(crate) async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        self.connector.open()?;
        if o.order != Order::Any {
            return Err(Error::lacks(Feature::ByteOrder));
        }
        self.connector.check_read(ReadOptions::default().with_consistency(o.consistency)).await?;
        let mut place = match &o.cursor {
            Some(cursor) => Place::parse(&cursor.open(ns, CURSOR)?)?,
            None => Place { start: o.start_after.clone().unwrap_or_default(), ..Place::default() },
        };
        if o.limit == 0 {
            return Ok(Page::default());
        }
        let mut skip = if o.cursor.is_some() { 0 } else { o.offset };
        let mut keys: Vec<String> = Vec::new();
        loop {
            let (next, mut found) = self.scan_once(ns, place.cursor, COUNT, &o.prefix).await?;
            found.sort_unstable();
            found.dedup();
            for key in found {
                let wanted = key.ends_with(&*o.suffix) && *key > *place.start;
                if !wanted || place.seen.contains(&hash(&key)) {
                    continue;
                }
                if skip == 0 && keys.len() == o.limit {
                    return Ok(Page::new(keys, Some(place.cursor(ns))));
                }
                place.seen.push(hash(&key));
                match skip.checked_sub(1) {
                    Some(left) => skip = left,
                    None => keys.push(key),
                }
            }
            if next == 0 {
                return Ok(Page::new(keys, None));
            }
            place = Place { cursor: next, start: place.start, seen: Vec::new() };
            if keys.len() >= o.limit {
                return Ok(Page::new(keys, Some(place.cursor(ns))));
            }
        }
    }

    pub(super) async fn scan_once(
        &self,
        ns: &Namespace,
        cursor: u64,
        count: usize,
        start: &str,
    ) -> Result<(u64, Vec<String>)> {
        let prefix = self.prefix(ns)?;
        let pattern = format!("{}*", escape_glob(&(prefix.clone() + start)));
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(count);
        command.arg("TYPE").arg("string");
        let answer = reply::array(self.connector.command(&command, Effect::Read).await?)?;
        let [next, items] = <[Value; 2]>::try_from(answer).map_err(|_| unexpected())?;
        let next = reply::number(reply::bytes(&next)?).ok_or_else(unexpected)?;
        let mut keys = Vec::new();
        for item in reply::array(items)? {
            // What no key of ours can be is somebody else's.
            let Ok(name) = reply::text(item) else { continue };
            if let Some(key) = name.strip_prefix(&*prefix)
                && Key::new(key).is_ok()
            {
                keys.push(key.to_owned());
            }
        }
        Ok((next, keys))
    }

    pub(crate) async fn scan(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<Record>> {
        let names = self.list(ns, o).await?;
        let keys = names.items.iter().map(Key::new).collect::<Result<Vec<_>>>()?;
        reply::records(self.read_many(ns, &keys).await, names.next)
    }

    pub(crate) async fn scan_u64(
        &self,
        ns: &Namespace,
        cursor: u64,
        limit: usize,
    ) -> Result<U64Page> {
        let (next, keys) = self.scan_once(ns, cursor, limit.clamp(10, COUNT), "").await?;
        Ok(U64Page::new(keys, (next != 0).then_some(next)))
    }
}

/// Where a listing goes on: at a cursor of the server, without what was shown already of its answer there.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    cursor: u64,
    /// Only keys after this one.
    start: String,
    /// Hashes of the keys that were shown. The server may answer otherwise the next time, when its tables grew or shrank.
    seen: Vec<u32>,
}

/// What fits in a cursor's text beside the longest key.
const MAX_SEEN: usize = 480;

impl Place {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let wrong = || Error::invalid("not a cursor of this store");
        let (cursor, rest) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
        let (len, rest) = rest.split_first_chunk::<2>().ok_or_else(wrong)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let (start, rest) = rest.split_at_checked(len).ok_or_else(wrong)?;
        let (seen, odd) = rest.as_chunks::<4>();
        if !odd.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            cursor: u64::from_be_bytes(*cursor),
            start: String::from_utf8(start.to_vec()).map_err(|_| wrong())?,
            seen: seen.iter().map(|&bytes| u32::from_be_bytes(bytes)).collect(),
        })
    }

    fn cursor(&self, ns: &Namespace) -> Cursor {
        Cursor::new(ns, CURSOR, &self.bytes())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.cursor.to_be_bytes().to_vec();
        bytes.extend_from_slice(&(self.start.len() as u16).to_be_bytes());
        bytes.extend_from_slice(self.start.as_bytes());
        // Too many of them are shown again, which this order may.
        let seen = if self.seen.len() > MAX_SEEN { &[] } else { &self.seen[..] };
        bytes.extend(seen.iter().flat_map(|hash| hash.to_be_bytes()));
        bytes
    }
}

/// The same in every process.
fn hash(key: &str) -> u32 {
    let hash = stable_hash(key.as_bytes());
    (hash ^ (hash >> 32)) as u32
}
