//! Writes, deletes and changes of expiry.
//!
//! # What may be left to the server to remove
//!
//! When the server removes the newest message of a subject, an older one may come back with a crash. So a message gets a
//! `Nats-TTL` only if every older one of its subject has one too that ends no later: when there was none before, or the one
//! before says so by its `Store-Until`. Everything else ends by a tombstone that stays. What is removed by the server is kept
//! longer than it lives (`expired_retention`), for watchers that were away and for clocks that differ.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use store_core::options::Expires;
use store_core::{
    Condition, Deleted, Error, ErrorKind, Expiry, Feature, Key, Metadata, Name, Put, Record,
    Remove, Result, Timestamp,
};

use crate::layout::{Layout, Opened};
use crate::publish::{Draft, EXPECTED, Refusal, settled};
use crate::shared::Shared;
use crate::table::{Fail, Table, Via};
use crate::wire::fault::Fault;
use crate::wire::stored::{ENDED, OPERATION, Stored, TTL, UNTIL, WRITE_ID};

/// The longest that is left to the server.
const LONGEST: Duration = Duration::from_hours(878_400);
/// Tries before an unconditional change stops to look first.
const CONTENDED: u32 = 16;

impl Table {
    // ------------------------------------------------------------------ what a call asks for

    /// When a record shall expire.
    pub(crate) fn resolve(&self, expiry: Expiry) -> Result<Expires> {
        if self.layout() == Layout::Native {
            return expiry.resolve(self.shared.now(), self.known.default_ttl);
        }
        match expiry {
            // The bucket's own limit of age does it.
            Expiry::Database => Ok(Expires::To(None)),
            Expiry::Never if self.known.max_age.is_none() => Ok(Expires::To(None)),
            Expiry::Never => Err(Error::lacks(Feature::OutliveDefault)),
            Expiry::Keep => Err(Error::lacks(Feature::KeepExpiry)),
            other => {
                // What is wrong in itself is said first.
                other.resolve(self.shared.now(), None)?;
                Err(Error::lacks(Feature::Expiry))
            }
        }
    }

    pub(crate) fn check_value(&self, value: &[u8], metadata: &Metadata) -> Result<()> {
        if value.len() > self.known.max_value {
            return Err(Error::too_large(format!(
                "a value has at most {} bytes here, this one has {}",
                self.known.max_value,
                value.len()
            )));
        }
        if self.layout() == Layout::Plain && !metadata.is_empty() {
            return Err(Error::lacks(Feature::Metadata));
        }
        Ok(())
    }

    /// The expiry that [`Expires`] means over what there is.
    pub(crate) fn expiry_over(
        &self,
        expires: Expires,
        live: Option<&Stored>,
    ) -> Result<Option<Timestamp>> {
        match (expires, live) {
            (Expires::To(at), _) => Ok(at),
            (Expires::Keep, Some(live)) => Ok(self.expires(live)),
            (Expires::Keep, None) => match self.resolve(Expiry::Database)? {
                Expires::To(at) => Ok(at),
                Expires::Keep => Ok(None),
            },
        }
    }

    /// The message of a record over what there is.
    pub(crate) fn draft(
        &self,
        key: &str,
        value: Bytes,
        metadata: &Metadata,
        expires: Option<Timestamp>,
        over: Option<&Stored>,
    ) -> Draft {
        let (headers, payload) = self.layout().encode(key, value, metadata, expires);
        let mut draft = Draft { headers, payload, expires, until: None };
        if let Some(expires) = expires {
            self.entrust(&mut draft, expires, over);
        }
        draft
    }

    /// The tombstone of what there is.
    pub(crate) fn tombstone(&self, over: &Stored) -> Draft {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION, "DEL");
        let mut draft = Draft { headers, payload: Bytes::new(), expires: None, until: None };
        self.entrust(&mut draft, self.shared.now(), Some(over));
        draft
    }

    /// Leaves the removal to the server where that is safe. `at` is when nobody needs the message any more.
    pub(crate) fn entrust(&self, draft: &mut Draft, at: Timestamp, over: Option<&Stored>) {
        if !self.known.ttl {
            return;
        }
        let before = match over.map(|over| over.until) {
            None => None,
            Some(Some(until)) => until.checked_add(Duration::from_secs(1)),
            Some(None) => return,
        };
        let grace = self.shared.rules.expired_retention;
        let Some(until) = at.checked_add(grace).max(before) else { return };
        let left = until.since(self.shared.now());
        if left > LONGEST {
            return;
        }
        // Whole seconds: rounded up, so that nothing goes early.
        let seconds = left.as_millis().div_ceil(1000).max(1);
        draft.headers.insert(TTL, seconds.to_string());
        draft.headers.insert(UNTIL, until.as_millis().to_string());
        draft.until = Some(until);
    }

    // ------------------------------------------------------------------ write

    pub(crate) async fn write(&self, put: &Put<'_>) -> Result<u64, Fail> {
        let subject = self.subject(put.key)?;
        self.check_value(&put.value, &put.metadata)?;
        let expires = self.resolve(put.expiry)?;
        let value = put.value.clone().into_bytes();
        let key = put.key.as_str();
        let blind = |at| self.draft(key, value.clone(), &put.metadata, at, None);

        if let Expires::To(at) = expires
            && self.needs_no_look(put, at)
        {
            return self.publish(&subject, &blind(at), None).await.map_err(settled);
        }

        // A new record is the likely case; if it is not, the server says so and nothing has happened.
        let optimistic = match (&put.condition, expires) {
            (Condition::Absent | Condition::Any, Expires::To(at))
                if !matches!(put.condition, Condition::Any) || at.is_some() =>
            {
                Some(at)
            }
            _ => None,
        };
        if let Some(at) = optimistic {
            match self.publish(&subject, &blind(at), Some(0)).await {
                Ok(sequence) => return Ok(sequence),
                Err(Refusal::Moved) => {}
                Err(Refusal::Fail(fail)) => return Err(fail),
            }
        }

        let mut from = Via::Copy;
        for round in 0_u32.. {
            let now = self.newest(&subject, from).await?;
            let live = now.as_ref().filter(|stored| self.is_live(stored));
            let record = self.held(live, &put.condition)?;
            if let Err(error) = put.condition.check(record.as_ref()) {
                // A copy may be behind; the leader is not.
                if from != Via::Leader {
                    from = Via::Leader;
                    continue;
                }
                return Err(error.into());
            }
            let at = self.expiry_over(expires, live)?;
            let draft = self.draft(key, value.clone(), &put.metadata, at, now.as_ref());
            let expected = now.as_ref().map_or(0, |stored| stored.sequence);
            match self.publish(&subject, &draft, Some(expected)).await {
                Ok(sequence) => return Ok(sequence),
                Err(Refusal::Moved) => from = Via::Leader,
                Err(Refusal::Fail(fail)) => return Err(fail),
            }
            if let (Condition::Any, Expires::To(at)) = (&put.condition, expires)
                && round >= CONTENDED
                && !self.layout().is_go_micro()
            {
                // An upsert must not starve: then without the server's help, which would depend on what is below.
                let mut draft = blind(at);
                draft.until = None;
                for name in [TTL, UNTIL] {
                    draft.headers = without(&draft.headers, name);
                }
                return self.publish(&subject, &draft, None).await.map_err(settled);
            }
            self.contend(round).await?;
        }
        Err(Error::new(ErrorKind::Internal, "unreachable").into())
    }

    /// Whether a write needs no look at what is there: an upsert that never expires, or whose removal is not left to the server.
    fn needs_no_look(&self, put: &Put<'_>, at: Option<Timestamp>) -> bool {
        put.condition.is_any() && !self.layout().is_go_micro() && (at.is_none() || !self.known.ttl)
    }

    /// Subject and message of a write that needs no look at what is there; `None` for others and for those that are wrong in themselves.
    pub(crate) fn blind(&self, put: &Put<'_>) -> Option<(String, Draft)> {
        let subject = self.subject(put.key).ok()?;
        self.check_value(&put.value, &put.metadata).ok()?;
        let Expires::To(at) = self.resolve(put.expiry).ok()? else { return None };
        if !self.needs_no_look(put, at) {
            return None;
        }
        let value = put.value.clone().into_bytes();
        Some((subject, self.draft(put.key.as_str(), value, &put.metadata, at, None)))
    }

    /// The live record that a change is about. A corrupt one can be overwritten, but fulfils no condition on its value.
    pub(crate) fn held(
        &self,
        live: Option<&Stored>,
        condition: &Condition<'_>,
    ) -> Result<Option<Record>> {
        let Some(stored) = live else { return Ok(None) };
        match self.open(stored) {
            Opened::Record(record) => Ok(Some(record)),
            Opened::Foreign => Err(Error::conflict(
                "another table's record has the same name in this bucket: Go-Micro's layout cannot tell them apart",
                None,
            )),
            Opened::Corrupt(error) if matches!(condition, Condition::Value(_)) => Err(error),
            Opened::Corrupt(_) => {
                let key = Key::new("?")?;
                let revision = self.revision(stored.sequence);
                Ok(Some(Record::builder(key, Bytes::new()).revision(revision).build()))
            }
        }
    }

    /// Lets others go first, a little differently each time.
    pub(crate) async fn contend(&self, round: u32) -> Result<(), Fail> {
        if self.deadline.has_passed() {
            let what = "others change this record all the time";
            return Err(Error::new(ErrorKind::Timeout, what).into());
        }
        if round > 2 {
            let salt = u64::from(round) * 7 + self.shared.now().as_millis() % 13;
            tokio::time::sleep(Duration::from_micros(200 * (salt % 16))).await;
        }
        Ok(())
    }

    // ------------------------------------------------------------------ delete

    pub(crate) async fn delete(&self, remove: &Remove<'_>) -> Result<Deleted, Fail> {
        remove.condition.on_existing()?;
        let subject = self.subject(remove.key)?;
        let mut from = Via::Copy;
        for round in 0.. {
            let now = self.newest(&subject, from).await?;
            let live = now.as_ref().filter(|stored| self.is_live(stored));
            let owner = live.map(|stored| self.open(stored));
            let record = match owner {
                Some(Opened::Foreign) => None,
                _ => self.held(live, &remove.condition)?,
            };
            let checked = remove.condition.check(record.as_ref());
            // That there is nothing is for the leader to say: a copy may be behind.
            if (record.is_none() || checked.is_err()) && from != Via::Leader {
                from = Via::Leader;
                continue;
            }
            checked?;
            let (Some(_), Some(now)) = (record, now) else {
                return Ok(Deleted::new(Some(false)));
            };
            match self.publish(&subject, &self.tombstone(&now), Some(now.sequence)).await {
                Ok(_) => return Ok(Deleted::new(Some(true))),
                Err(Refusal::Moved) => from = Via::Leader,
                Err(Refusal::Fail(fail)) => return Err(fail),
            }
            self.contend(round).await?;
        }
        Err(Error::new(ErrorKind::Internal, "unreachable").into())
    }

    // ------------------------------------------------------------------ expiry

    pub(crate) async fn set_expiry(
        &self,
        key: Key<'_>,
        expiry: Expiry,
        condition: &Condition<'_>,
    ) -> Result<Option<u64>, Fail> {
        condition.on_existing()?;
        if expiry == Expiry::Keep {
            return Err(Error::invalid("a change of expiry must say the new expiry").into());
        }
        if self.layout() != Layout::Native {
            return Err(Error::lacks(Feature::SetExpiry).into());
        }
        let subject = self.subject(key)?;
        let Expires::To(at) = self.resolve(expiry)? else {
            return Err(Error::lacks(Feature::KeepExpiry).into());
        };
        let mut from = Via::Copy;
        for round in 0.. {
            let now = self.newest(&subject, from).await?;
            let record = self.record(now.as_ref())?;
            let checked = condition.check(record.as_ref());
            if (record.is_none() || checked.is_err()) && from != Via::Leader {
                from = Via::Leader;
                continue;
            }
            checked?;
            let (Some(record), Some(now)) = (record, now) else { return Ok(None) };
            let draft = self.draft(key.as_str(), record.bytes(), record.metadata(), at, Some(&now));
            match self.publish(&subject, &draft, Some(now.sequence)).await {
                Ok(sequence) => return Ok(Some(sequence)),
                Err(Refusal::Moved) => from = Via::Leader,
                Err(Refusal::Fail(fail)) => return Err(fail),
            }
            self.contend(round).await?;
        }
        Err(Error::new(ErrorKind::Internal, "unreachable").into())
    }
}

fn without(headers: &HeaderMap, name: &str) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (key, values) in headers.iter() {
        if key.to_string() != name {
            for value in values {
                kept.append(key.clone(), value.clone());
            }
        }
    }
    kept
}

/// Puts a tombstone over an expired record, if it is still this one. Best effort: whoever meets the record next tries again.
pub(crate) async fn bury(shared: &Arc<Shared>, name: &Name, subject: &str, sequence: u64) {
    let mut headers = HeaderMap::new();
    headers.insert(OPERATION, "DEL");
    headers.insert(ENDED, sequence.to_string());
    headers.insert(EXPECTED, sequence.to_string());
    headers.insert(WRITE_ID, shared.write_id());
    let known = shared.bucket(name).peek();
    let elsewhere = known.as_ref().and_then(|(known, _)| known.origin_api.as_deref());
    let to = shared.js.route(elsewhere, subject);
    let done = shared.js.store(&to, headers, Bytes::new(), shared.deadline()).await;
    match done {
        Ok(stamp) => shared.bucket(name).acked.note(subject, stamp.sequence),
        Err(fault) if fault.is_wrong_sequence() => {}
        Err(fault) => {
            let error = Fault::into_error(fault, true);
            tracing::debug!(bucket = %name, %error, "an expired record was not buried");
        }
    }
}
