//! Layouts: how records are written in a bucket.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use async_nats::HeaderMap;
use bytes::Bytes;
use store_core::{Error, Key, Metadata, Record, Result, Revision, Timestamp};

use crate::envelope;
use crate::wire::stored::{EXPIRES, METADATA, Stored};
use crate::{base32, keys};

/// How records are written in a bucket. A property of the bucket, not of the program: all who share it must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Every feature: any key, tables that the server filters, metadata and expiry in headers, values as they are. The bucket is
    /// marked, so that nobody opens it as another layout.
    #[default]
    Native,
    /// As Go-Micro's nats-js-kv store writes, for sharing a bucket with Go services: `<table>_<key>`, values in its JSON envelope.
    GoMicro,
    /// As Go-Micro's store writes with `EncodeKeys()`: keys in base32.
    GoMicroBase32,
    /// Keys and values as they are, no tables: buckets of `nats kv` and of other clients.
    Plain,
}

/// What the keys of the interop layouts consist of.
const ALPHABET: &str = "A-Z a-z 0-9 - / _ = . in keys and tables, no dot at either end of the whole, no two dots in a row, not beginning \
     with _kv";

/// A message of a bucket, looked at from one table.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A record of the table.
    Record(Record),
    /// Of another table, or of nobody's.
    Foreign,
    /// In the table, but not as this layout writes.
    Corrupt(Error),
}

impl Layout {
    /// All layouts.
    pub const ALL: [Self; 4] = [Self::Native, Self::GoMicro, Self::GoMicroBase32, Self::Plain];

    /// The name in options: `native`, `go-micro`, `go-micro-base32`, `plain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::GoMicro => "go-micro",
            Self::GoMicroBase32 => "go-micro-base32",
            Self::Plain => "plain",
        }
    }

    pub(crate) fn is_go_micro(self) -> bool {
        matches!(self, Self::GoMicro | Self::GoMicroBase32)
    }

    /// What keys consist of, where they are not any text.
    pub(crate) fn alphabet(self) -> Option<&'static str> {
        matches!(self, Self::GoMicro | Self::Plain).then_some(ALPHABET)
    }

    /// The tokens of a record below the bucket's prefix.
    pub(crate) fn tokens(self, table: &str, key: Key<'_>) -> Result<String> {
        let tokens = self.place(table, key.as_str());
        match self {
            Self::Native | Self::GoMicroBase32 => Ok(tokens),
            Self::GoMicro => sound(tokens),
            Self::Plain => {
                self.check_table(table)?;
                sound(tokens)
            }
        }
    }

    /// As [`tokens`](Self::tokens) of a key that was listed, whoever wrote it.
    pub(crate) fn place(self, table: &str, key: &str) -> String {
        match self {
            Self::Native => keys::encode(table, key),
            Self::GoMicro => full(table, key),
            Self::GoMicroBase32 => base32::encode(full(table, key).as_bytes()),
            Self::Plain => key.to_owned(),
        }
    }

    /// A layout without tables has the root table only.
    pub(crate) fn check_table(self, table: &str) -> Result<()> {
        match self {
            Self::Plain if !table.is_empty() => Err(Error::lacks(store_core::Feature::Tables)),
            Self::GoMicro if !table.bytes().all(is_plain) => Err(Error::invalid(ALPHABET)),
            _ => Ok(()),
        }
    }

    /// A filter below the bucket's prefix: passes all records of a table whose keys begin so.
    pub(crate) fn filter(self, table: &str, prefix: &str) -> String {
        let dotted = |text: &str| match text.rsplit_once('.') {
            // A prefix that no key can have matches nothing; the whole bucket is then as good.
            Some((head, _)) if sound(head.to_owned()).is_ok() => format!("{head}.>"),
            _ => ">".to_owned(),
        };
        match self {
            Self::Native => keys::filter(table, prefix),
            Self::GoMicro => dotted(&full(table, prefix)),
            Self::GoMicroBase32 => ">".to_owned(),
            Self::Plain => dotted(prefix),
        }
    }

    /// Whether only the body of a record tells for sure whose it is.
    pub(crate) fn names_need_bodies(self) -> bool {
        self.is_go_micro()
    }

    /// The key that these tokens may stand for in a table, as far as can be told without a body.
    pub(crate) fn key_of<'a>(self, table: &str, tokens: &'a str) -> Option<Cow<'a, str>> {
        match self {
            Self::Native => keys::ordinary(table, tokens).map(Cow::Borrowed).or_else(|| {
                let (_, key) = keys::decode(tokens).filter(|(t, _)| t == table)?;
                Some(key.into())
            }),
            Self::Plain => Some(tokens.into()),
            Self::GoMicro => part(table, tokens).map(Cow::Borrowed),
            Self::GoMicroBase32 => {
                let full = String::from_utf8(base32::decode(tokens)?).ok()?;
                part(table, &full).map(|key| key.to_owned().into())
            }
        }
    }

    /// Table and key of a live record.
    pub(crate) fn address_of(self, tokens: &str, stored: &Stored) -> Option<(String, String)> {
        match self {
            Self::Native => keys::decode(tokens),
            Self::Plain => Some((String::new(), tokens.to_owned())),
            Self::GoMicro | Self::GoMicroBase32 => {
                let full = self.key_of("", tokens)?;
                let key = envelope::decode(&stored.payload).ok()?.key;
                let table = full.strip_suffix(&*key)?;
                match table.strip_suffix('_') {
                    Some(table) => Some((table.to_owned(), key)),
                    None => table.is_empty().then(|| (String::new(), key)),
                }
            }
        }
    }

    /// Headers and body of a record.
    pub(crate) fn encode(
        self,
        key: &str,
        value: Bytes,
        metadata: &Metadata,
        expires: Option<Timestamp>,
    ) -> (HeaderMap, Bytes) {
        let mut headers = HeaderMap::new();
        if self.is_go_micro() {
            let entries = (!metadata.is_empty()).then(|| metadata.iter());
            return (headers, envelope::encode(key, Some(&value), entries).into());
        }
        if !metadata.is_empty() {
            headers.insert(METADATA, ascii(&metadata.to_json()));
        }
        if let Some(at) = expires {
            headers.insert(EXPIRES, at.as_millis().to_string());
        }
        (headers, value)
    }

    /// Looks at a message from a table.
    pub(crate) fn open(
        self,
        table: &str,
        tokens: &str,
        stored: &Stored,
        revision: Revision,
        expires: Option<Timestamp>,
    ) -> Opened {
        let Some(key) = self.key_of(table, tokens) else {
            return if self == Self::Native && keys::decode(tokens).is_none() {
                Opened::Corrupt(corrupt("not a key that this layout writes", tokens))
            } else {
                Opened::Foreign
            };
        };
        let Ok(checked) = Key::new(&key) else {
            return Opened::Corrupt(corrupt("longer than a key may be", &key));
        };
        let record = |value: Bytes, metadata| {
            Record::builder(checked, value)
                .metadata(metadata)
                .revision(revision)
                .expires(expires)
                .modified(Some(stored.time))
                .build()
        };
        if !self.is_go_micro() {
            return match stored.metadata.as_deref().map(Metadata::parse) {
                None => Opened::Record(record(stored.payload.clone(), Metadata::new())),
                Some(Ok(metadata)) => Opened::Record(record(stored.payload.clone(), metadata)),
                Some(Err(_)) => Opened::Corrupt(corrupt("the metadata is no JSON object", &key)),
            };
        }
        match envelope::decode(&stored.payload) {
            Err(what) => Opened::Corrupt(corrupt(what, &key)),
            // Of another table with the same spelling.
            Ok(envelope) if envelope.key != key => Opened::Foreign,
            Ok(envelope) => {
                let json = envelope.metadata.map_or(serde_json::Value::Null, Into::into);
                match Metadata::from_json(json) {
                    Ok(metadata) => {
                        Opened::Record(record(envelope.data.unwrap_or_default().into(), metadata))
                    }
                    Err(_) => {
                        Opened::Corrupt(corrupt("more metadata than a record may have", &key))
                    }
                }
            }
        }
    }
}

fn corrupt(what: &'static str, key: &str) -> Error {
    Error::new(store_core::ErrorKind::Corrupt, what).with_key(key)
}

/// Go-Micro's name of a record.
fn full(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { [table, "_", key].concat() }
}

/// The key in a table that a full name may stand for.
fn part<'a>(table: &str, full: &'a str) -> Option<&'a str> {
    if table.is_empty() {
        return Some(full);
    }
    full.strip_prefix(table)?.strip_prefix('_').filter(|key| !key.is_empty())
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_' | b'=' | b'.')
}

/// What NATS clients take as a key.
pub(crate) fn sound(tokens: String) -> Result<String> {
    let good = !tokens.is_empty()
        && tokens.bytes().all(is_plain)
        && !tokens.starts_with('.')
        && !tokens.ends_with('.')
        && !tokens.contains("..")
        && !tokens.starts_with("_kv");
    if good { Ok(tokens) } else { Err(Error::invalid(ALPHABET)) }
}

/// JSON text in ASCII: fit for a header whatever it holds.
fn ascii(json: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|layout| layout.as_str() == text).ok_or_else(|| {
            Error::config("a layout is one of: native, go-micro, go-micro-base32, plain")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_fits_a_header() {
        let text = ascii("{\"a\u{7f}\":\"é😀\u{2028}\"}");
        assert!(text.bytes().all(|b| (32..127).contains(&b)), "{text}");
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["a\u{7f}"], "é😀\u{2028}");
    }

    #[test]
    fn interop_layouts_keep_to_their_alphabet() {
        let key = |text| Key::new(text).unwrap();
        assert_eq!(Layout::GoMicro.tokens("t", key("a.b/c")).unwrap(), "t_a.b/c");
        assert_eq!(Layout::GoMicro.filter("a.b", "c"), "a.>");
        assert_eq!(Layout::Plain.filter("", "a.b"), "a.>");
        assert_eq!(Layout::Plain.filter("", "a b.c"), ">");
        for bad in [".a", "a.", "a..b", "a b", "é", "*", "_kv", "a:b"] {
            assert!(Layout::Plain.tokens("", key(bad)).is_err(), "{bad}");
        }
        assert!(Layout::Plain.tokens("t", key("a")).is_err());
        assert_eq!(Layout::GoMicro.key_of("a", "a_b_c").as_deref(), Some("b_c"));
        assert_eq!(Layout::GoMicro.key_of("a", "a_"), None);
    }
}
