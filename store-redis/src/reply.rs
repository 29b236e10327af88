//! Answers of the server, taken apart without a panic whatever they are.

use redis::Value;
use store_core::{Cursor, Error, ErrorKind, Key, Page, Record, Result};

use crate::fault::{Effect, fault, unexpected};

/// The value, or the error that the server sent in its place.
pub(crate) fn checked(value: Value, effect: Effect) -> Result<Value> {
    match value {
        Value::ServerError(error) => Err(fault(error.into(), effect)),
        value => Ok(value),
    }
}

/// What one request answered for each of its keys; where it failed as a whole, each has the error.
pub(crate) fn each<T>(
    keys: &[Key<'_>],
    answered: Result<Vec<Result<T>>>,
) -> impl Iterator<Item = Result<T>> {
    let (answers, failed) = match answered {
        Ok(answers) => (answers, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let mut answers = answers.into_iter();
    keys.iter().map(move |key| {
        let answer = match &failed {
            Some(error) => Err(error.clone()),
            None => answers.next().unwrap_or_else(|| Err(unexpected())),
        };
        answer.map_err(|error| error.with_key(*key))
    })
}

/// A page of what was read, without what is gone since. What is no record is a fault of the page.
pub(crate) fn records(
    reads: Vec<Result<Option<Record>>>,
    next: Option<Cursor>,
) -> Result<Page<Record>> {
    let mut page = Page::new(Vec::with_capacity(reads.len()), next);
    for read in reads {
        match read {
            Ok(record) => page.items.extend(record),
            Err(error) if error.kind() == ErrorKind::Corrupt => page.faults.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(page)
}

pub(crate) fn array(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        Value::ServerError(error) => Err(fault(error.into(), Effect::Read)),
        _ => Err(unexpected()),
    }
}

pub(crate) fn int(value: &Value) -> Result<i64> {
    match value {
        Value::Int(n) => Ok(*n),
        Value::Boolean(yes) => Ok((*yes).into()),
        _ => number(bytes(value)?).ok_or_else(unexpected),
    }
}

/// The bytes of a string; an error for anything else.
pub(crate) fn bytes(value: &Value) -> Result<&[u8]> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.as_bytes()),
        Value::Okay => Ok(b"OK"),
        _ => Err(unexpected()),
    }
}

/// A string, or nothing.
pub(crate) fn optional(value: Value) -> Result<Option<Vec<u8>>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        Value::ServerError(error) => Err(fault(error.into(), Effect::Read)),
        _ => Err(unexpected()),
    }
}

pub(crate) fn text(value: Value) -> Result<String> {
    let bytes = optional(value)?.ok_or_else(unexpected)?;
    String::from_utf8(bytes).map_err(|_| not_utf8())
}

#[cold]
pub(crate) fn not_utf8() -> Error {
    crate::fault::corrupt("a key that is not UTF-8 lies in the table")
}

/// A decimal number.
pub(crate) fn number<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
