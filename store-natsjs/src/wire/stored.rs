//! A message as a stream keeps it.

use std::borrow::Cow;

use async_nats::{HeaderMap, Message};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use store_core::Timestamp;

use crate::wire::fault::Fault;

/// The header of a deletion: `DEL` or `PURGE`.
pub(crate) const OPERATION: &str = "KV-Operation";
/// The header of a marker that the server put in place of an expired message.
const MARKER: &str = "Nats-Marker-Reason";
/// The id of a write: the server refuses it twice, and a reader recognises its own.
pub(crate) const WRITE_ID: &str = "Nats-Msg-Id";
/// How long the server keeps a message.
pub(crate) const TTL: &str = "Nats-TTL";
/// A record's metadata as JSON in ASCII.
pub(crate) const METADATA: &str = "Store-Metadata";
/// When a record expires, in milliseconds since the Unix epoch.
pub(crate) const EXPIRES: &str = "Store-Expires";
/// Until when the server keeps this message and every older one of its subject, in milliseconds since the Unix epoch.
pub(crate) const UNTIL: &str = "Store-Until";
/// On a tombstone of an expired record: the sequence of that record.
pub(crate) const ENDED: &str = "Store-Ended";

/// What a message says about its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// This is the record.
    Put,
    /// It was deleted.
    Deleted,
    /// It expired: a server's marker, or a tombstone of ours that ends the record of this sequence.
    Expired(Option<u64>),
}

/// A message as a stream keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) subject: Box<str>,
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    pub(crate) op: Op,
    pub(crate) write_id: Option<Box<str>>,
    pub(crate) metadata: Option<Box<str>>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// A time to live that another client gave it.
    pub(crate) ttl: Option<u64>,
    pub(crate) payload: Bytes,
}

impl Stored {
    pub(crate) fn is_put(&self) -> bool {
        self.op == Op::Put
    }

    fn new(
        subject: &str,
        sequence: u64,
        time: Timestamp,
        fields: &Fields<'_>,
        payload: Bytes,
    ) -> Self {
        let millis = |text: Option<&str>| text?.parse().ok().and_then(Timestamp::from_millis);
        let op = match (fields.operation, fields.marker) {
            (_, Some("MaxAge")) => Op::Expired(None),
            (_, Some(_)) => Op::Deleted,
            (None | Some("PUT"), None) => Op::Put,
            _ => match fields.ended {
                Some(ended) => Op::Expired(ended.parse().ok()),
                None => Op::Deleted,
            },
        };
        Self {
            subject: subject.into(),
            sequence,
            time,
            op,
            write_id: fields.write_id.map(Into::into),
            metadata: fields.metadata.map(Into::into),
            expires: millis(fields.expires),
            until: millis(fields.until),
            ttl: fields.ttl.and_then(seconds),
            payload,
        }
    }

    /// What a publish of these headers and this body becomes.
    pub(crate) fn published(
        subject: &str,
        sequence: u64,
        time: Timestamp,
        headers: &HeaderMap,
        payload: Bytes,
    ) -> Self {
        Self::new(subject, sequence, time, &Fields::of(headers), payload)
    }

    /// From the reply of a direct get.
    pub(crate) fn from_direct(message: Message) -> Result<Self, Fault> {
        let bad = || Fault::Garbage("a direct get was answered without its headers".into());
        let headers = message.headers.ok_or_else(bad)?;
        let fields = Fields::of(&headers);
        let subject = fields.subject.ok_or_else(bad)?;
        let sequence = fields.sequence.and_then(|text| text.parse().ok()).ok_or_else(bad)?;
        let time = fields.time.and_then(instant).ok_or_else(bad)?;
        Ok(Self::new(subject, sequence, time, &fields, message.payload))
    }

    /// From a consumer's delivery: its position and the message.
    pub(crate) fn from_delivery(message: Message) -> Result<(Self, Delivery), Fault> {
        let bad = || Fault::Garbage("a consumer delivered without an ack subject".into());
        let delivery = message.reply.as_deref().and_then(Delivery::parse).ok_or_else(bad)?;
        let fields = message.headers.as_ref().map(Fields::of).unwrap_or_default();
        let (subject, sequence, time) = (&message.subject, delivery.stream, delivery.time);
        let stored = Self::new(subject, sequence, time, &fields, message.payload);
        Ok((stored, delivery))
    }

    /// From the answer of `STREAM.MSG.GET`.
    pub(crate) fn from_get(payload: &[u8]) -> Result<Option<Self>, Fault> {
        let bad = |_| Fault::Garbage("an answer of STREAM.MSG.GET cannot be read".into());
        let answer: MsgGet<'_> = serde_json::from_slice(payload).map_err(bad)?;
        if let Some(error) = answer.error {
            return if error.err_code == super::fault::NO_MESSAGE {
                Ok(None)
            } else {
                Err(error.into())
            };
        }
        let bad = || Fault::Garbage("an answer of STREAM.MSG.GET has no message".into());
        let message = answer.message.ok_or_else(bad)?;
        let decode = |text: Option<Text<'_>>| match text {
            None => Ok(Vec::new()),
            Some(Text(text)) => STANDARD.decode(text.as_bytes()).map_err(|_| bad()),
        };
        let block = String::from_utf8(decode(message.hdrs)?).map_err(|_| bad())?;
        let payload = Bytes::from(decode(message.data)?);
        let mut fields = Fields::default();
        for (name, value) in block.lines().skip(1).filter_map(|line| line.split_once(':')) {
            fields.take(name, value.trim());
        }
        let time = instant(&message.time).ok_or_else(bad)?;
        Ok(Some(Self::new(&message.subject, message.seq, time, &fields, payload)))
    }
}

/// The headers that mean something here, found by going through all of them once: a message has few, and each look into a map
/// costs more than that.
#[derive(Default)]
struct Fields<'a> {
    subject: Option<&'a str>,
    sequence: Option<&'a str>,
    time: Option<&'a str>,
    operation: Option<&'a str>,
    marker: Option<&'a str>,
    write_id: Option<&'a str>,
    metadata: Option<&'a str>,
    expires: Option<&'a str>,
    until: Option<&'a str>,
    ended: Option<&'a str>,
    ttl: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, values) in headers.iter() {
            if let Some(value) = values.last() {
                fields.take(name.as_ref(), value.as_str());
            }
        }
        fields
    }

    fn take(&mut self, name: &str, value: &'a str) {
        let field = match name {
            "Nats-Subject" => &mut self.subject,
            "Nats-Sequence" => &mut self.sequence,
            "Nats-Time-Stamp" => &mut self.time,
            OPERATION => &mut self.operation,
            MARKER => &mut self.marker,
            WRITE_ID => &mut self.write_id,
            METADATA => &mut self.metadata,
            EXPIRES => &mut self.expires,
            UNTIL => &mut self.until,
            ENDED => &mut self.ended,
            TTL => &mut self.ttl,
            _ => return,
        };
        *field = Some(value);
    }
}

/// Where a delivery of a consumer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) stream: u64,
    pub(crate) consumer: u64,
    pub(crate) pending: u64,
    pub(crate) time: Timestamp,
}

impl Delivery {
    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<nanos>.<pending>`, in newer servers with domain and account hash
    /// after `ACK`, and with a random token at the end.
    fn parse(subject: &str) -> Option<Self> {
        let mut tokens = [""; 12];
        let mut count = 0;
        for token in subject.split('.') {
            *tokens.get_mut(count)? = token;
            count += 1;
        }
        let at = match count {
            9 => 5,
            11 | 12 => 7,
            _ => return None,
        };
        let number = |i: usize| tokens.get(at + i)?.parse::<u64>().ok();
        Some(Self {
            stream: number(0)?,
            consumer: number(1)?,
            time: Timestamp::from_millis(number(2)? / 1_000_000)?,
            pending: number(3)?,
        })
    }
}

#[derive(Deserialize)]
struct MsgGet<'a> {
    #[serde(borrow)]
    message: Option<MsgGetMessage<'a>>,
    error: Option<super::api::ApiError>,
}

#[derive(Deserialize)]
struct MsgGetMessage<'a> {
    #[serde(borrow)]
    subject: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    hdrs: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Text<'a>>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// Within an `Option`, a `Cow` alone would be copied.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The seconds of a `Nats-TTL`: a number, or a Go duration such as `1h30m`. `never` is none.
fn seconds(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| humantime::parse_duration(text).ok().map(|d| d.as_secs()))
}

/// An RFC 3339 instant as servers write it, in whole milliseconds.
pub(crate) fn instant(text: &str) -> Option<Timestamp> {
    Timestamp::from_millis(nanos(text)? / 1_000_000)
}

/// An RFC 3339 instant in nanoseconds since the Unix epoch.
pub(crate) fn nanos(text: &str) -> Option<u64> {
    // `humantime` takes only UTC, which is what servers write unless their clocks are configured otherwise.
    let time = humantime::parse_rfc3339(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ack_subjects_of_all_servers_are_read() {
        let old = "$JS.ACK.KV_a.c.1.20.3.1700000000123456789.7";
        let new = "$JS.ACK.dom.hash.KV_a.c.1.20.3.1700000000123456789.7";
        let newer = "$JS.ACK.dom.hash.KV_a.c.1.20.3.1700000000123456789.7.xyz";
        let want = Delivery {
            stream: 20,
            consumer: 3,
            pending: 7,
            time: Timestamp::from_millis(1_700_000_000_123).unwrap(),
        };
        for subject in [old, new, newer] {
            assert_eq!(Delivery::parse(subject), Some(want), "{subject}");
        }
        for bad in ["", "a.b", "$JS.ACK.KV_a.c.1.x.3.1.7", &".".repeat(10)] {
            assert_eq!(Delivery::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn answers_of_msg_get_are_read_or_refused() {
        let text = br#"{"message":{"subject":"$KV.t.x.a","seq":5,"hdrs":"TkFUUy8xLjANCk5hdHMtTXNnLUlkOiBpYQ0KDQo=","data":"dmE=","time":"2026-11-20T11:57:58.792433095Z"}}"#;
        let stored = Stored::from_get(text).unwrap().unwrap();
        assert_eq!(
            (&*stored.subject, stored.sequence, &stored.payload[..]),
            ("$KV.t.x.a", 5, &b"va"[..])
        );
        assert_eq!(stored.write_id.as_deref(), Some("ia"));
        let none = br#"{"error":{"code":404,"err_code":10037,"description":"no message found"}}"#;
        assert!(Stored::from_get(none).unwrap().is_none());
        for bad in
            [&b"{"[..], b"{}", br#"{"message":{"subject":"a","seq":1,"data":"*","time":"x"}}"#]
        {
            assert!(Stored::from_get(bad).is_err());
        }
    }
}
