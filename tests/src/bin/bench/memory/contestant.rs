//! What a structure must do to take part. Each trait is one kind of work; a structure has those that it is measured with.
//!
//! The same bytes move on every side: a read yields an owned record that outlives the structure's lock, and goes through its value;
//! a write copies a borrowed value in.

use std::fmt;
use std::future::Future;

use crate::Result;

/// A structure under a name, empty at first.
pub(crate) trait Contestant: Sized + Send + Sync + 'static {
    const NAME: &'static str;

    fn new() -> Result<Self>;
}

/// Reads single records.
pub(crate) trait Reads: Send + Sync + 'static {
    /// Reads an owned record and goes through its value; absent is an error, for no case reads what was not loaded.
    fn read<'a>(&'a self, key: &'a str) -> impl Future<Output = Result<u64>> + Send;
}

/// Reads and overwrites single records.
pub(crate) trait Points: Contestant + Reads {
    fn write<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
    ) -> impl Future<Output = Result<()>> + Send;
}

/// Creates records that must not exist, and deletes.
pub(crate) trait Births: Contestant {
    fn create(&self, key: &str, value: &[u8]) -> impl Future<Output = Result<()>> + Send;

    fn delete(&self, key: &str) -> impl Future<Output = Result<()>> + Send;
}

/// Collects owned records under a prefix, in the order of their keys, and goes through their values.
pub(crate) trait Scans: Contestant {
    fn scan(&self, prefix: &str, limit: usize) -> impl Future<Output = Result<Seen>> + Send;
}

/// Counts in ASCII decimal.
pub(crate) trait Counts: Contestant {
    fn increment(&self, key: &str, delta: i64) -> impl Future<Output = Result<i64>> + Send;
}

/// What a scan saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) records: usize,
    pub(crate) sum: u64,
}

impl Seen {
    pub(crate) fn value(&mut self, value: &[u8]) {
        self.records += 1;
        self.sum = self.sum.wrapping_add(touch(value));
    }
}

/// Goes through all bytes of a value.
#[inline]
pub(crate) fn touch(value: &[u8]) -> u64 {
    let (words, rest) = value.as_chunks::<8>();
    let words = words.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(words, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

/// A structure lost a record, had one that it should not have, or miscounted: its speed is worth nothing.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) &'static str);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a structure is wrong, not fast: {}", self.0)
    }
}

impl std::error::Error for Wrong {}

pub(crate) fn lost() -> crate::Failure {
    Wrong("a record that was written is gone").into()
}

pub(crate) fn exists() -> crate::Failure {
    Wrong("a record exists before it is created").into()
}
