use bytes::Bytes;
use store_core::{Condition, Record};

use crate::{Bucket, Error, Result};

/// A value with its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Bytes,
    /// Its version: opaque text that never repeats for a key.
    pub version: String,
}

/// What must hold for a [`Bucket::swap`]; at least one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The present version.
    pub version: Option<String>,
    /// The present value.
    pub value: Option<Bytes>,
}

/// What a [`Bucket::swap`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The value was written.
    Swapped,
    /// Something else is there, or nothing; nothing was written.
    Stale(Option<Entry>),
}

impl Bucket {
    /// The value of a key with its version.
    ///
    /// # Errors
    /// `Other` where the backend has no versions.
    pub async fn current(&self, key: &str) -> Result<Option<Entry>> {
        self.record(&self.key(key)?).await?.map(|record| entry(&record)).transpose()
    }

    /// Writes a value if what is there is as expected, in one atomic step.
    ///
    /// # Errors
    /// `InvalidArgument` when nothing is expected.
    pub async fn swap(&self, key: &str, value: impl Into<Bytes>, expect: Expect) -> Result<Swap> {
        let value = value.into();
        let physical = self.key(key)?;
        let condition = match (expect.version, expect.value) {
            (None, None) => {
                return Err(Error::InvalidArgument(
                    "a swap needs at least one condition".to_owned(),
                ));
            }
            (None, Some(value)) => Condition::Value(value.to_vec().into()),
            (Some(version), expected) => {
                // A text that is no version of this store is the version of nothing.
                let Ok(revision) = version.parse() else {
                    return Ok(Swap::Stale(self.current(key).await?));
                };
                if let Some(expected) = expected {
                    let present = self.record(&physical).await?;
                    let holds = present.as_ref().is_some_and(|record| {
                        record.revision() == Some(revision) && record.value() == &expected[..]
                    });
                    if !holds {
                        return Ok(Swap::Stale(present.as_ref().map(entry).transpose()?));
                    }
                }
                Condition::Revision(revision)
            }
        };
        match self.put(&physical, value, None, condition).await {
            Ok(()) => Ok(Swap::Swapped),
            Err(Error::PreconditionFailed(_)) => Ok(Swap::Stale(self.current(key).await?)),
            Err(error) => Err(error),
        }
    }

    /// Looks at a key in order to replace what is there.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn cas(&self, key: &str) -> Result<Cas> {
        let physical = self.key(key)?.into_owned();
        let seen = self.record(&physical).await?;
        Ok(Cas { bucket: self.clone(), key: physical, seen })
    }
}

fn entry(record: &Record) -> Result<Entry> {
    let version = record.revision().ok_or_else(|| {
        Error::Other("this backend has no versions; swap on the value instead".to_owned())
    })?;
    Ok(Entry { value: record.bytes(), version: version.to_string() })
}

/// What was at a key when it was looked at, to be replaced only if it is still there.
#[derive(Clone, Debug)]
pub struct Cas {
    bucket: Bucket,
    key: String,
    seen: Option<Record>,
}

impl Cas {
    /// The value that was there.
    pub fn current(&self) -> Option<Bytes> {
        self.seen.as_ref().map(Record::bytes)
    }

    /// How many bytes it holds in memory for as long as it lives.
    pub fn held(&self) -> usize {
        self.seen.as_ref().map_or(0, |record| record.value().len())
    }

    /// Replaces it. `Some` with what is there now if that is something else; then nothing was written.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn swap(self, value: impl Into<Bytes>) -> Result<Option<Self>> {
        let condition = match &self.seen {
            None => Condition::Absent,
            // A layout without versions can only compare the value.
            Some(record) => record.revision().map_or_else(
                || Condition::Value(record.value().to_vec().into()),
                Condition::Revision,
            ),
        };
        match self.bucket.put(&self.key, value.into(), None, condition).await {
            Ok(()) => Ok(None),
            Err(Error::PreconditionFailed(_)) => {
                let seen = self.bucket.record(&self.key).await?;
                Ok(Some(Self { seen, ..self }))
            }
            Err(error) => Err(error),
        }
    }
}
