//! Reading one message with all its headers.

use std::str::FromStr as _;

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use crate::table::{Fail, Table};
use crate::wire::fault::Fault;
use crate::wire::stored::Stored;

/// A message, and its headers where it has some.
pub(super) type Whole = (Stored, Option<HeaderMap>);

impl Table {
    /// The newest message of a subject, not older than what this store wrote.
    pub(super) async fn whole_newest(&self, subject: &str) -> Result<Option<Whole>, Fail> {
        let body = json!({ "last_by_subj": subject });
        let floor = self.bucket.acked.floor(subject);
        self.whole(&body, |found| floor.allows(found.map_or(0, |(stored, _)| stored.sequence)))
            .await
    }

    /// The message of a sequence.
    pub(super) async fn whole_at(&self, sequence: u64) -> Result<Option<Whole>, Fail> {
        // A copy, or a mirror that answers, may not have it yet.
        self.whole(&json!({ "seq": sequence }), |found| found.is_some()).await
    }

    /// From any copy whose answer will do, else from the leader.
    async fn whole(
        &self,
        body: &Json,
        will_do: impl Fn(Option<&Whole>) -> bool + Send + Sync,
    ) -> Result<Option<Whole>, Fail> {
        let mut direct = self.known.direct;
        let mut round = 0;
        loop {
            let found =
                if direct { self.direct_whole(body).await } else { self.leader_whole(body).await };
            match found {
                Ok(found) if !direct || will_do(found.as_ref()) => return Ok(found),
                Ok(_) => direct = false,
                Err(fault) => {
                    self.after(fault, &mut round, false).await?;
                    direct = direct && round <= 1;
                }
            }
        }
    }

    async fn direct_whole(&self, body: &Json) -> Result<Option<Whole>, Fault> {
        let js = &self.shared.js;
        let to = js.subject(&format!("DIRECT.GET.{}", self.bucket.stream));
        let message = js.mux.request(&to, None, body.to_string().into(), self.deadline).await?;
        match message.status.map(|status| status.as_u16()) {
            None => {
                let headers = message.headers.clone();
                Ok(Some((Stored::from_direct(message)?, headers)))
            }
            Some(404) => Ok(None),
            Some(status) => {
                let text = message.description.unwrap_or_default();
                Err(Fault::Garbage(format!("a direct get was refused: {status} {text}")))
            }
        }
    }

    async fn leader_whole(&self, body: &Json) -> Result<Option<Whole>, Fault> {
        let js = self.authority();
        let to = js.subject(&format!("STREAM.MSG.GET.{}", self.bucket.stream));
        let message = js.mux.request(&to, None, body.to_string().into(), self.deadline).await?;
        let stored = Stored::from_get(&message.payload)?;
        Ok(stored.map(|stored| (stored, block_of(&message.payload))))
    }
}

/// The headers in an answer of `STREAM.MSG.GET`.
fn block_of(payload: &[u8]) -> Option<HeaderMap> {
    let answer: Json = serde_json::from_slice(payload).ok()?;
    let block = STANDARD.decode(answer.pointer("/message/hdrs")?.as_str()?).ok()?;
    let block = String::from_utf8(block).ok()?;
    let mut headers = HeaderMap::new();
    for (name, value) in block.lines().skip(1).filter_map(|line| line.split_once(':')) {
        // What this client cannot write, it does not show.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_str(name), HeaderValue::from_str(value.trim()))
        {
            headers.append(name, value);
        }
    }
    Some(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_leaders_answer_are_read() {
        let block = STANDARD.encode("NATS/1.0\r\nA: 1\r\na b: 2\r\nA: 3\r\n\r\n");
        let answer = json!({ "message": { "hdrs": block } }).to_string();
        let headers = block_of(answer.as_bytes()).unwrap();
        let all: Vec<_> = headers.get_all("A").map(HeaderValue::as_str).collect();
        assert_eq!(all, ["1", "3"]);
        for bad in [&b""[..], b"{}", br#"{"message":{"hdrs":"*"}}"#] {
            assert!(block_of(bad).is_none());
        }
    }
}
