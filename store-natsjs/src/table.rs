//! One call on one table: the bucket as it is known now, and the call's deadline. Reading is here; writing, listing, batches and
//! counters are in modules of their own.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use store_core::{Consistency, Error, ErrorKind, Key, Record, Result, Revision, Timestamp};

use crate::layout::{Layout, Opened};
use crate::settings::Known;
use crate::shared::{Bucket, Shared};
use crate::together;
use crate::wire::api::Js;
use crate::wire::fault::{Fault, STREAM_NOT_FOUND};
use crate::wire::mux::Deadline;
use crate::wire::stored::Stored;

/// Why a call on a bucket failed.
#[derive(Clone, Debug)]
pub(crate) enum Fail {
    /// The bucket is gone: a read finds nothing, a write makes it again.
    Gone,
    /// An error for the caller.
    Error(Error),
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// See the [module](self).
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) shared: Arc<Shared>,
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) known: Arc<Known>,
    pub(crate) name: Arc<str>,
    pub(crate) deadline: Deadline,
}

/// Who answers a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// Any copy, if it shows this store's own writes.
    Copy,
    /// Any copy.
    Anyone,
    /// The leader.
    Leader,
}

impl Via {
    pub(crate) fn of(consistency: Consistency) -> Self {
        match consistency {
            Consistency::Strong => Self::Leader,
            Consistency::Eventual => Self::Anyone,
            _ => Self::Copy,
        }
    }
}

impl Table {
    pub(crate) fn layout(&self) -> Layout {
        self.known.layout
    }

    pub(crate) fn subject(&self, key: Key<'_>) -> Result<String> {
        Ok(self.bucket.subject(&self.layout().tokens(&self.name, key)?))
    }

    /// Where a message of a subject is published.
    pub(crate) fn route<'a>(&self, subject: &'a str) -> Cow<'a, str> {
        self.shared.js.route(self.known.origin_api.as_deref(), subject)
    }

    /// The API of who has the last word: this stream's leader, or its origin's where this is a mirror that stands for it.
    pub(crate) fn authority(&self) -> Js {
        self.shared.js.elsewhere(self.known.origin_api.as_deref())
    }

    pub(crate) fn revision(&self, sequence: u64) -> Revision {
        Revision::from_parts(self.known.incarnation, sequence)
    }

    /// The sequence of a revision of this stream.
    pub(crate) fn sequence(&self, revision: Revision) -> Option<u64> {
        (revision.incarnation() == self.known.incarnation).then(|| revision.sequence())
    }

    /// When a message's record expires: by our header, by another client's time to live, or by the bucket's age limit.
    pub(crate) fn expires(&self, stored: &Stored) -> Option<Timestamp> {
        let foreign = match stored.until {
            None => stored.ttl.and_then(|s| stored.time.checked_add(Duration::from_secs(s))),
            Some(_) => None,
        };
        let age = self.known.max_age.and_then(|age| stored.time.checked_add(age));
        [stored.expires, foreign, age].into_iter().flatten().min()
    }

    /// Whether a message is a record now.
    pub(crate) fn is_live(&self, stored: &Stored) -> bool {
        stored.is_put() && self.expires(stored).is_none_or(|at| at > self.shared.now())
    }

    /// The record of a message, if it is one of this table.
    pub(crate) fn open(&self, stored: &Stored) -> Opened {
        let tokens = self.bucket.tokens(&stored.subject);
        let revision = self.revision(stored.sequence);
        self.layout().open(&self.name, tokens, stored, revision, self.expires(stored))
    }

    /// The live record of a message.
    pub(crate) fn record(&self, stored: Option<&Stored>) -> Result<Option<Record>> {
        let Some(stored) = stored.filter(|stored| self.is_live(stored)) else {
            return Ok(None);
        };
        match self.open(stored) {
            Opened::Record(record) => Ok(Some(record)),
            Opened::Foreign => Ok(None),
            Opened::Corrupt(error) => Err(error),
        }
    }

    pub(crate) async fn read(&self, key: Key<'_>, from: Via) -> Result<Option<Record>, Fail> {
        let stored = self.newest(&self.subject(key)?, from).await?;
        Ok(self.record(stored.as_ref())?)
    }

    /// A past version.
    pub(crate) async fn read_at(
        &self,
        key: Key<'_>,
        revision: Revision,
    ) -> Result<Option<Record>, Fail> {
        let Some(sequence) = self.sequence(revision).filter(|sequence| *sequence > 0) else {
            return Ok(None);
        };
        let subject = self.subject(key)?;
        let stored = self.at(sequence).await?.filter(|stored| *stored.subject == *subject);
        // A record that is gone has no versions.
        let newest = self.newest(&subject, Via::Copy).await?;
        if self.record(newest.as_ref())?.is_none() {
            return Ok(None);
        }
        match stored.filter(Stored::is_put).map(|stored| self.open(&stored)) {
            Some(Opened::Record(record)) => Ok(Some(record)),
            Some(Opened::Corrupt(error)) => Err(error.into()),
            _ => Ok(None),
        }
    }

    /// The message of a sequence.
    pub(crate) async fn at(&self, sequence: u64) -> Result<Option<Stored>, Fail> {
        let mut round = 0;
        loop {
            let found = if self.known.direct && round == 0 {
                match self.shared.js.direct_at(&self.bucket.stream, sequence, self.deadline).await {
                    // A copy, or a mirror that answers, may not have it yet.
                    Ok(None) => self.leader_at(sequence).await,
                    done => done,
                }
            } else {
                self.leader_at(sequence).await
            };
            match found {
                Ok(found) => return Ok(found),
                Err(fault) => self.after(fault, &mut round, false).await?,
            }
        }
    }

    async fn leader_at(&self, sequence: u64) -> Result<Option<Stored>, Fault> {
        let body = json!({ "seq": sequence });
        self.authority().leader(&self.bucket.stream, &body, self.deadline).await
    }

    /// The newest message of a subject.
    pub(crate) async fn newest(&self, subject: &str, from: Via) -> Result<Option<Stored>, Fail> {
        let mut round = 0;
        let mut from = if self.known.direct { from } else { Via::Leader };
        loop {
            let found = match from {
                Via::Leader => {
                    let body = json!({ "last_by_subj": subject });
                    self.authority().leader(&self.bucket.stream, &body, self.deadline).await
                }
                _ => together::read(self, subject).await,
            };
            match found {
                Ok(found) => {
                    let sequence = found.as_ref().map_or(0, |stored| stored.sequence);
                    let fresh = || self.bucket.acked.floor(subject).allows(sequence);
                    if from != Via::Copy || fresh() {
                        return Ok(found);
                    }
                    from = Via::Leader;
                }
                Err(fault) => {
                    self.after(fault, &mut round, false).await?;
                    // Where no copy answers a direct get, the leader may.
                    if round > 1 && from == Via::Copy {
                        from = Via::Leader;
                    }
                }
            }
        }
    }

    /// What to do after a fault: returns when it is worth another try.
    pub(crate) async fn after(
        &self,
        fault: Fault,
        round: &mut u32,
        changes: bool,
    ) -> Result<(), Fail> {
        if self.shared.is_closed() {
            return Err(Error::new(ErrorKind::Closed, "the store was closed").into());
        }
        if fault.is_api(STREAM_NOT_FOUND) {
            self.bucket.learn(None);
            return Err(Fail::Gone);
        }
        let nobody = matches!(fault, Fault::NoResponders);
        if nobody && self.shared.is_gone(&self.bucket, self.deadline).await {
            return Err(Fail::Gone);
        }
        if nobody && changes && self.known.read_only && self.known.origin_api.is_none() {
            let what = "the bucket is a copy of others and takes no writes: write to its origin";
            return Err(Error::unsupported(what).into());
        }
        if fault.is_worth_another_try() && self.deadline.pause(*round).await {
            *round += 1;
            return Ok(());
        }
        Err(fault.into_error(changes).into())
    }
}
