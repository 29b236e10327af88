//! Writes without conditions, which need no questions: scripts of their own do them in half the time.

use redis::{Cmd, RedisResult, Value};
use store_core::Result;

use super::change::{Change, Done};
use super::{Opened, Table};
use crate::fault::unexpected;
use crate::link::{Link, Request};
use crate::outcome::outcome_of;
use crate::reply;
use crate::script::{PUT, PUTS, Script};

/// A call of the script for one such write, or of the one for several.
pub(super) struct Puts {
    script: &'static Script,
    command: Cmd,
    count: usize,
}

/// What became of it.
pub(super) enum Put {
    Done(Vec<Result<Done>>),
    /// The table is not open.
    Closed,
    /// It takes the general script after all.
    Other,
}

impl Puts {
    /// The call, if these changes are such writes.
    pub(super) fn of(table: &Table, opened: &Opened, changes: &[Change<'_>]) -> Option<Self> {
        match changes {
            [] => None,
            [one] => Self::one(table, opened, one),
            several => Self::several(table, opened, several),
        }
    }

    fn one(table: &Table, opened: &Opened, change: &Change<'_>) -> Option<Self> {
        let expiry = change.put_freely(opened.default_ttl)?;
        let key = change.key.as_str();
        let mut command = begin(&PUT, table, opened, 1, change.weight());
        command.arg(table.keys.value(key));
        command.arg(key).arg(change.value()).arg(&*expiry).arg(change.metadata());
        Some(Self { script: &PUT, command, count: 1 })
    }

    fn several(table: &Table, opened: &Opened, changes: &[Change<'_>]) -> Option<Self> {
        let lasting = |change: &Change<'_>| {
            change.put_freely(opened.default_ttl).is_some_and(|expiry| expiry.is_empty())
        };
        if !changes.iter().all(lasting) {
            return None;
        }
        let weight = changes.iter().map(|c| c.weight() + 2 * table.keys.tag.len()).sum();
        let mut command = begin(&PUTS, table, opened, changes.len(), weight);
        for change in changes {
            command.arg(table.keys.value(change.key.as_str()));
        }
        for change in changes {
            command.arg(change.key.as_str()).arg(change.metadata()).arg(change.value());
        }
        Some(Self { script: &PUTS, command, count: changes.len() })
    }

    pub(super) async fn send(&self, link: &Link, asking: bool) -> RedisResult<Value> {
        link.send(Request::Script(self.script, &self.command), asking).await
    }

    pub(super) fn outcome(&self, answer: &Value) -> Result<Put> {
        match answer {
            Value::Int(-1) => Ok(Put::Closed),
            Value::Int(-3) => Ok(Put::Other),
            Value::Int(code) => Ok(Put::Done(vec![Err(outcome_of(*code))])),
            text => {
                let last: u64 = reply::number(reply::bytes(text)?).ok_or_else(unexpected)?;
                let first = (last + 1).checked_sub(self.count as u64).ok_or_else(unexpected)?;
                Ok(Put::Done((first..=last).map(|sequence| Ok(Done::Written(sequence))).collect()))
            }
        }
    }
}

/// The call of a script, up to the keys of the values.
fn begin(script: &Script, table: &Table, opened: &Opened, values: usize, weight: usize) -> Cmd {
    let mut command = Cmd::with_capacity(9 + 5 * values, 512 + weight);
    command.arg("EVALSHA").arg(&script.sha).arg(5 + values);
    for key in &table.keys.all()[..4] {
        command.arg(key);
    }
    command.arg(&opened.counter);
    command
}
