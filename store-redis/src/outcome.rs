//! What the scripts of both layouts can check, and what they say of a change that they did not do.

use store_core::{Condition, Error, ErrorKind, Result};

use crate::fault::corrupt;

/// The longest value that can be compared: the server's script has to look at all of it.
const MAX_COMPARED: usize = 256 * 1024;

/// A condition that a script can check.
pub(crate) fn compared<'a, 'v>(condition: &'a Condition<'v>) -> Result<&'a Condition<'v>> {
    match condition {
        Condition::Value(value) if value.len() > MAX_COMPARED => Err(Error::too_large(format!(
            "a compared value has at most {MAX_COMPARED} bytes, this one has {}",
            value.len()
        ))),
        condition => Ok(condition),
    }
}

/// Why a script did not do a change, by its code.
#[cold]
pub(crate) fn outcome_of(code: i64) -> Error {
    match code {
        4 => Error::new(
            ErrorKind::NotACounter,
            "the record's value is no decimal integer of 64 bits",
        ),
        5 => Error::new(ErrorKind::Overflow, "the counter would leave the range of i64"),
        6 => Error::new(
            ErrorKind::Unavailable,
            "the value waited for a minute, and the server let go of it",
        ),
        7 => corrupt("another type than a string lies at the record's key"),
        8 => Error::past_expiry(),
        _ => Error::new(ErrorKind::Internal, "the server could not do the change"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_that_is_past_by_the_servers_clock_is_told_as_one_by_ours_is() {
        assert!(outcome_of(8).is_past_expiry());
        assert!(!outcome_of(7).is_past_expiry());
    }
}
