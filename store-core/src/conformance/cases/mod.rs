//! The cases, by topic.

mod admin;
mod atomic;
mod batch;
mod cancel;
mod capability;
mod close;
mod condition;
mod consistency;
mod counter;
mod default_expiry;
mod delete;
mod error;
mod expired;
mod expiry;
mod fault;
mod go_micro;
mod history;
mod keys;
mod list;
mod metadata;
mod micro;
mod model;
mod names;
mod page;
mod peers;
mod race;
mod read;
mod refusal;
mod resume;
mod revision;
mod scan;
mod scan_u64;
mod set_expiry;
mod shared;
mod value;
mod watch;
mod write;

use super::case::Case;

/// Every case of every topic.
pub(super) fn all() -> Vec<Case> {
    let topics = [
        keys::cases(),
        names::cases(),
        read::cases(),
        value::cases(),
        write::cases(),
        condition::cases(),
        revision::cases(),
        delete::cases(),
        expiry::cases(),
        expired::cases(),
        set_expiry::cases(),
        default_expiry::cases(),
        metadata::cases(),
        list::cases(),
        page::cases(),
        scan::cases(),
        scan_u64::cases(),
        watch::cases(),
        resume::cases(),
        batch::cases(),
        atomic::cases(),
        counter::cases(),
        history::cases(),
        admin::cases(),
        error::cases(),
        consistency::cases(),
        race::cases(),
        close::cases(),
        cancel::cases(),
        capability::cases(),
        go_micro::cases(),
        micro::cases(),
        peers::cases(),
        shared::cases(),
        fault::cases(),
        refusal::cases(),
        model::cases(),
    ];
    topics.into_iter().flatten().collect()
}

/// What the files of cases use.
mod prelude {
    pub(super) use crate::conformance::case::{
        Case, Check, Failure, case, conflict, invalid, refused,
    };
    pub(super) use crate::conformance::cx::{
        Cx, aside, driver, ensure_absent, ensure_value, fill, present, revision, revision_of, text,
    };
    pub(super) use crate::conformance::rewriting::Rewriting;
    pub(super) use crate::conformance::watcher::{View, Watcher};
    pub(super) use crate::{
        Change, Condition, Consistency, Cursor, DatabaseConfig, ErrorKind, Event, Expiry,
        Feature as F, Gone, Key, ListOptions, Metadata, Namespace, Op, Order, Outcome, Put,
        ReadOptions, Remove, Revision, Table,
    };
    pub(super) use futures_util::{StreamExt as _, TryStreamExt as _};
    pub(super) use serde_json::json;
    pub(super) use std::collections::{BTreeMap, BTreeSet, HashSet};
    pub(super) use std::sync::Arc;
    pub(super) use std::time::{Duration, Instant, SystemTime};
}
