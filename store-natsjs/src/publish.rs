//! Publishing so that a lost answer does no harm.
//!
//! A message with an id, which is a header, can be sent again as it is: the server refuses to store it twice, and the record shows
//! whose write it holds. A value alone goes without. A message with any header costs the server twice as much at every read, and
//! ids cost it memory for as long as it knows them; without one, the record is looked at when an answer is lost, and the value is
//! written again if it is not there. A condition needs an id in any case: others may write the same value by the same condition.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use store_core::{Error, ErrorKind, Outcome, Timestamp};
use tokio::time::Instant;

use crate::acked::Floor;
use crate::names::Fate;
use crate::reaper::Reaper;
use crate::table::{Fail, Table, Via};
use crate::wire::stored::{OPERATION, Stored, WRITE_ID};

/// The sequence that a subject must have.
pub(crate) const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
/// How far the server's clock may be from ours before a value that is there already is written again.
const CLOCKS: Duration = Duration::from_mins(1);

/// How long a write is repeated under its id: a server may know it for a minute only.
const KNOWN: Duration = Duration::from_secs(50);

/// Why a publish was not acknowledged.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The subject has another sequence than expected.
    Moved,
    Fail(Fail),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Fail(error.into())
    }
}

impl Refusal {
    /// After an earlier try that may have been done, nothing is certain.
    fn after_unknown(self) -> Self {
        match self {
            Self::Fail(Fail::Error(error)) => Self::Fail(error.outcome_unknown().into()),
            other => other,
        }
    }
}

/// A publish without an expectation cannot find that the subject moved.
pub(crate) fn settled(refusal: Refusal) -> Fail {
    match refusal {
        Refusal::Fail(fail) => fail,
        Refusal::Moved => {
            Error::new(ErrorKind::Internal, "a condition failed that was not asked for").into()
        }
    }
}

/// A message to be published.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
    pub(crate) expires: Option<Timestamp>,
    /// Until when the server keeps it; for ever if it is none.
    pub(crate) until: Option<Timestamp>,
}

impl Draft {
    /// Whether it is a value alone.
    pub(crate) fn is_bare(&self) -> bool {
        self.headers.is_empty()
    }

    /// Whether a record is what this draft of a value alone would make.
    fn is_in(&self, stored: &Stored) -> bool {
        let Stored { metadata, expires, until, ttl, write_id, .. } = stored;
        stored.is_put()
            && stored.payload == self.payload
            && (metadata.as_ref(), write_id.as_ref()) == (None, None)
            && (expires.or(*until), *ttl) == (None, None)
    }
}

impl Table {
    /// Publishes, again while what hinders it passes.
    pub(crate) async fn publish(
        &self,
        subject: &str,
        draft: &Draft,
        expected: Option<u64>,
    ) -> Result<u64, Refusal> {
        if expected.is_none() && draft.is_bare() {
            return self.publish_bare(subject, draft).await;
        }
        self.publish_as(&self.shared.write_id(), subject, draft, expected, false).await
    }

    /// Publishes a value alone, without condition.
    async fn publish_bare(&self, subject: &str, draft: &Draft) -> Result<u64, Refusal> {
        let mut round = 0;
        let to = self.route(subject);
        loop {
            let js = &self.shared.js;
            let sent = js.store(&to, HeaderMap::new(), draft.payload.clone(), self.deadline);
            let fault = match sent.await {
                Ok(stamp) => {
                    self.acknowledged(subject, draft, stamp.sequence);
                    return Ok(stamp.sequence);
                }
                Err(fault) => fault,
            };
            let is_unknown = fault.is_unknown();
            match self.after(fault, &mut round, true).await {
                Ok(()) if is_unknown => return self.publish_after_loss(subject, draft).await,
                Ok(()) => {}
                Err(fail) if is_unknown => return Err(Refusal::Fail(fail).after_unknown()),
                Err(fail) => return Err(Refusal::Fail(fail)),
            }
        }
    }

    /// Publishes a value alone of which an earlier try may have been done: only if the record does not hold it, and only over what it
    /// holds, so that a first try which is late does not come on top.
    pub(crate) async fn publish_after_loss(
        &self,
        subject: &str,
        draft: &Draft,
    ) -> Result<u64, Refusal> {
        // What is older was there before.
        let span = self.shared.rules.timeouts.request.saturating_add(CLOCKS);
        let is_recent = |stored: &Stored| {
            stored.time.checked_add(span).is_none_or(|until| until >= self.shared.now())
        };
        let is_known = |sequence| match self.bucket.acked.floor(subject) {
            Floor::At(known) => known >= sequence,
            Floor::Unknown => false,
        };
        for round in 0.. {
            let now = self.newest(subject, Via::Leader).await;
            let now = now.map_err(|fail| Refusal::Fail(fail).after_unknown())?;
            if let Some(now) = now.as_ref().filter(|now| draft.is_in(now))
                && is_recent(now)
                && !is_known(now.sequence)
            {
                self.acknowledged(subject, draft, now.sequence);
                return Ok(now.sequence);
            }
            let (id, over) = (self.shared.write_id(), now.map_or(0, |now| now.sequence));
            match self.publish_as(&id, subject, draft, Some(over), false).await {
                Ok(sequence) => return Ok(sequence),
                Err(Refusal::Moved) => {}
                // Lost again, and somebody else has written since.
                Err(Refusal::Fail(Fail::Error(error)))
                    if error.outcome() == Outcome::Unknown && !self.deadline.has_passed() => {}
                Err(refusal) => return Err(refusal.after_unknown()),
            }
            self.contend(round).await.map_err(|fail| Refusal::Fail(fail).after_unknown())?;
        }
        Err(Error::new(ErrorKind::Internal, "unreachable").into())
    }

    /// Publishes under an id; `unknown` says that it was sent before and may have been stored.
    pub(crate) async fn publish_as(
        &self,
        id: &str,
        subject: &str,
        draft: &Draft,
        expected: Option<u64>,
        mut unknown: bool,
    ) -> Result<u64, Refusal> {
        let headers = || {
            let mut headers = draft.headers.clone();
            headers.insert(WRITE_ID, id);
            if let Some(sequence) = expected {
                headers.insert(EXPECTED, sequence.to_string());
            }
            headers
        };
        let (since, mut round) = (Instant::now(), 0);
        let to = self.route(subject);
        loop {
            if unknown && since.elapsed() > KNOWN {
                return self.resolve_unknown(subject, draft, id).await;
            }
            let js = &self.shared.js;
            let sent = js.store(&to, headers(), draft.payload.clone(), self.deadline);
            let fault = match sent.await {
                // The connection sent it twice; or another process has our ids, as the copy of a running machine would.
                Ok(stamp) if stamp.duplicate && !unknown => {
                    return self.resolve_unknown(subject, draft, id).await;
                }
                Ok(stamp) => {
                    self.acknowledged(subject, draft, stamp.sequence);
                    return Ok(stamp.sequence);
                }
                Err(fault) => fault,
            };
            if fault.is_wrong_sequence() {
                if !unknown {
                    return Err(Refusal::Moved);
                }
                return self.resolve_unknown(subject, draft, id).await;
            }
            unknown |= fault.is_unknown();
            match self.after(fault, &mut round, true).await {
                Ok(()) => {}
                Err(fail) if unknown => return Err(Refusal::Fail(fail).after_unknown()),
                Err(fail) => return Err(Refusal::Fail(fail)),
            }
        }
    }

    /// What this store remembers of a write that is done.
    pub(crate) fn acknowledged(&self, subject: &str, draft: &Draft, sequence: u64) {
        self.bucket.acked.note(subject, sequence);
        let aged = || self.known.max_age.and_then(|age| self.shared.now().checked_add(age));
        let is_record = draft.is_bare() || draft.headers.get(OPERATION).is_none();
        let fate = if is_record { Fate::Lives(draft.expires.or_else(aged)) } else { Fate::Gone };
        let tokens = self.bucket.tokens(subject);
        self.bucket.names.note(self.layout(), subject, tokens, sequence, fate);
        if draft.until.is_none()
            && let Some(at) = draft.expires
        {
            Reaper::expect(&self.shared, &self.bucket.name, subject, sequence, at);
        }
    }

    /// After an earlier try got no answer and a later one was refused: whether the earlier one did it.
    async fn resolve_unknown(
        &self,
        subject: &str,
        draft: &Draft,
        id: &str,
    ) -> Result<u64, Refusal> {
        let now = self.newest(subject, Via::Leader).await.map_err(Refusal::Fail)?;
        match now {
            Some(now) if now.write_id.as_deref() == Some(id) && now.payload == draft.payload => {
                self.acknowledged(subject, draft, now.sequence);
                Ok(now.sequence)
            }
            // Ours may have been there and been overwritten since.
            _ => Err(Error::new(
                ErrorKind::Timeout,
                "no answer from the server in time, and the record has changed since",
            )
            .outcome_unknown()
            .into()),
        }
    }
}
