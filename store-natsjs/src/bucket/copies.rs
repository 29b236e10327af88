//! Mirrors and aggregates: streams that take their messages from other buckets.

use serde_json::{Value as Json, json};
use store_core::{DatabaseConfig, Error, ErrorKind, Name, Result};

use super::status::BucketStatus;
use super::{Bucket, check_filter};
use crate::admin::missing;
use crate::settings;
use crate::store::Nats;
use crate::wire::fault::{Fault, STREAM_NOT_FOUND};

/// A bucket that a mirror or an aggregate takes from; also one of another JetStream domain or account.
///
/// ```
/// use store_core::Name;
/// use store_natsjs::Origin;
///
/// # fn main() -> Result<(), store_core::Error> {
/// let orders = Origin::bucket(&Name::new("orders")?).keys(["new.>"]).domain("hub");
/// # let _ = orders;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Origin {
    bucket: Name,
    stream: Option<String>,
    keys: Vec<String>,
    api_prefix: Option<String>,
    deliver: Option<String>,
}

impl Origin {
    /// All of this bucket.
    pub fn bucket(name: &Name) -> Self {
        Self {
            bucket: name.clone(),
            stream: None,
            keys: Vec::new(),
            api_prefix: None,
            deliver: None,
        }
    }

    /// Take the bucket's messages from this stream, a mirror of the bucket, instead of from the bucket itself.
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// Only the keys that pass one of these filters; they must not overlap. Without any, all keys.
    pub fn keys(mut self, filters: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.keys = filters.into_iter().map(Into::into).collect();
        self
    }

    /// The bucket is in this JetStream domain: short for the prefix `$JS.<domain>.API`.
    pub fn domain(self, domain: impl AsRef<str>) -> Self {
        self.api_prefix(format!("$JS.{}.API", domain.as_ref()))
    }

    /// The bucket's JetStream API is found under this prefix, as another account's is where it is imported.
    pub fn api_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.api_prefix = Some(prefix.into());
        self
    }

    /// The subject below which messages from another domain or account are delivered, where the accounts' exports name one.
    pub fn deliver(mut self, subject: impl Into<String>) -> Self {
        self.deliver = Some(subject.into());
        self
    }

    fn is_external(&self) -> bool {
        self.api_prefix.is_some()
    }

    /// As a mirror's or a source's configuration, with keys under the prefix of another bucket.
    fn config(&self, into: &Name, transform: bool) -> Result<Json> {
        let stream = match &self.stream {
            Some(stream) => check_stream(stream)?.to_owned(),
            None => format!("KV_{}", self.bucket),
        };
        let mut config = json!({ "name": stream });
        let everything = [">".to_owned()];
        let keys: &[String] = if self.keys.is_empty() { &everything } else { &self.keys };
        for filter in keys {
            check_filter(filter)?;
        }
        if transform || !self.keys.is_empty() {
            let from = &self.bucket;
            let transforms = keys.iter().map(|key| {
                json!({ "src": format!("$KV.{from}.{key}"), "dest": format!("$KV.{into}.{key}") })
            });
            config["subject_transforms"] = transforms.collect::<Vec<_>>().into();
        }
        match (&self.api_prefix, &self.deliver) {
            (Some(prefix), deliver) => {
                let mut external = json!({ "api": check_subject(prefix)? });
                if let Some(deliver) = deliver {
                    external["deliver"] = check_subject(deliver)?.into();
                }
                config["external"] = external;
            }
            (None, Some(_)) => {
                let what = "an origin's deliver subject needs its domain or API prefix";
                return Err(Error::invalid(what));
            }
            (None, None) => {}
        }
        Ok(config)
    }
}

/// Whether an aggregate can be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// It shows its origins only.
    ReadOnly,
    /// It also takes writes of its own, which no origin sees. Where an origin changes the same key, the later change wins.
    Writable,
}

impl Nats {
    /// Makes a mirror of a bucket: a read-only copy with the same revisions, in a stream of any name. It answers reads of its origin,
    /// beside it and while it is away. It is no database of its own, except under its origin's name in another domain or account, where
    /// a store reads it as it would the origin.
    ///
    /// A mirror follows with a delay, so a reader may see what was; `Consistency::Strong` asks the origin itself.
    ///
    /// What `config` says of replicas, storage, placement, compression, limits and description counts. It should keep no less history
    /// than its origin.
    ///
    /// # Errors
    /// `AlreadyExists` with another configuration, `InvalidArgument` for a name that no stream can have or a bucket's name, `NotFound`
    /// when the origin is in this domain and does not exist. `Unsupported` for some keys of an origin in this domain: servers let every
    /// mirror answer, so reads of the other keys would find nothing every now and then. An aggregate may have some keys.
    pub async fn create_mirror(
        &self,
        stream: &str,
        origin: &Origin,
        config: &DatabaseConfig,
    ) -> Result<()> {
        self.0.open()?;
        check_stream(stream)?;
        let own = format!("KV_{}", origin.bucket);
        if stream.starts_with("KV_") && !(stream == own && origin.is_external()) {
            return Err(Error::invalid(
                "a mirror called KV_… would look like a bucket: choose another name, or make an aggregate",
            ));
        }
        if !origin.keys.is_empty() && !origin.is_external() {
            return Err(Error::unsupported(
                "a mirror of some keys would answer reads of its origin's other keys with nothing: make an aggregate",
            ));
        }
        let (name, server) = (&origin.bucket, self.0.server()?);
        let layout = self.0.rules.layout_of(name);
        let mut config = settings::stream_config(name.as_str(), layout, config, &server)?;
        config["name"] = stream.into();
        config["mirror"] = origin.config(name, false)?;
        config["mirror_direct"] = origin.keys.is_empty().into();
        if let Some(fields) = config.as_object_mut() {
            // What a mirror must not have.
            for field in ["subjects", "first_seq", "allow_atomic", "allow_batched"] {
                fields.remove(field);
            }
        }
        if !origin.is_external() {
            let from = config.pointer("/mirror/name").and_then(Json::as_str).unwrap_or_default();
            let there = self.0.js.stream_info(from, &Json::Null, self.0.deadline()).await;
            there.map_err(|fault| fault.into_error(false))?.ok_or_else(missing)?;
        }
        self.make(stream, &config).await
    }

    /// Deletes a mirror; its origin stays as it is. That there is none is no error.
    ///
    /// # Errors
    /// `InvalidArgument` when the stream is no mirror.
    pub async fn delete_mirror(&self, stream: &str) -> Result<()> {
        let Some(status) = self.stream(stream).await? else { return Ok(()) };
        if status.mirror.is_none() {
            return Err(Error::invalid("the stream is no mirror"));
        }
        let rest = format!("STREAM.DELETE.{stream}");
        match self.0.js.api(&rest, &Json::Null, self.0.deadline()).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_api(STREAM_NOT_FOUND) => Ok(()),
            Err(fault) => Err(fault.into_error(true)),
        }
    }

    /// What a mirror is like now.
    ///
    /// # Errors
    /// `NotFound` when there is no such mirror.
    pub async fn mirror_status(&self, stream: &str) -> Result<BucketStatus> {
        let status = self.stream(stream).await?.filter(|status| status.mirror.is_some());
        status.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such mirror"))
    }

    async fn stream(&self, stream: &str) -> Result<Option<BucketStatus>> {
        self.0.open()?;
        check_stream(stream)?;
        let info = self.0.js.stream_info(stream, &Json::Null, self.0.deadline()).await;
        Ok(info.map_err(|fault| fault.into_error(false))?.map(BucketStatus::read))
    }

    async fn make(&self, stream: &str, config: &Json) -> Result<()> {
        let rest = format!("STREAM.CREATE.{stream}");
        match self.0.js.api(&rest, config, self.0.deadline()).await {
            Ok(_) => Ok(()),
            Err(Fault::Api { err_code: 10_058 | 10_065, .. }) => {
                let what = "the stream exists with another configuration";
                Err(Error::new(ErrorKind::AlreadyExists, what))
            }
            Err(fault) => Err(fault.into_error(true)),
        }
    }
}

impl Bucket {
    /// Makes the bucket, which must not exist, as an aggregate: it holds what its origins hold and get, under its own name and with
    /// revisions of its own. Origins must write in this bucket's layout. What an origin loses without a deletion, by age or purge, stays.
    ///
    /// # Errors
    /// `AlreadyExists` with another configuration, `InvalidArgument` for no origin, for one in this domain that does not exist, and for
    /// what the server does not take.
    pub async fn create_aggregate(
        &self,
        origins: &[Origin],
        access: Access,
        config: &DatabaseConfig,
    ) -> Result<()> {
        if origins.is_empty() {
            return Err(Error::invalid("an aggregate has at least one origin"));
        }
        let shared = &self.store.0;
        shared.open()?;
        let layout = shared.rules.layout_of(self.name());
        let sources = origins.iter().map(|origin| {
            if origin.bucket == *self.name() && !origin.is_external() {
                return Err(Error::invalid("a bucket cannot be its own origin"));
            }
            origin.config(self.name(), true)
        });
        let (name, sources) = (self.name().as_str(), sources.collect::<Result<Vec<_>>>()?);
        let mut stream =
            settings::aggregate_config(name, sources, layout, config, &shared.server()?)?;
        if access == Access::ReadOnly
            && let Some(fields) = stream.as_object_mut()
        {
            fields.remove("subjects");
        }
        self.store.make(&format!("KV_{}", self.name()), &stream).await?;
        let bucket = shared.bucket(self.name());
        shared.look(&bucket, shared.deadline()).await?;
        Ok(())
    }

    /// The streams of this domain and account that mirror this bucket.
    ///
    /// # Errors
    /// Those of administration.
    pub async fn mirrors(&self) -> Result<Vec<String>> {
        self.store.0.open()?;
        let own = format!("KV_{}", self.name());
        let streams = self.store.0.streams().await?.into_iter().map(BucketStatus::read);
        let mirrors = streams.filter(|status| {
            status.mirror.as_ref().is_some_and(|up| up.stream == own && up.api_prefix.is_none())
        });
        let mut names: Vec<_> = mirrors.map(|status| status.stream).collect();
        names.sort();
        Ok(names)
    }
}

/// What a server takes as the name of a stream.
fn check_stream(name: &str) -> Result<&str> {
    let bad =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | '/' | '\\');
    if name.is_empty() || name.len() > 255 || name.contains(bad) {
        return Err(Error::invalid(
            "a stream's name has 1 to 255 bytes, without spaces, dots, wildcards and slashes",
        ));
    }
    Ok(name)
}

fn check_subject(subject: &str) -> Result<&str> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>');
    if subject.split('.').any(str::is_empty) || subject.contains(bad) {
        return Err(Error::invalid(
            "an API prefix or deliver subject is a subject without wildcards",
        ));
    }
    Ok(subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn origins_become_sources_with_transforms() {
        let origin = Origin::bucket(&name("a")).stream("M").keys(["x.>", "y"]).domain("hub");
        let want = json!({
            "name": "M",
            "subject_transforms": [
                { "src": "$KV.a.x.>", "dest": "$KV.b.x.>" },
                { "src": "$KV.a.y", "dest": "$KV.b.y" },
            ],
            "external": { "api": "$JS.hub.API" },
        });
        assert_eq!(origin.config(&name("b"), true).unwrap(), want);
        let all = Origin::bucket(&name("a"));
        assert_eq!(all.config(&name("a"), false).unwrap(), json!({ "name": "KV_a" }));
    }

    #[test]
    fn what_no_server_takes_is_refused() {
        let origin = || Origin::bucket(&name("a"));
        for bad in [
            origin().stream("a.b"),
            origin().keys(["a..b"]),
            origin().api_prefix("a.>"),
            origin().api_prefix(""),
            origin().domain("hub").deliver("a b"),
            origin().deliver("d"),
        ] {
            assert!(bad.config(&name("b"), true).is_err(), "{bad:?}");
        }
    }
}
