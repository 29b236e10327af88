//! The versions of a record that the stream keeps.

use store_core::{Key, Record};

use crate::layout::Opened;
use crate::table::{Fail, Table, Via};
use crate::wire::feed::{self, Begin, Feed, Heard};

impl Table {
    /// The versions of a record, oldest first.
    pub(crate) async fn history(&self, key: Key<'_>) -> Result<Vec<Record>, Fail> {
        let subject = self.subject(key)?;
        let newest = self.newest(&subject, Via::Copy).await?;
        if self.record(newest.as_ref())?.is_none() {
            return Ok(Vec::new());
        }
        let topic = feed::Topic {
            stream: self.bucket.stream.clone(),
            filters: vec![subject],
            headers_only: false,
            heartbeat: std::time::Duration::from_secs(1),
        };
        let (js, timeouts) = (self.shared.js.clone(), self.shared.rules.timeouts);
        let feed = Feed::open(js, topic, Begin::At(1), timeouts).await;
        let mut feed = feed.map_err(|fault| Fail::Error(fault.into_error(false)))?;
        let mut versions = Vec::new();
        loop {
            match feed.next().await.map_err(|fault| Fail::Error(fault.into_error(false)))? {
                Heard::Message(stored) if stored.is_put() => {
                    if let Opened::Record(record) = self.open(&stored) {
                        versions.push(record);
                    }
                }
                // What came before an end is history of a record that is gone.
                Heard::Message(_) | Heard::Lost => versions.clear(),
                Heard::CaughtUp(_) => return Ok(versions),
            }
        }
    }
}
