use std::borrow::Cow;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::call::Operation;
use crate::handle::reply::{Begun, Running};
use crate::handle::{Reply, Table};
use crate::name::Key;
use crate::options::{
    Condition, Consistency, Counter, Deleted, Expiry, Put, ReadOptions, Remove, Written,
};
use crate::record::{Metadata, Record, Value};
use crate::revision::Revision;

/// A read of one record; see [`Table::read`].
#[must_use = "nothing happens until it is awaited"]
pub struct Read<'a> {
    table: &'a Table,
    key: &'a str,
    options: ReadOptions,
    running: Running<'a, Option<Record>>,
}

/// A read of one value; see [`Table::value`].
#[must_use = "nothing happens until it is awaited"]
pub struct ReadValue<'a> {
    table: &'a Table,
    key: &'a str,
    options: ReadOptions,
    running: Running<'a, Option<Bytes>>,
}

macro_rules! reads {
    ($($read:ident)*) => {$(
        impl<'a> $read<'a> {
            #[inline]
            pub(super) fn new(table: &'a Table, key: &'a str) -> Self {
                Self { table, key, options: ReadOptions::default(), running: None }
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
    )*};
}

reads!(Read ReadValue);

impl Future for Read<'_> {
    type Output = crate::Result<Option<Record>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let at = this.table.at(Operation::Read, Some(this.key));
        at.poll(&mut this.running, cx, |store, ns, key| match store.immediate() {
            Some(now) => Begun::Done(now.read_now(ns, key, this.options)),
            None => Begun::Running(store.read(ns, key, this.options)),
        })
    }
}

impl Future for ReadValue<'_> {
    type Output = crate::Result<Option<Bytes>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let at = this.table.at(Operation::Read, Some(this.key));
        at.poll(&mut this.running, cx, |store, ns, key| match store.immediate() {
            Some(now) => {
                let record = now.read_now(ns, key, this.options);
                Begun::Done(record.map(|record| record.map(|record| record.bytes())))
            }
            None => Begun::Running(store.read_value(ns, key, this.options)),
        })
    }
}

/// A write of one record; see [`Table::write`].
#[must_use = "nothing happens until it is awaited"]
pub struct Write<'a> {
    table: &'a Table,
    /// Its key is checked when the write begins.
    put: Put<'a>,
    /// Whether it may be done twice; kept when the condition has gone to the driver.
    repeatable: bool,
    running: Running<'a, Written>,
}

macro_rules! conditions {
    ($($condition:ident).+) => {
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
            self.repeatable = condition.is_any();
            self.$($condition).+ = condition;
            self
        }
    };
}

impl<'a> Write<'a> {
    #[inline]
    pub(super) fn new(table: &'a Table, key: &'a str, value: Value<'a>) -> Self {
        Self { table, put: Put::new(Key::trusted(key), value), repeatable: true, running: None }
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
        self.put.expiry = expiry;
        self
    }

    /// With this metadata; without this, none.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.put.metadata = metadata;
        self
    }

    /// Only if there is no such record; else `Conflict`.
    pub fn if_absent(self) -> Self {
        self.condition(Condition::Absent)
    }

    conditions!(put.condition);
}

impl Future for Write<'_> {
    type Output = crate::Result<Written>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut at = this.table.at(Operation::Write, Some(this.put.key.as_str()));
        at.repeatable = this.repeatable;
        at.poll(&mut this.running, cx, |store, ns, key| {
            if let Some(now) = store.immediate() {
                return Begun::Done(now.write_now(ns, &this.put));
            }
            let put = mem::replace(&mut this.put, Put::new(key, Value::Slice(&[])));
            Begun::Running(store.write(ns, put))
        })
    }
}

/// A delete of one record; see [`Table::delete`].
#[must_use = "nothing happens until it is awaited"]
pub struct Delete<'a> {
    table: &'a Table,
    key: &'a str,
    condition: Condition<'a>,
    repeatable: bool,
    running: Running<'a, Deleted>,
}

impl<'a> Delete<'a> {
    #[inline]
    pub(super) fn new(table: &'a Table, key: &'a str) -> Self {
        Self { table, key, condition: Condition::Any, repeatable: true, running: None }
    }

    conditions!(condition);
}

impl Future for Delete<'_> {
    type Output = crate::Result<Deleted>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut at = this.table.at(Operation::Delete, Some(this.key));
        at.repeatable = this.repeatable;
        at.poll(&mut this.running, cx, |store, ns, key| {
            let remove = Remove { key, condition: mem::take(&mut this.condition) };
            match store.immediate() {
                Some(now) => Begun::Done(now.delete_now(ns, &remove)),
                None => Begun::Running(store.delete(ns, remove)),
            }
        })
    }
}

/// An increment of one counter; see [`Table::increment`].
#[must_use = "nothing happens until it is awaited"]
pub struct Increment<'a> {
    table: &'a Table,
    key: &'a str,
    delta: i64,
    running: Running<'a, Counter>,
}

impl<'a> Increment<'a> {
    #[inline]
    pub(super) fn new(table: &'a Table, key: &'a str, delta: i64) -> Self {
        Self { table, key, delta, running: None }
    }
}

impl Future for Increment<'_> {
    type Output = crate::Result<Counter>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let at = this.table.at(Operation::Increment, Some(this.key));
        at.poll(&mut this.running, cx, |store, ns, key| match store.immediate() {
            Some(now) => Begun::Done(now.increment_now(ns, key, this.delta)),
            None => Begun::Running(store.increment(ns, key, this.delta)),
        })
    }
}

macro_rules! debug {
    ($($verb:ident($($key:ident).+)),*) => {$(
        impl fmt::Debug for $verb<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let key = self.$($key).+;
                write!(f, "{} {:?} of {:?}", stringify!($verb), key, self.table)
            }
        }
    )*};
}

debug!(Read(key), ReadValue(key), Write(put.key), Delete(key), Increment(key));

/// A change of a record's expiry; see [`Table::set_expiry`].
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct SetExpiry<'a> {
    table: &'a Table,
    key: &'a str,
    expiry: Expiry,
    condition: Condition<'a>,
    repeatable: bool,
}

impl<'a> SetExpiry<'a> {
    pub(super) fn new(table: &'a Table, key: &'a str, expiry: Expiry) -> Self {
        Self { table, key, expiry, condition: Condition::Any, repeatable: true }
    }

    conditions!(condition);
}

impl<'a> IntoFuture for SetExpiry<'a> {
    type Output = crate::Result<Option<Written>>;
    type IntoFuture = Reply<'a, Option<Written>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { table, key, expiry, condition, repeatable } = self;
        let mut at = table.at(Operation::SetExpiry, Some(key));
        at.repeatable = repeatable;
        let call = Key::new(key)
            .map(|key| table.driver().set_expiry(table.namespace(), key, expiry, condition));
        Reply::new(at, call)
    }
}
