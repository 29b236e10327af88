//! How a database is configured, and the stream configuration that this becomes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value as Json, json};
use store_core::{
    Clock as _, DatabaseConfig, Error, Expiry, Result, Storage, SystemClock, WhenFull,
};

use crate::layout::Layout;
use crate::server::Server;

/// Marks a bucket of the native layout.
pub(crate) const LAYOUT_MARK: &str = "store-layout";
/// What the mark says.
const NATIVE: &str = "native-1";
/// The default time to live of a native bucket, in milliseconds.
const DEFAULT_TTL: &str = "store-default-ttl-ms";
/// The largest value of a native bucket, in bytes.
const MAX_VALUE: &str = "store-max-value";
/// Up to which sequence deletions may have been removed by a compaction: who was away since before must begin anew.
pub(crate) const COMPACTED: &str = "store-compacted";
/// Room for headers beside a value: metadata of 8 KiB may be three times as long in ASCII.
pub(crate) const HEADROOM: usize = 32 * 1024;
/// How Go-Micro describes its buckets.
pub(crate) const GO_MICRO_DESCRIPTION: &str =
    "KeyValue storage administered by go-micro store plugin";
/// First sequences are milliseconds since 2020, times 2 to the 10: a bucket that is created again begins above all it ever had.
const ERA_MILLIS: u64 = 1_577_836_800_000;
/// First sequences from here on are of this kind.
const FIRST_SEQUENCE: u64 = 1 << 40;
/// How long the server recognises a repeated write.
const DUPLICATE_WINDOW: u64 = 60_000_000_000;

/// The settings that only this driver knows, for [`DatabaseConfig::driver`]: name, value, what it does.
pub(crate) const DRIVER_SETTINGS: &[(&str, &str, &str)] = &[
    ("compression", "s2|none", "compress the files of the bucket"),
    ("placement_cluster", "text", "keep the bucket in this cluster"),
    ("placement_tags", "text, with commas", "keep the bucket on servers with these tags"),
    ("republish_source", "subject", "republish changes of these subjects; default all"),
    ("republish_destination", "subject", "publish every change to this subject too"),
    ("republish_headers_only", "on/off", "republish without values"),
    ("allow_msg_ttl", "on/off", "allow a time to live per message; cannot be switched off again"),
    ("allow_atomic", "on/off", "allow atomic batches"),
    ("metadata.<name>", "text", "a name and value beside the bucket"),
    ("mirror", "bucket", "a read-only copy of this bucket, with revisions of its own"),
    ("sources", "buckets, with commas", "an aggregate of these buckets"),
];

/// What is remembered of a bucket's stream.
#[expect(clippy::struct_excessive_bools, reason = "the stream's own switches, each by itself")]
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The layout it is opened with.
    pub(crate) layout: Layout,
    /// When it was created, in nanoseconds: its identity.
    pub(crate) created: u64,
    /// The first number of its revisions.
    pub(crate) incarnation: u64,
    /// The whole configuration, unknown fields too.
    pub(crate) config: Json,
    pub(crate) history: u64,
    pub(crate) replicas: u64,
    pub(crate) max_age: Option<Duration>,
    pub(crate) default_ttl: Option<Duration>,
    pub(crate) max_value: usize,
    /// Records may be given to the server to remove.
    pub(crate) ttl: bool,
    pub(crate) atomic: bool,
    /// Bulk loads are taken in batches.
    pub(crate) batched: bool,
    pub(crate) direct: bool,
    /// Nothing is written to this stream by its subjects: a mirror, or an aggregate that only reads.
    pub(crate) read_only: bool,
    /// A mirror of the bucket of the same name elsewhere: the prefix of the API there, which writes go to.
    pub(crate) origin_api: Option<String>,
}

impl Known {
    /// Whether who answers may be behind who has the last word: of several replicas one, or a mirror that stands for a bucket elsewhere.
    pub(crate) fn is_copy(&self) -> bool {
        self.replicas > 1 || self.origin_api.is_some()
    }

    /// Reads the answer of `STREAM.INFO`, and checks the layout.
    pub(crate) fn read(info: &Json, wanted: Layout, server: &Server) -> Result<Self> {
        let config = info.get("config").cloned().unwrap_or_default();
        let number = |name: &str| config.get(name).and_then(Json::as_i64).unwrap_or(0);
        let switch = |name: &str| config.get(name).and_then(Json::as_bool).unwrap_or(false);
        let text = |name: &str| config.pointer(&format!("/metadata/{name}")).and_then(Json::as_str);
        check_mark(text(LAYOUT_MARK), wanted, &config)?;
        let created = info.get("created").and_then(Json::as_str);
        let created = created.and_then(crate::wire::stored::nanos).unwrap_or(0);
        let first = config.get("first_seq").and_then(Json::as_u64).unwrap_or(0);
        let nanos = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0).map(Duration::from_nanos);
        let max_age = nanos(number("max_age"));
        let native = wanted == Layout::Native;
        let millis = text(DEFAULT_TTL).and_then(|text| text.parse().ok());
        let limit = match text(MAX_VALUE).and_then(|text| text.parse().ok()) {
            Some(limit) if native => Some(limit),
            _ => None,
        };
        let payload = usize::try_from(number("max_msg_size")).ok().filter(|n| *n > 0);
        let history = number("max_msgs_per_subject").max(1) as u64;
        Ok(Self {
            layout: wanted,
            created,
            incarnation: if first >= FIRST_SEQUENCE { 0 } else { created },
            history,
            replicas: number("num_replicas").max(1) as u64,
            default_ttl: if native { millis.map(Duration::from_millis) } else { max_age },
            max_age,
            max_value: limit.unwrap_or(usize::MAX).min(max_value(wanted, payload, server)),
            // What origins wrote may be older than what is here, and would come back.
            ttl: native && history == 1 && switch("allow_msg_ttl") && !has_sources(&config),
            atomic: switch("allow_atomic") && server.has_batches(),
            batched: switch("allow_batched") && server.has_fast_ingest(),
            direct: switch("allow_direct"),
            read_only: config.get("subjects").and_then(Json::as_array).is_none_or(Vec::is_empty),
            origin_api: origin_api(&config),
            config,
        })
    }

    /// The configuration in the words of the contract.
    pub(crate) fn database_config(&self) -> DatabaseConfig {
        let positive = |name: &str| {
            let number = self.config.get(name).and_then(Json::as_i64).unwrap_or(0);
            u64::try_from(number).ok().filter(|n| *n > 0)
        };
        let text = |name: &str| self.config.get(name).and_then(Json::as_str);
        let meta = |name: &str| self.config.pointer(&format!("/metadata/{name}"));
        let mut config = DatabaseConfig::new();
        config.default_ttl = self.default_ttl;
        config.history = Some(u32::try_from(self.history).unwrap_or(u32::MAX));
        config.max_bytes = positive("max_bytes");
        config.max_value_len = match self.layout {
            Layout::Native => meta(MAX_VALUE).and_then(Json::as_str).and_then(|t| t.parse().ok()),
            layout => positive("max_msg_size").map(|len| value_len(layout, len as usize) as u64),
        };
        config.storage = Some(match text("storage") {
            Some("memory") => Storage::Memory,
            _ => Storage::File,
        });
        config.replicas = Some(u32::try_from(self.replicas).unwrap_or(1));
        config.description = text("description").filter(|d| !d.is_empty()).map(str::to_owned);
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                config.driver.insert(name.to_owned(), value);
            }
        };
        put("compression", text("compression").filter(|c| *c != "none").map(str::to_owned));
        let pointer = |path: &str| self.config.pointer(path);
        let word = |path: &str| pointer(path).and_then(Json::as_str).map(str::to_owned);
        put("placement_cluster", word("/placement/cluster"));
        let tags = pointer("/placement/tags")
            .and_then(Json::as_array)
            .map(|tags| tags.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(","));
        put("placement_tags", tags);
        put("republish_source", word("/republish/src"));
        put("republish_destination", word("/republish/dest"));
        let headers_only = pointer("/republish/headers_only").and_then(Json::as_bool);
        put("republish_headers_only", headers_only.filter(|on| *on).map(|_| "on".to_owned()));
        if let Some(Json::Object(metadata)) = self.config.get("metadata") {
            for (name, value) in metadata {
                let ours = [LAYOUT_MARK, DEFAULT_TTL, MAX_VALUE, COMPACTED].contains(&&**name);
                if !ours && !name.starts_with("_nats") {
                    put(&format!("metadata.{name}"), value.as_str().map(str::to_owned));
                }
            }
        }
        config
    }
}

fn origin_api(config: &Json) -> Option<String> {
    let is_same = config.pointer("/mirror/name") == config.get("name");
    let api = config.pointer("/mirror/external/api").and_then(Json::as_str);
    api.filter(|api| is_same && !api.is_empty()).map(str::to_owned)
}

fn check_mark(mark: Option<&str>, wanted: Layout, config: &Json) -> Result<()> {
    let refuse = |message: String| Err(Error::config(message));
    match (mark, wanted) {
        (Some(NATIVE), Layout::Native)
        | (None, Layout::GoMicro | Layout::GoMicroBase32 | Layout::Plain) => Ok(()),
        (Some(NATIVE), other) => refuse(format!(
            "the bucket has the layout `native`, not `{other}`: set layout=native for it"
        )),
        (Some(_), _) => refuse(
            "the bucket has a layout that this version of the driver does not know".to_owned(),
        ),
        (None, Layout::Native) => {
            let description = config.get("description").and_then(Json::as_str);
            let hint = if description == Some(GO_MICRO_DESCRIPTION) {
                "; its description says that Go-Micro made it"
            } else {
                ""
            };
            refuse(format!(
                "the bucket was not made by this driver and has no mark of its layout{hint}: set layout=go-micro or \
                 layout=go-micro-base32 (as the Go services have EncodeKeys) or layout=plain (nats kv and other clients)"
            ))
        }
    }
}

/// The largest value that surely fits.
pub(crate) fn max_value(layout: Layout, max_msg: Option<usize>, server: &Server) -> usize {
    value_len(layout, server.max_payload.min(max_msg.unwrap_or(usize::MAX)))
}

/// The largest value in a message of this size.
fn value_len(layout: Layout, message: usize) -> usize {
    let body = message.saturating_sub(if layout == Layout::Plain { 1024 } else { HEADROOM });
    if layout.is_go_micro() { body / 4 * 3 + body % 4 * 3 / 4 } else { body }
}

/// The size of a message with a value of this length: [`value_len`] takes it back.
fn message_len(layout: Layout, value: u64) -> u64 {
    let body = if layout.is_go_micro() { value.saturating_mul(4).div_ceil(3) } else { value };
    body.saturating_add(if layout == Layout::Plain { 1024 } else { HEADROOM as u64 })
}

/// The configuration of a new bucket's stream.
pub(crate) fn stream_config(
    name: &str,
    layout: Layout,
    config: &DatabaseConfig,
    server: &Server,
) -> Result<Json> {
    finish(new_stream(name, layout), layout, config, server)
}

fn new_stream(name: &str, layout: Layout) -> Json {
    let mut stream = json!({
        "name": format!("KV_{name}"),
        "subjects": [format!("$KV.{name}.>")],
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "discard": "new",
        "max_age": 0,
        "max_msgs_per_subject": 1,
        "max_msg_size": -1,
        "storage": "file",
        "num_replicas": 1,
        "duplicate_window": 120_000_000_000_u64,
        "deny_delete": true,
        "allow_rollup_hdrs": true,
        "compression": "none",
        "allow_direct": true,
        "mirror_direct": false,
        "consumer_limits": {},
    });
    if layout == Layout::Native {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let era = u64::try_from(now).unwrap_or(0).saturating_sub(ERA_MILLIS);
        stream["first_seq"] = (era << 10).max(FIRST_SEQUENCE).into();
        stream["duplicate_window"] = DUPLICATE_WINDOW.into();
        stream["metadata"] = json!({ LAYOUT_MARK: NATIVE });
    }
    if layout.is_go_micro() {
        stream["description"] = GO_MICRO_DESCRIPTION.into();
    }
    stream
}

/// The configuration of a new bucket's stream that holds what these origins hold.
pub(crate) fn aggregate_config(
    name: &str,
    origins: Vec<Json>,
    layout: Layout,
    config: &DatabaseConfig,
    server: &Server,
) -> Result<Json> {
    let mut stream = new_stream(name, layout);
    stream["sources"] = origins.into();
    finish(stream, layout, config, server)
}

fn finish(
    mut stream: Json,
    layout: Layout,
    config: &DatabaseConfig,
    server: &Server,
) -> Result<Json> {
    apply(&mut stream, layout, config, server)?;
    if has_sources(&stream)
        && let Some(fields) = stream.as_object_mut()
    {
        // With a first sequence of its own, a stream takes nothing of its second origin and on (seen up to nats-server 2.15).
        fields.remove("first_seq");
    }
    Ok(stream)
}

/// Whether it aggregates others.
fn has_sources(stream: &Json) -> bool {
    let sources = stream.get("sources").and_then(Json::as_array);
    sources.is_some_and(|sources| !sources.is_empty())
}

/// Changes a stream's configuration to this database configuration; what it does not speak of stays.
pub(crate) fn apply(
    stream: &mut Json,
    layout: Layout,
    config: &DatabaseConfig,
    server: &Server,
) -> Result<()> {
    let Json::Object(fields) = stream else {
        return Err(Error::new(store_core::ErrorKind::Internal, "a stream has no configuration"));
    };
    let mut set = |name: &str, value: Json| fields.insert(name.to_owned(), value);
    let history = config.history.unwrap_or(1);
    if !(1..=64).contains(&history) {
        return Err(Error::invalid("history keeps 1 to 64 versions, the present one included"));
    }
    set("max_msgs_per_subject", history.into());
    if config.max_records.is_some() {
        return Err(Error::unsupported(
            "a bucket cannot limit its records (max_records): use max_bytes",
        ));
    }
    if config.when_full.is_some_and(|rule| rule != WhenFull::Refuse) {
        return Err(Error::unsupported("a bucket that is full refuses (when_full)"));
    }
    set("max_bytes", limit(config.max_bytes)?);
    set("storage", if config.storage == Some(Storage::Memory) { "memory" } else { "file" }.into());
    match config.replicas.unwrap_or(1) {
        n @ 1..=5 => set("num_replicas", n.into()),
        _ => return Err(Error::invalid("a bucket has 1 to 5 replicas")),
    };
    match &config.description {
        Some(description) => drop(set("description", description.as_str().into())),
        None if layout == Layout::Native => drop(set("description", "".into())),
        None => {}
    }
    let ttl = config.default_ttl;
    if let Some(ttl) = ttl {
        // Also refuses what no record could ever have.
        Expiry::After(ttl).resolve(SystemClock.now(), None)?;
    }
    if layout == Layout::Native {
        if server.has_batches() {
            set("allow_atomic", true.into());
        }
        if server.has_fast_ingest() {
            set("allow_batched", true.into());
        }
    } else {
        let nanos = ttl.map_or(0, |ttl| u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX));
        if ttl.is_some() && nanos < 100_000_000 {
            return Err(Error::invalid("the default_ttl of this layout is at least 100ms"));
        }
        set("max_age", limit(Some(nanos))?);
        let window = if nanos == 0 { 120_000_000_000 } else { nanos.min(120_000_000_000) };
        set("duplicate_window", window.into());
    }
    set("max_msg_size", limit(config.max_value_len.map(|len| message_len(layout, len)))?);
    let mut metadata = match fields.remove("metadata") {
        Some(Json::Object(metadata)) => metadata,
        _ => Map::new(),
    };
    let stays = |name: &str| [LAYOUT_MARK, COMPACTED].contains(&name) || name.starts_with("_nats");
    metadata.retain(|name, _| stays(name));
    if layout == Layout::Native {
        if let Some(ttl) = ttl {
            let millis = ttl.as_nanos().div_ceil(1_000_000);
            metadata.insert(DEFAULT_TTL.to_owned(), millis.to_string().into());
        }
        if let Some(len) = config.max_value_len {
            metadata.insert(MAX_VALUE.to_owned(), len.to_string().into());
        }
    }
    driver_settings(fields, &mut metadata, config)?;
    if layout == Layout::Native && server.has_ttl() && history == 1 {
        entrust(fields, config)?;
    }
    if !metadata.is_empty() {
        fields.insert("metadata".to_owned(), metadata.into());
    }
    Ok(())
}

/// Lets the server remove what has expired, where nothing older can come back. What the origins of an aggregate write may be older.
fn entrust(fields: &mut Map<String, Json>, config: &DatabaseConfig) -> Result<()> {
    const NAME: &str = "allow_msg_ttl";
    let sources = fields.get("sources").and_then(Json::as_array);
    if sources.is_none_or(Vec::is_empty) {
        if !config.driver.contains_key(NAME) {
            fields.insert(NAME.to_owned(), true.into());
        }
    } else if config.driver.contains_key(NAME) && fields.get(NAME) == Some(&Json::Bool(true)) {
        return Err(Error::invalid(
            "setting `allow_msg_ttl`: of an aggregate nothing is left to the server to remove, as older values could come back",
        ));
    }
    Ok(())
}

fn driver_settings(
    fields: &mut Map<String, Json>,
    metadata: &mut Map<String, Json>,
    config: &DatabaseConfig,
) -> Result<()> {
    let bucket = fields
        .get("name")
        .and_then(Json::as_str)
        .and_then(|name| name.strip_prefix("KV_"))
        .unwrap_or_default()
        .to_owned();
    let mut placement = Map::new();
    let mut republish = Map::new();
    for (name, value) in &config.driver {
        let switch = || match value.as_str() {
            "on" | "true" | "yes" | "1" => Ok(Json::Bool(true)),
            "off" | "false" | "no" | "0" => Ok(Json::Bool(false)),
            _ => Err(Error::invalid(format!("setting `{name}`: expected on or off"))),
        };
        let list = || value.split(',').map(str::trim).filter(|one| !one.is_empty());
        match name.as_str() {
            "compression" if matches!(value.as_str(), "s2" | "none") => {
                fields.insert(name.clone(), value.as_str().into());
            }
            "compression" => {
                return Err(Error::invalid("setting `compression`: expected s2 or none"));
            }
            "placement_cluster" => drop(placement.insert("cluster".into(), value.as_str().into())),
            "placement_tags" => {
                placement.insert("tags".into(), list().collect::<Vec<_>>().into());
            }
            "republish_source" => drop(republish.insert("src".into(), value.as_str().into())),
            "republish_destination" => drop(republish.insert("dest".into(), value.as_str().into())),
            "republish_headers_only" => drop(republish.insert("headers_only".into(), switch()?)),
            "allow_msg_ttl" | "allow_atomic" => drop(fields.insert(name.clone(), switch()?)),
            // Not a mirror of JetStream's: under other subjects it would answer reads of its origin with nothing, as servers let
            // every mirror answer direct gets whatever its configuration says.
            "mirror" => {
                let origin = origin_of(value.trim_start_matches("KV_"), &bucket);
                fields.insert("sources".into(), json!([origin]));
                fields.remove("subjects");
            }
            "sources" => {
                let sources: Vec<Json> = list()
                    .map(|origin| origin_of(origin.trim_start_matches("KV_"), &bucket))
                    .collect();
                fields.insert("sources".into(), sources.into());
            }
            other => match other.strip_prefix("metadata.") {
                Some(own) if !own.is_empty() && !own.starts_with("_nats") && own != LAYOUT_MARK => {
                    metadata.insert(own.to_owned(), value.as_str().into());
                }
                _ => {
                    let known: Vec<_> = DRIVER_SETTINGS.iter().map(|(name, ..)| *name).collect();
                    return Err(Error::unsupported(format!(
                        "this driver has no setting `{other}` of a database; it has: {}",
                        known.join(", ")
                    )));
                }
            },
        }
    }
    if !placement.is_empty() {
        fields.insert("placement".into(), placement.into());
    }
    if !republish.is_empty() {
        if !republish.contains_key("dest") {
            return Err(Error::invalid("setting `republish_destination` is missing"));
        }
        republish.entry("src").or_insert_with(|| ">".into());
        fields.insert("republish".into(), republish.into());
    }
    Ok(())
}

/// All of another bucket, under this bucket's subjects.
fn origin_of(origin: &str, bucket: &str) -> Json {
    json!({
        "name": format!("KV_{origin}"),
        "subject_transforms": [{ "src": format!("$KV.{origin}.>"), "dest": format!("$KV.{bucket}.>") }],
    })
}

/// A limit as JetStream writes it: -1 is none.
fn limit(value: Option<u64>) -> Result<Json> {
    match value {
        None => Ok((-1).into()),
        Some(value) => i64::try_from(value)
            .map(Into::into)
            .map_err(|_| Error::invalid("a limit of the bucket is too large")),
    }
}

/// The same configuration with what the driver would choose, so that two can be compared.
pub(crate) fn normal(config: &DatabaseConfig) -> DatabaseConfig {
    let mut config = config.clone();
    config.history.get_or_insert(1);
    config.storage.get_or_insert(Storage::File);
    config.replicas.get_or_insert(1);
    config.when_full = None;
    if config.description.as_deref().is_some_and(|d| d.is_empty() || d == GO_MICRO_DESCRIPTION) {
        config.description = None;
    }
    for (name, quiet) in [("compression", "none"), ("republish_headers_only", "off")] {
        if config.driver.get(name).is_some_and(|value| value == quiet) {
            config.driver.remove(name);
        }
    }
    for name in ["allow_msg_ttl", "allow_atomic", "mirror", "sources"] {
        config.driver.remove(name);
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::of_version;

    fn config(settings: &[(&str, &str)]) -> DatabaseConfig {
        let mut config = DatabaseConfig::new();
        for (name, value) in settings {
            config.driver.insert((*name).to_owned(), (*value).to_owned());
        }
        config
    }

    fn stream(settings: &[(&str, &str)]) -> Result<Json> {
        let server = of_version("2.15.1")?;
        stream_config("app", Layout::Native, &config(settings), &server)
    }

    #[test]
    fn every_setting_of_a_database_is_in_the_streams_configuration() {
        for (name, value, at, want) in [
            ("compression", "s2", "/compression", json!("s2")),
            ("placement_cluster", "east", "/placement/cluster", json!("east")),
            ("placement_tags", "ssd, eu", "/placement/tags", json!(["ssd", "eu"])),
            (
                "republish_destination",
                "copy.>",
                "/republish",
                json!({"src": ">", "dest": "copy.>"}),
            ),
            ("allow_msg_ttl", "off", "/allow_msg_ttl", json!(false)),
            ("allow_atomic", "off", "/allow_atomic", json!(false)),
            ("metadata.owner", "ada", "/metadata/owner", json!("ada")),
            ("mirror", "a", "/sources/0/name", json!("KV_a")),
            ("sources", "a,b", "/sources/1/name", json!("KV_b")),
        ] {
            let stream = stream(&[(name, value)]).unwrap();
            assert_eq!(stream.pointer(at), Some(&want), "{name}");
        }
        let dest = ("republish_destination", "copy.>");
        let whole =
            stream(&[dest, ("republish_source", "$KV.app.t.>"), ("republish_headers_only", "on")]);
        let want = json!({ "src": "$KV.app.t.>", "dest": "copy.>", "headers_only": true });
        assert_eq!(whole.unwrap()["republish"], want);
    }

    #[test]
    fn what_a_setting_cannot_be_is_refused_by_its_name() {
        for (name, value) in [
            ("compression", "zip"),
            ("republish_source", "a"),
            ("republish_headers_only", "perhaps"),
            ("allow_atomic", ""),
            ("nosuch", "x"),
            ("metadata._nats.x", "y"),
        ] {
            let error = stream(&[(name, value)]).unwrap_err();
            let named = name.split('_').next().unwrap_or_default();
            assert!(error.message().contains(named), "{name}: {error}");
        }
    }

    #[test]
    fn of_an_aggregate_nothing_is_left_to_the_server() {
        assert_eq!(stream(&[]).unwrap()["allow_msg_ttl"], true);
        for copies in ["mirror", "sources"] {
            assert_eq!(stream(&[(copies, "a")]).unwrap().get("allow_msg_ttl"), None);
            assert!(stream(&[(copies, "a"), ("allow_msg_ttl", "on")]).is_err());
        }
    }
}
