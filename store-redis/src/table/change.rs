//! Changes on their way into the script that does them, and what it says of each.

use std::borrow::Cow;
use std::time::Duration;

use redis::{Cmd, Value};
use store_core::options::Expires;
use store_core::{
    Clock as _, Condition, Error, Expiry, Key, Op, Put, Remove, Result, Revision, SystemClock,
};

use super::STAGED;
use super::meta::{json, revision};
use crate::fault::unexpected;
use crate::outcome::{compared, outcome_of};
use crate::reply;

/// One change.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    kind: Kind,
    pub(crate) key: Key<'a>,
    condition: &'a Condition<'a>,
    expiry: Cow<'static, str>,
    metadata: String,
    value: Cow<'a, [u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Put,
    Delete,
    Expire,
    Increment,
    Check,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Written(u64),
    Counted(u64, i64),
    Deleted,
    Absent,
}

impl<'a> Change<'a> {
    pub(crate) fn put(put: &'a Put<'a>) -> Result<Self> {
        Ok(Self {
            kind: Kind::Put,
            key: put.key,
            condition: compared(&put.condition)?,
            expiry: encode(put.expiry)?,
            metadata: json(&put.metadata),
            value: Cow::Borrowed(&put.value),
        })
    }

    pub(crate) fn delete(remove: &'a Remove<'a>) -> Result<Self> {
        remove.condition.on_existing()?;
        Ok(Self::bare(Kind::Delete, remove.key, compared(&remove.condition)?))
    }

    pub(crate) fn expire(
        key: Key<'a>,
        expiry: Expiry,
        condition: &'a Condition<'a>,
    ) -> Result<Self> {
        condition.on_existing()?;
        if expiry == Expiry::Keep {
            return Err(Error::invalid("a change of expiry must say the new expiry"));
        }
        let bare = Self::bare(Kind::Expire, key, compared(condition)?);
        Ok(Self { expiry: encode(expiry)?, ..bare })
    }

    /// The sum of so many increments.
    pub(crate) fn increment(key: Key<'a>, delta: i64, count: u64) -> Self {
        let bare = Self::bare(Kind::Increment, key, &Condition::Any);
        let value = Cow::Owned(delta.to_string().into_bytes());
        Self { value, metadata: count.to_string(), ..bare }
    }

    pub(crate) fn of(op: &'a Op<'a>) -> Result<Self> {
        match op {
            Op::Put(put) => Self::put(put),
            Op::Remove(remove) => Self::delete(remove),
            op => Ok(Self::bare(Kind::Check, op.key(), compared(op.condition())?)),
        }
        .map_err(|error| error.with_key(op.key()))
    }

    fn bare(kind: Kind, key: Key<'a>, condition: &'a Condition<'a>) -> Self {
        Self {
            kind,
            key,
            condition,
            expiry: Cow::Borrowed(""),
            metadata: String::new(),
            value: Cow::Borrowed(&[]),
        }
    }

    /// Whether it may be what makes a database.
    pub(crate) fn creates(&self) -> bool {
        matches!(self.kind, Kind::Put | Kind::Increment)
    }

    pub(crate) fn is_check(&self) -> bool {
        self.kind == Kind::Check
    }

    /// Whether it is done whatever there is.
    pub(crate) fn is_free(&self) -> bool {
        self.creates() && self.condition.is_any()
    }

    /// When a record expires that is put whatever there is, as the scripts for such writes take it. `None` for any other change.
    pub(crate) fn put_freely(&self, default: Option<Duration>) -> Option<Cow<'_, str>> {
        if self.kind != Kind::Put || !self.condition.is_any() || self.staged().is_some() {
            return None;
        }
        match (&*self.expiry, default) {
            ("k", _) => None,
            ("d", None) => Some(Cow::Borrowed("")),
            ("d", Some(ttl)) => Some(Cow::Owned(format!("+{}", millis(ttl)))),
            (expiry, _) => Some(Cow::Borrowed(expiry)),
        }
    }

    /// Whether it is a put, whatever there is and for ever, whose value goes through the scripts.
    pub(crate) fn is_put_freely(&self, default: Option<Duration>) -> bool {
        self.put_freely(default).is_some_and(|expiry| expiry.is_empty())
    }

    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }

    pub(crate) fn metadata(&self) -> &str {
        &self.metadata
    }

    /// Whether the record may expire, in a database with or without a default expiry.
    pub(crate) fn expires(&self, default: bool) -> bool {
        match &*self.expiry {
            "" => false,
            "d" | "k" => default,
            _ => true,
        }
    }

    /// What becomes of it where there is no database: it finds no record.
    pub(crate) fn on_absent(&self) -> Result<Done> {
        match self.condition {
            Condition::Any | Condition::Absent => Ok(Done::Absent),
            condition => Err(condition.conflict(false, None).with_key(self.key)),
        }
    }

    /// The value, if it is too large to pass through a script.
    pub(crate) fn staged(&self) -> Option<&[u8]> {
        (self.kind == Kind::Put && self.value.len() >= STAGED).then_some(&*self.value)
    }

    /// How many bytes it brings into a script.
    pub(crate) fn weight(&self) -> usize {
        let compared = match self.condition {
            Condition::Value(value) => value.len(),
            _ => 0,
        };
        let value = if self.staged().is_some() { 0 } else { self.value.len() };
        value + compared + self.metadata.len() + self.key.as_str().len()
    }

    pub(crate) fn value_len(&self) -> usize {
        self.value.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        let compared = match self.condition {
            Condition::Value(value) => value.len(),
            _ => 0,
        };
        self.value.len() + compared
    }

    /// Adds it to a call of the script.
    pub(crate) fn write(&self, to: &mut Cmd, stage: Option<&str>, default: Option<Duration>) {
        let kind = match (self.kind, stage) {
            (Kind::Put, None) => "p",
            (Kind::Put, Some(_)) => "s",
            (Kind::Delete, _) => "d",
            (Kind::Expire, _) => "e",
            (Kind::Increment, _) => "i",
            (Kind::Check, _) => "c",
        };
        to.arg(kind).arg(self.key.as_str());
        match self.condition {
            Condition::Absent => to.arg("a").arg(""),
            Condition::Revision(held) if held.incarnation() == 0 => to.arg(held.sequence()).arg(""),
            // Of another store: it matches nothing here.
            Condition::Revision(_) => to.arg("-").arg(""),
            Condition::Value(value) => to.arg("v").arg(&value[..]),
            _ => to.arg("").arg(""),
        };
        let expiry = match &*self.expiry {
            "d" if default.is_none() => "",
            expiry => expiry,
        };
        to.arg(expiry).arg(&self.metadata);
        match stage {
            Some(stage) => to.arg(stage),
            None => to.arg(&*self.value),
        };
    }

    /// What the script says of it.
    pub(crate) fn done(&self, code: &Value, text: &Value) -> Result<Done> {
        let text = match text {
            Value::Nil => &[][..],
            text => reply::bytes(text)?,
        };
        self.outcome(reply::int(code)?, text).map_err(|error| error.with_key(self.key))
    }

    fn outcome(&self, code: i64, text: &[u8]) -> Result<Done> {
        let number = |bytes: &[u8]| reply::number::<u64>(bytes).ok_or_else(unexpected);
        match code {
            0 => {
                let current: Option<Revision> = reply::number(text).map(revision);
                Err(self.condition.conflict(text != b"-", current))
            }
            1 if self.kind == Kind::Check => Ok(Done::Absent),
            1 if self.kind == Kind::Increment => {
                let at = text.iter().position(|&b| b == b' ').ok_or_else(unexpected)?;
                let value = reply::number(&text[at + 1..]).ok_or_else(unexpected)?;
                Ok(Done::Counted(number(&text[..at])?, value))
            }
            1 => Ok(Done::Written(number(text)?)),
            2 => Ok(Done::Deleted),
            3 => Ok(Done::Absent),
            code => Err(outcome_of(code)),
        }
    }
}

/// An expiry for the script, which resolves it by the server's clock.
fn encode(expiry: Expiry) -> Result<Cow<'static, str>> {
    Ok(match expiry {
        Expiry::Never => "".into(),
        Expiry::Keep => "k".into(),
        Expiry::After(duration) => {
            // What can never be is refused before it is sent.
            expiry.resolve(SystemClock.now(), None)?;
            format!("+{}", millis(duration)).into()
        }
        Expiry::At(_) => match expiry.resolve(SystemClock.now(), None)? {
            Expires::To(Some(at)) => format!("@{}", at.as_millis()).into(),
            _ => return Err(unexpected()),
        },
        _ => "d".into(),
    })
}

/// Whole milliseconds, rounded up.
pub(crate) fn millis(duration: Duration) -> u128 {
    duration.as_nanos().div_ceil(1_000_000)
}

/// No record is changed twice.
pub(crate) fn check_once(changes: &[Change<'_>]) -> Result<()> {
    let mut changed = std::collections::HashSet::with_capacity(changes.len());
    for change in changes {
        if !change.is_check() && !changed.insert(change.key) {
            let error = Error::invalid("a batch may change a record once only");
            return Err(error.with_key(change.key));
        }
    }
    Ok(())
}
