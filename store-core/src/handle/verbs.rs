use std::borrow::Cow;
use std::future::IntoFuture;
use std::time::{Duration, SystemTime};

use crate::call::Operation;
use crate::handle::{Reply, Table};
use crate::name::Key;
use crate::options::{Condition, Consistency, Deleted, Expiry, Put, ReadOptions, Remove, Written};
use crate::record::{Metadata, Record, Value};
use crate::revision::Revision;

/// A read of one record; see [`Table::read`].
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Read<'a> {
    table: &'a Table,
    key: &'a str,
    options: ReadOptions,
}

impl<'a> Read<'a> {
    #[inline]
    pub(super) fn new(table: &'a Table, key: &'a str) -> Self {
        Self { table, key, options: ReadOptions::default() }
    }

    /// As of the leader or primary: sees what other writers on other nodes have written.
    pub fn strong(self) -> Self {
        self.consistency(Consistency::Strong)
    }

    /// How fresh.
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.options.consistency = consistency;
        self
    }

    /// A past version, in databases that keep a history.
    pub fn at_revision(mut self, revision: Revision) -> Self {
        self.options.revision = Some(revision);
        self
    }
}

impl<'a> IntoFuture for Read<'a> {
    type Output = crate::Result<Option<Record>>;
    type IntoFuture = Reply<'a, Option<Record>>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        let Self { table, key, options } = self;
        let call = Key::new(key).map(|key| table.driver().read(table.namespace(), key, options));
        Reply::new(table.at(Operation::Read, Some(key)), call)
    }
}

/// A write of one record; see [`Table::write`].
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Write<'a> {
    table: &'a Table,
    key: &'a str,
    value: Value<'a>,
    metadata: Metadata,
    expiry: Expiry,
    condition: Condition<'a>,
}

macro_rules! conditions {
    () => {
        /// Only if the record has this revision; else `Conflict`.
        pub fn if_revision(self, revision: Revision) -> Self {
            self.condition(Condition::Revision(revision))
        }

        /// Only if the record has this value; else `Conflict`.
        pub fn if_value(self, value: impl Into<Cow<'a, [u8]>>) -> Self {
            self.condition(Condition::Value(value.into()))
        }

        /// Only if this holds; else `Conflict`.
        pub fn condition(mut self, condition: Condition<'a>) -> Self {
            self.condition = condition;
            self
        }
    };
}

impl<'a> Write<'a> {
    #[inline]
    pub(super) fn new(table: &'a Table, key: &'a str, value: Value<'a>) -> Self {
        Self {
            table,
            key,
            value,
            metadata: Metadata::new(),
            expiry: Expiry::Database,
            condition: Condition::Any,
        }
    }

    /// Expires so long from now. Zero is an error.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.expiry(Expiry::After(ttl))
    }

    /// Expires at this instant. A past one is an error.
    pub fn expires_at(self, at: SystemTime) -> Self {
        self.expiry(Expiry::At(at))
    }

    /// When it expires; without this, by the database's default.
    pub fn expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = expiry;
        self
    }

    /// With this metadata; without this, none.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Only if there is no such record; else `Conflict`.
    pub fn if_absent(self) -> Self {
        self.condition(Condition::Absent)
    }

    conditions!();
}

impl<'a> IntoFuture for Write<'a> {
    type Output = crate::Result<Written>;
    type IntoFuture = Reply<'a, Written>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        let Self { table, key, value, metadata, expiry, condition } = self;
        let mut at = table.at(Operation::Write, Some(key));
        at.repeatable = condition.is_any();
        let call = Key::new(key).map(|key| {
            let put = Put { key, value, metadata, expiry, condition };
            table.driver().write(table.namespace(), put)
        });
        Reply::new(at, call)
    }
}

/// A delete of one record; see [`Table::delete`].
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct Delete<'a> {
    table: &'a Table,
    key: &'a str,
    condition: Condition<'a>,
}

impl<'a> Delete<'a> {
    #[inline]
    pub(super) fn new(table: &'a Table, key: &'a str) -> Self {
        Self { table, key, condition: Condition::Any }
    }

    conditions!();
}

impl<'a> IntoFuture for Delete<'a> {
    type Output = crate::Result<Deleted>;
    type IntoFuture = Reply<'a, Deleted>;

    #[inline]
    fn into_future(self) -> Self::IntoFuture {
        let Self { table, key, condition } = self;
        let mut at = table.at(Operation::Delete, Some(key));
        at.repeatable = condition.is_any();
        let call = Key::new(key)
            .map(|key| table.driver().delete(table.namespace(), Remove { key, condition }));
        Reply::new(at, call)
    }
}

/// A change of a record's expiry; see [`Table::set_expiry`].
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct SetExpiry<'a> {
    table: &'a Table,
    key: &'a str,
    expiry: Expiry,
    condition: Condition<'a>,
}

impl<'a> SetExpiry<'a> {
    pub(super) fn new(table: &'a Table, key: &'a str, expiry: Expiry) -> Self {
        Self { table, key, expiry, condition: Condition::Any }
    }

    conditions!();
}

impl<'a> IntoFuture for SetExpiry<'a> {
    type Output = crate::Result<Option<Written>>;
    type IntoFuture = Reply<'a, Option<Written>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { table, key, expiry, condition } = self;
        let mut at = table.at(Operation::SetExpiry, Some(key));
        at.repeatable = condition.is_any();
        let call = Key::new(key)
            .map(|key| table.driver().set_expiry(table.namespace(), key, expiry, condition));
        Reply::new(at, call)
    }
}
