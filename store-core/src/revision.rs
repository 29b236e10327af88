//! Revisions: opaque version stamps of records.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The version of a record, as the store that wrote it stamped it.
///
/// Opaque: compare for equality, keep as text, hand back in a condition; nothing else. A revision never repeats for a key, also
/// after delete and re-create of the record or of its whole database, so a stale one always conflicts.
///
/// The text form ([`Display`](fmt::Display) and [`FromStr`]) is stable and fits a header or an ETag.
///
/// ```
/// # use store_core::Revision;
/// let revision = Revision::from_parts(7, 42);
/// assert_eq!(revision.to_string().parse::<Revision>()?, revision);
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revision {
    incarnation: u64,
    sequence: u64,
}

impl Revision {
    /// For drivers: a revision from the backend's own numbers, for example the incarnation of a stream and a sequence in it.
    #[inline]
    pub const fn from_parts(incarnation: u64, sequence: u64) -> Self {
        Self { incarnation, sequence }
    }

    /// For drivers: the first number given to [`from_parts`](Self::from_parts).
    #[inline]
    pub const fn incarnation(self) -> u64 {
        self.incarnation
    }

    /// For drivers: the second number given to [`from_parts`](Self::from_parts).
    #[inline]
    pub const fn sequence(self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.incarnation, self.sequence)
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Revision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |part: &str| {
            // `from_str_radix` also takes a sign, which this text form never has.
            (!part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit()))
                .then(|| u64::from_str_radix(part, 16).ok())
                .flatten()
        };
        text.split_once('-')
            .and_then(|(i, s)| Some(Self::from_parts(number(i)?, number(s)?)))
            .ok_or_else(|| Error::invalid("not the text of a revision"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_no_revision() {
        for bad in ["", "-", "1", "1-", "-1", "+1-2", "1-2-3", "g-1", "11112222333344445-1", "1 -2"]
        {
            assert!(bad.parse::<Revision>().is_err(), "{bad:?}");
        }
        let max = Revision::from_parts(u64::MAX, u64::MAX);
        assert_eq!(max.to_string().parse::<Revision>().unwrap(), max);
    }
}
