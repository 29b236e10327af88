//! JetStream's API: requests with repetition, within a deadline.

use std::borrow::Cow;
use std::sync::Arc;

use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::wire::fault::{Fault, STREAM_NOT_FOUND};
use crate::wire::mux::{Deadline, Mux};
use crate::wire::stored::Stored;

/// An error of JetStream's API.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ApiError {
    #[serde(default)]
    pub(crate) code: u64,
    #[serde(default)]
    pub(crate) err_code: u64,
    #[serde(default)]
    pub(crate) description: String,
}

impl From<ApiError> for Fault {
    fn from(error: ApiError) -> Self {
        Self::Api { code: error.code, err_code: error.err_code, description: error.description }
    }
}

#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<ApiError>,
}

/// What a stored publish got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) sequence: u64,
    /// It was stored before, under the same id.
    pub(crate) duplicate: bool,
}

/// JetStream over a connection.
#[derive(Clone)]
pub(crate) struct Js {
    pub(crate) mux: Arc<Mux>,
    /// `$JS.API` or what a domain or an import makes of it, without a dot at the end.
    prefix: Arc<str>,
}

impl Js {
    pub(crate) fn new(mux: Mux, prefix: &str) -> Self {
        Self { mux: Arc::new(mux), prefix: prefix.into() }
    }

    /// Where a message for a stream is published. Neither domains nor accounts let a bucket's subjects pass as they are: they go below
    /// the prefix of the API, as those of other clients do.
    pub(crate) fn route<'a>(&self, elsewhere: Option<&str>, subject: &'a str) -> Cow<'a, str> {
        match elsewhere.or(Some(&*self.prefix).filter(|prefix| *prefix != "$JS.API")) {
            Some(prefix) => format!("{prefix}.{subject}").into(),
            None => subject.into(),
        }
    }

    /// The API of this prefix, where there is one, over the same connection.
    pub(crate) fn elsewhere(&self, prefix: Option<&str>) -> Self {
        let prefix = prefix.map_or_else(|| Arc::clone(&self.prefix), Arc::from);
        Self { mux: Arc::clone(&self.mux), prefix }
    }

    pub(crate) fn subject(&self, rest: &str) -> String {
        [&self.prefix, ".", rest].concat()
    }

    /// A request of the API, repeated while what hinders it passes. Only for what may be done twice.
    pub(crate) async fn api(
        &self,
        rest: &str,
        body: &Json,
        deadline: Deadline,
    ) -> Result<Json, Fault> {
        let subject = self.subject(rest);
        let payload = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let mut round = 0;
        loop {
            let answer = self.mux.request(subject.clone(), None, payload.clone(), deadline).await;
            match answer.and_then(|message| read_answer(&message.payload)) {
                Err(fault) if fault.is_worth_another_try() && deadline.pause(round).await => {
                    round += 1;
                }
                done => return done,
            }
        }
    }

    /// `None` when there is no such stream.
    pub(crate) async fn stream_info(
        &self,
        stream: &str,
        body: &Json,
        deadline: Deadline,
    ) -> Result<Option<Json>, Fault> {
        match self.api(&format!("STREAM.INFO.{stream}"), body, deadline).await {
            Err(fault) if fault.is_api(STREAM_NOT_FOUND) => Ok(None),
            done => done.map(Some),
        }
    }

    /// Publishes to a stream, one try.
    pub(crate) async fn store(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
        deadline: Deadline,
    ) -> Result<Stamp, Fault> {
        let message =
            self.mux.request(subject.to_owned(), Some(headers), payload, deadline).await?;
        read_ack(&message)
    }

    /// The newest message of a subject, from whichever copy answers.
    pub(crate) async fn direct(
        &self,
        stream: &str,
        subject: &str,
        deadline: Deadline,
    ) -> Result<Option<Stored>, Fault> {
        let (to, body) = if subject.len() < 1024 {
            ([&*self.prefix, ".DIRECT.GET.", stream, ".", subject].concat(), Bytes::new())
        } else {
            // Beyond some length a subject does not fit a protocol line.
            (format!("{}.DIRECT.GET.{stream}", self.prefix), Which::LastBySubj(subject).body()?)
        };
        self.direct_with(to, body, deadline).await
    }

    /// The message of a sequence.
    pub(crate) async fn direct_at(
        &self,
        stream: &str,
        sequence: u64,
        deadline: Deadline,
    ) -> Result<Option<Stored>, Fault> {
        let to = format!("{}.DIRECT.GET.{stream}", self.prefix);
        self.direct_with(to, Which::Seq(sequence).body()?, deadline).await
    }

    async fn direct_with(
        &self,
        to: String,
        body: Bytes,
        deadline: Deadline,
    ) -> Result<Option<Stored>, Fault> {
        let message = self.mux.request(to, None, body, deadline).await?;
        match message.status.map(|status| status.as_u16()) {
            None => Stored::from_direct(message).map(Some),
            Some(404) => Ok(None),
            Some(status) => {
                let text = message.description.unwrap_or_default();
                Err(Fault::Garbage(format!("a direct get was refused: {status} {text}")))
            }
        }
    }

    /// As [`direct`](Self::direct), from the leader. One try.
    pub(crate) async fn leader(
        &self,
        stream: &str,
        which: Which<'_>,
        deadline: Deadline,
    ) -> Result<Option<Stored>, Fault> {
        let to = [&*self.prefix, ".STREAM.MSG.GET.", stream].concat();
        let message = self.mux.request(to, None, which.body()?, deadline).await?;
        Stored::from_get(&message.payload)
    }

    /// The newest messages of these subjects, by one request.
    pub(crate) async fn multi<'a>(
        &self,
        stream: &str,
        subjects: impl Iterator<Item = &'a str>,
        deadline: Deadline,
    ) -> Result<Batch, Fault> {
        let body = Which::MultiLast(subjects.collect()).body()?;
        self.batch_of(stream, body, NO_RESULTS, deadline).await
    }

    /// Several messages by one request, in the order of their sequences.
    pub(crate) async fn batch(
        &self,
        stream: &str,
        body: &Json,
        deadline: Deadline,
    ) -> Result<Batch, Fault> {
        let nothing = if body.get("multi_last").is_some() { NO_RESULTS } else { NOT_FOUND };
        self.batch_of(stream, body.to_string().into(), nothing, deadline).await
    }

    async fn batch_of(
        &self,
        stream: &str,
        body: Bytes,
        nothing: &str,
        deadline: Deadline,
    ) -> Result<Batch, Fault> {
        let to = self.subject(&format!("DIRECT.GET.{stream}"));
        let mut messages = Vec::new();
        let mut bad = None;
        let end = self
            .mux
            .request_many(to, body, deadline, |message| match Stored::from_direct(message) {
                Ok(stored) => messages.push(stored),
                Err(fault) => bad = Some(fault),
            })
            .await?;
        if let Some(fault) = bad {
            return Err(fault);
        }
        let number = |name: &str| end.headers.as_ref()?.get_last(name)?.as_str().parse().ok();
        match end.status.map(|status| status.as_u16()) {
            Some(204) => Ok(Batch {
                pending: number("Nats-Num-Pending").unwrap_or(0),
                last: number("Nats-Last-Sequence").unwrap_or(0),
                up_to: number("Nats-UpTo-Sequence"),
                messages,
                too_many: false,
            }),
            Some(404) if messages.is_empty() && end.description.as_deref() == Some(nothing) => {
                Ok(Batch::default())
            }
            // One of them went away under the server's hands, and it sends no more: not all there is.
            Some(404) => Err(Fault::Timeout),
            Some(413) => Ok(Batch { too_many: true, ..Batch::default() }),
            status => {
                let text = end.description.unwrap_or_default();
                Err(Fault::Garbage(format!("a batch get was refused: {status:?} {text}")))
            }
        }
    }
}

/// How a server says that there is nothing: that none of some subjects has a message,
const NO_RESULTS: &str = "No Results";
/// that none follows; or, asked for several subjects, that a message that it had found there is gone.
const NOT_FOUND: &str = "Message Not Found";

/// Which messages a get asks for, as its body says it.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which<'a> {
    LastBySubj(&'a str),
    Seq(u64),
    MultiLast(Vec<&'a str>),
    /// The first of a subject from a sequence on.
    #[serde(untagged)]
    NextBySubj {
        seq: u64,
        next_by_subj: &'a str,
    },
}

impl Which<'_> {
    fn body(&self) -> Result<Bytes, Fault> {
        let body = serde_json::to_vec(self).map_err(|error| Fault::Garbage(error.to_string()))?;
        Ok(body.into())
    }
}

/// What a batch get brought.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Stored>,
    /// How many more there are.
    pub(crate) pending: u64,
    /// The last sequence that was sent.
    pub(crate) last: u64,
    /// The state of the stream that it shows, where the server tells.
    pub(crate) up_to: Option<u64>,
    /// More subjects match than the server looks up at a time.
    pub(crate) too_many: bool,
}

fn read_answer(payload: &[u8]) -> Result<Json, Fault> {
    let mut answer: Json = serde_json::from_slice(payload)
        .map_err(|_| Fault::Garbage("an answer of JetStream's API is no JSON".into()))?;
    match answer.get_mut("error").map(Json::take) {
        Some(error) => {
            let error: ApiError = serde_json::from_value(error)
                .map_err(|_| Fault::Garbage("an error of JetStream's API cannot be read".into()))?;
            Err(error.into())
        }
        None => Ok(answer),
    }
}

pub(crate) fn read_ack(message: &Message) -> Result<Stamp, Fault> {
    let ack: Ack = serde_json::from_slice(&message.payload)
        .map_err(|_| Fault::Garbage("an acknowledgement cannot be read".into()))?;
    match ack.error {
        Some(error) => Err(error.into()),
        None => Ok(Stamp { sequence: ack.seq, duplicate: ack.duplicate }),
    }
}
