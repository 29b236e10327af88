//! What a bucket is like now, and changing that.

use std::time::{Duration, SystemTime};

use serde_json::{Value as Json, json};
use store_core::{DatabaseConfig, Error, Result, Storage};

use super::Bucket;
use crate::admin::missing;
use crate::settings::Known;
use crate::store::Nats;
use crate::wire::fault::STREAM_NOT_FOUND;
use crate::wire::stored::instant;

/// What a bucket's stream takes its messages from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upstream {
    /// The stream.
    pub stream: String,
    /// The bucket, where the stream is called as a bucket's.
    pub bucket: Option<String>,
    /// The JetStream domain, when it is another one.
    pub domain: Option<String>,
    /// The prefix of JetStream's API there, when it is another one.
    pub api_prefix: Option<String>,
    /// How many messages are still to come, as far as the server knows.
    pub lag: Option<u64>,
    /// How long ago it was heard of; `None` when it never was.
    pub seen: Option<Duration>,
}

/// A bucket as it is now: one answer of the server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BucketStatus {
    /// The bucket; of a mirror that is no bucket, the name of its stream.
    pub bucket: String,
    /// The name of the stream.
    pub stream: String,
    /// The size of all messages.
    pub bytes: u64,
    /// How many messages there are: older versions and deletions count.
    pub values: u64,
    /// How many keys those are of: deleted ones count while their deletion is kept.
    pub keys: u64,
    /// How many versions of a key are kept.
    pub history: u64,
    /// How long the bucket keeps a message, if not for ever.
    pub ttl: Option<Duration>,
    /// How long the server keeps the markers that it puts in place of expired messages, where it does.
    pub limit_marker_ttl: Option<Duration>,
    /// Whether messages may have a time to live of their own.
    pub message_ttl: bool,
    /// Whether data is compressed on disk.
    pub is_compressed: bool,
    /// In files or in memory.
    pub storage: Storage,
    /// How many servers keep it.
    pub replicas: u64,
    /// Whether nothing can be written to it: a mirror, or an aggregate that only reads.
    pub is_read_only: bool,
    /// What it mirrors.
    pub mirror: Option<Upstream>,
    /// What it aggregates.
    pub sources: Vec<Upstream>,
    /// The sequence of the oldest message.
    pub first_sequence: u64,
    /// The last sequence that was given: the revision counter.
    pub last_sequence: u64,
    /// How many consumers the stream has: watches, listings.
    pub consumers: u64,
    /// When it was created.
    pub created: Option<SystemTime>,
    /// The name and value pairs beside it.
    pub metadata: Vec<(String, String)>,
    /// The configuration of the stream, as the server gives it.
    pub stream_config: Json,
    /// The state of the stream, as the server gives it.
    pub stream_state: Json,
    /// All that the server said: also its cluster.
    pub info: Json,
}

impl BucketStatus {
    pub(super) fn read(info: Json) -> Self {
        let part = |path: &str| info.pointer(path).cloned().unwrap_or_default();
        let number = |path: &str| info.pointer(path).and_then(Json::as_u64).unwrap_or(0);
        let switch = |path: &str| info.pointer(path).and_then(Json::as_bool).unwrap_or(false);
        let word = |path: &str| info.pointer(path).and_then(Json::as_str);
        let nanos = |path: &str| Some(number(path)).filter(|n| *n > 0).map(Duration::from_nanos);
        let stream = word("/config/name").unwrap_or_default().to_owned();
        let list = |value: &Json| value.as_array().cloned().unwrap_or_default();
        let seen = list(&part("/sources"));
        let sources = list(&part("/config/sources"));
        let sources = sources.iter().enumerate().map(|(i, config)| {
            let name = config.get("name");
            // The server gives them in an order of its own; the same stream may come from two accounts.
            let mut same = seen.iter().filter(|one| one.get("name") == name);
            let prefix = |one: &Json| one.pointer("/external/api").cloned();
            let exact = same.clone().find(|one| prefix(one) == prefix(config));
            upstream(config, exact.or_else(|| same.next()).or_else(|| seen.get(i)))
        });
        let mirror = info.pointer("/config/mirror").filter(|mirror| mirror.is_object());
        let metadata = info.pointer("/config/metadata").and_then(Json::as_object);
        let text =
            |(name, value): (&String, &Json)| Some((name.clone(), value.as_str()?.to_owned()));
        Self {
            bucket: stream.strip_prefix("KV_").unwrap_or(&stream).to_owned(),
            bytes: number("/state/bytes"),
            values: number("/state/messages"),
            keys: number("/state/num_subjects"),
            history: number("/config/max_msgs_per_subject").max(1),
            ttl: nanos("/config/max_age"),
            limit_marker_ttl: nanos("/config/subject_delete_marker_ttl"),
            message_ttl: switch("/config/allow_msg_ttl"),
            is_compressed: word("/config/compression").is_some_and(|how| how != "none"),
            storage: match word("/config/storage") {
                Some("memory") => Storage::Memory,
                _ => Storage::File,
            },
            replicas: number("/config/num_replicas").max(1),
            is_read_only: list(&part("/config/subjects")).is_empty(),
            mirror: mirror.map(|config| upstream(config, info.get("mirror"))),
            sources: sources.collect(),
            first_sequence: number("/state/first_seq"),
            last_sequence: number("/state/last_seq"),
            consumers: number("/state/consumer_count"),
            created: word("/created").and_then(instant).map(store_core::Timestamp::to_system),
            metadata: metadata.into_iter().flatten().filter_map(text).collect(),
            stream_config: part("/config"),
            stream_state: part("/state"),
            stream,
            info,
        }
    }
}

fn upstream(config: &Json, seen: Option<&Json>) -> Upstream {
    let word = |path: &str| config.pointer(path).and_then(Json::as_str).map(str::to_owned);
    let api_prefix = word("/external/api").filter(|prefix| !prefix.is_empty());
    let domain = api_prefix.as_deref().and_then(|prefix| {
        let domain = prefix.strip_prefix("$JS.")?.strip_suffix(".API")?;
        (!domain.contains('.')).then(|| domain.to_owned())
    });
    let stream = word("/name").unwrap_or_default();
    Upstream {
        bucket: stream.strip_prefix("KV_").map(str::to_owned),
        stream,
        domain,
        api_prefix,
        lag: seen.and_then(|seen| seen.get("lag")).and_then(Json::as_u64),
        // -1 before the first word.
        seen: seen
            .and_then(|seen| seen.get("active"))
            .and_then(Json::as_u64)
            .map(Duration::from_nanos),
    }
}

impl Bucket {
    /// What the bucket is like now.
    ///
    /// ```no_run
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let nats = store_natsjs::Nats::connect("nats://localhost").await?;
    /// # let bucket = nats.bucket(&store_core::Name::new("app")?);
    /// let status = bucket.status().await?;
    /// println!("{} values of {} keys, {} bytes", status.values, status.keys, status.bytes);
    /// # Ok::<(), store_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// `NotFound` when there is no bucket.
    pub async fn status(&self) -> Result<BucketStatus> {
        Ok(BucketStatus::read(self.info().await?))
    }

    /// The stream's information as the server gives it: configuration, state, cluster, mirror, sources. Fresh.
    ///
    /// # Errors
    /// `NotFound` when there is no bucket.
    pub async fn info(&self) -> Result<Json> {
        let table = self.table().await?;
        let js = &table.shared.js;
        let info = js.stream_info(&table.bucket.stream, &Json::Null, table.deadline).await;
        info.map_err(|fault| fault.into_error(false))?.ok_or_else(missing)
    }

    /// Changes the configuration in the words of the contract, starting from what it is now. What those words do not speak of stays as
    /// it is, fields of the stream that this driver does not know too. Two at once: the later one wins.
    ///
    /// # Errors
    /// `NotFound` when there is no bucket, `InvalidArgument` for what the server does not take.
    pub async fn configure(&self, change: impl FnOnce(&mut DatabaseConfig) + Send) -> Result<()> {
        let table = self.table().await?;
        let known = table.shared.look(&table.bucket, table.deadline).await?.ok_or_else(missing)?;
        let mut config = known.database_config();
        change(&mut config);
        table.shared.update_database(self.name(), &config).await
    }

    /// Changes the stream's configuration, all of it, as the server gives it: what `change` leaves alone stays, fields that this driver
    /// does not know too. Two at once: the later one wins.
    ///
    /// # Errors
    /// `NotFound` when there is no bucket, `InvalidArgument` for what the server does not take, and for a change of the name or of the
    /// layout's mark.
    pub async fn reconfigure(&self, change: impl FnOnce(&mut Json) + Send) -> Result<()> {
        let mut info = self.info().await?;
        let before = info.clone();
        let mut config = info.get_mut("config").map(Json::take).unwrap_or_default();
        change(&mut config);
        let table = self.table().await?;
        if config.get("name") != before.pointer("/config/name") {
            return Err(Error::invalid("a bucket cannot be renamed"));
        }
        // Refuses what this store could not open any more.
        let after = json!({ "config": config, "created": before.get("created") });
        Known::read(&after, table.layout(), &table.shared.server()?)
            .map_err(|_| Error::invalid("the mark of the bucket's layout cannot be changed"))?;
        let rest = format!("STREAM.UPDATE.{}", table.bucket.stream);
        match table.shared.js.api(&rest, &config, table.deadline).await {
            Err(fault) if fault.is_api(STREAM_NOT_FOUND) => return Err(missing()),
            done => done.map_err(|fault| fault.into_error(true))?,
        };
        table.shared.look(&table.bucket, table.deadline).await?;
        Ok(())
    }
}

impl Nats {
    /// All buckets of the server as they are now, of whatever layout and whoever made them; copies that only read, too.
    ///
    /// # Errors
    /// Those of administration.
    pub async fn buckets(&self) -> Result<Vec<BucketStatus>> {
        self.0.open()?;
        let streams = self.0.streams().await?;
        let mut buckets: Vec<_> = streams.into_iter().map(BucketStatus::read).collect();
        buckets.retain(|status| status.stream.starts_with("KV_"));
        buckets.sort_by(|a, b| a.bucket.cmp(&b.bucket));
        Ok(buckets)
    }
}

impl crate::shared::Shared {
    /// The information of all streams.
    pub(super) async fn streams(&self) -> Result<Vec<Json>> {
        let deadline = self.deadline();
        let mut streams = Vec::new();
        loop {
            let body = json!({ "offset": streams.len() });
            let answer = self.js.api("STREAM.LIST", &body, deadline).await;
            let mut answer = answer.map_err(|fault| fault.into_error(false))?;
            let total = answer.get("total").and_then(Json::as_u64).unwrap_or(0);
            let page = answer.get_mut("streams").and_then(Json::as_array_mut);
            let page = page.map(std::mem::take).unwrap_or_default();
            let is_last = page.is_empty();
            streams.extend(page);
            if is_last || streams.len() as u64 >= total {
                return Ok(streams);
            }
        }
    }
}
