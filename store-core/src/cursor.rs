//! Cursors: where a listing goes on, as opaque text.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result};
use crate::name::Namespace;

/// Where the next page of a listing begins. Opaque text of `A-Za-z0-9_-`, valid across restarts and in other processes, for the
/// table it came from.
///
/// ```
/// # use store_core::{Cursor, Name, Namespace};
/// let ns = Namespace::new(Name::new("app")?, "users")?;
/// let cursor = Cursor::new(&ns, 1, b"ada");
/// let back: Cursor = cursor.to_string().parse()?;
/// assert_eq!(back.open(&ns, 1)?, b"ada");
/// let other = Namespace::new(Name::new("app")?, "groups")?;
/// assert!(back.open(&other, 1).is_err(), "a cursor of another table");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Box<str>);

/// The longest cursor that is looked at: the longest key with room for what a driver adds.
const MAX_LEN: usize = 4096;

impl Cursor {
    /// For drivers: a cursor of this table with what the driver needs to go on; `kind` tells the driver's own kinds apart.
    pub fn new(ns: &Namespace, kind: u8, position: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(9 + position.len());
        bytes.push(kind);
        bytes.extend_from_slice(&fingerprint(ns).to_be_bytes());
        bytes.extend_from_slice(position);
        let sum = stable_hash(&bytes) as u16;
        bytes.extend_from_slice(&sum.to_be_bytes());
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// For drivers: what [`new`](Self::new) was given.
    ///
    /// # Errors
    /// `InvalidArgument` for garbage, for a cursor of another table, and for one of another kind.
    pub fn open(&self, ns: &Namespace, kind: u8) -> Result<Vec<u8>> {
        let garbage = || Error::invalid("not a cursor of this store");
        if self.0.len() > MAX_LEN {
            return Err(garbage());
        }
        let bytes = URL_SAFE_NO_PAD.decode(&*self.0).map_err(|_| garbage())?;
        let Some((body, sum)) = bytes.split_last_chunk::<2>() else {
            return Err(garbage());
        };
        if (stable_hash(body) as u16).to_be_bytes() != *sum {
            return Err(garbage());
        }
        let Some((found, position)) = body.split_first_chunk::<9>() else {
            return Err(garbage());
        };
        if found[1..] != fingerprint(ns).to_be_bytes() {
            return Err(Error::invalid("the cursor belongs to another table"));
        }
        if found[0] != kind {
            return Err(Error::invalid("the cursor belongs to a listing in another order"));
        }
        Ok(position.to_vec())
    }

    /// For drivers: like [`open`](Self::open) where the position is a key.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_key(&self, ns: &Namespace, kind: u8) -> Result<String> {
        String::from_utf8(self.open(ns, kind)?)
            .map_err(|_| Error::invalid("not a cursor of this store"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn fingerprint(ns: &Namespace) -> u64 {
    // Database names have no NUL, so two different tables never give the same bytes.
    fnv(fnv(fnv(0, ns.database().as_str().as_bytes()), &[0]), ns.table().as_bytes())
}

/// For drivers: a hash that is the same in every process and version (FNV-1a of 64 bits): a guard against mistakes, not against
/// forgery.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    fnv(0, bytes)
}

fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({})", self.0)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// Takes any text up to 4 KiB of a cursor's alphabet; whether it is a cursor of a table shows when it is used.
    fn from_str(text: &str) -> Result<Self> {
        let alphabet = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if text.is_empty() || text.len() > MAX_LEN || !text.bytes().all(alphabet) {
            return Err(Error::invalid("not the text of a cursor"));
        }
        Ok(Self(text.into()))
    }
}
