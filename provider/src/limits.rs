use crate::{Error, Result};

/// What one call may ask for. The defaults are those that other hosts promise or enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest value that may be written, in bytes; the backend may allow less. 64 MiB.
    pub max_value_len: u64,
    /// The most bytes of keys and values in one answer. 128 MiB.
    pub max_result_len: u64,
    /// The most items of one batch. 100,000.
    pub max_batch: usize,
    /// The keys of one page of a listing. 10,000.
    pub page: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_value_len: 64 << 20,
            max_result_len: 128 << 20,
            max_batch: 100_000,
            page: 10_000,
        }
    }
}

impl Limits {
    pub(crate) fn value(&self, len: usize) -> Result<()> {
        if len as u64 <= self.max_value_len {
            return Ok(());
        }
        Err(Error::QuotaExceeded(format!(
            "a value has at most {} bytes here, this one has {len}",
            self.max_value_len
        )))
    }

    pub(crate) fn batch(&self, items: usize) -> Result<()> {
        if items <= self.max_batch {
            return Ok(());
        }
        Err(Error::QuotaExceeded(format!(
            "a batch has at most {} items here, this one has {items}",
            self.max_batch
        )))
    }

    /// Counts what an answer holds so far.
    pub(crate) fn result(&self, sum: &mut u64, more: usize) -> Result<()> {
        *sum = sum.saturating_add(more as u64);
        if *sum <= self.max_result_len {
            return Ok(());
        }
        Err(Error::QuotaExceeded(format!(
            "the result exceeds the limit of {} bytes",
            self.max_result_len
        )))
    }
}
