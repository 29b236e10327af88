//! Fuzz targets: everything that turns bytes or text from outside into something of ours.
//!
//! Each takes any bytes, says whether they were accepted, and panics when a promise is broken: that no input panics, that what is
//! accepted is written back as it was, that a refusal has the right kind and shows nothing secret. `tests/fuzz_decoders.rs` runs them
//! on stable with random and mutated input, `fuzz/` under libFuzzer:
//!
//! ```text
//! cargo +nightly fuzz run cursor
//! ```
//!
//! A driver adds its own decoders (key mapping, envelope, replication messages) as functions here, to [`TARGETS`], and as a file of
//! `fuzz/fuzz_targets`.

use std::fmt::Debug;
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store_core::config::{Config, StoreUrl, duration, size};
use store_core::typed::{Bincode, Codec, Json, TableKey};
use store_core::{
    Cursor, DatabaseConfig, Error, ErrorKind, Key, MAX_KEY_LEN, MAX_METADATA_LEN, MAX_TABLE_LEN,
    Metadata, Name, Namespace, Outcome, Revision, Timestamp,
};
use store_natsjs::fuzz as nats;
use store_redis::fuzz as redis;

/// A fuzz target, with input that it accepts to begin from.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, here and in `fuzz/`.
    pub name: &'static str,
    /// Runs it; whether the input was accepted.
    pub run: fn(&[u8]) -> bool,
    /// Input that is accepted.
    pub seeds: &'static [&'static [u8]],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "cursor", run: cursor, seeds: &[b"AYXfBCYqStwOYWRhFYQ", b"AYXfBCYqStwOydg"] },
    Target { name: "revision", run: revision, seeds: &[b"7-2a", b"0-0", b"ffffffffffffffff-1"] },
    Target {
        name: "metadata",
        run: metadata,
        seeds: &[br#"{"a":9007199254740993,"b":[1.5,"x",null]}"#, b"{}", b"null"],
    },
    Target { name: "names", run: names, seeds: &[b"users", b"A-b_9"] },
    Target {
        name: "typed_key",
        run: typed_key,
        seeds: &[
            b"0000000007.ada",
            b"-9999999957",
            b"a/2Db.c-d.e",
            b"2026-11-20T12:00:00.123Z",
            b"2026-11-20T12:00:00.123000400Z",
            b"/2D998.true.x",
        ],
    },
    Target {
        name: "typed_value",
        run: typed_value,
        seeds: &[
            b"\x03\xfb\x2c\x01\x02hi\x01\x02\x01\x05",
            br#"{"Many":{"number":300,"text":"hi","maybe":-2,"list":[1,2]}}"#,
            b"[[1,\"a\"],[2,\"b\"]]",
        ],
    },
    Target {
        name: "url",
        run: url,
        seeds: &[
            b"redis://app:s%40crt@a:6379,[::1]/users?layout=plain",
            b"memory://",
            b"nats://h1:4222,h2:4222/db?timeout=2s&retries=3",
        ],
    },
    Target { name: "url_secret", run: url_secret, seeds: &[b"", b"%40%2F", b":x"] },
    Target {
        name: "config",
        run: config,
        seeds: &[
            br#"{"url":"memory:///app","timeout":"2s","retry":{"attempts":3}}"#,
            br#"{"default_ttl":"1h","history":5}"#,
            b"1h 30m",
            b"64KiB",
        ],
    },
    Target {
        name: "nats_key",
        run: nats_key,
        seeds: &[b"users.ada.email", b"a=2Eb.x=20y", b"=.k", b"t.=.a.=.b"],
    },
    Target {
        name: "nats_envelope",
        run: nats_envelope,
        seeds: &[
            br#"{"key":"k","data":"aGk=","metadata":{"a":1e21,"b":[null,"<"]}}"#,
            br#"{"key":"","data":null,"metadata":null}"#,
            br#"{"KEY":"a","data":[1,2],"other":{}}"#,
        ],
    },
    Target {
        name: "redis_entry",
        run: redis_entry,
        seeds: &[b"7 0 ", b"18446744073709551615 1795187821836 {\"a\":1}"],
    },
    Target {
        name: "redis_change",
        run: redis_change,
        seeds: &[
            b"7-0\np\nk",
            b"7-0\np\nk\nm\n7 0 \nv\nvalue",
            b"7-0\nd\nk",
            b"7-0\nx\nk",
            b"7-0\ne\nk",
            b"9-0\nj\n7",
            b"0-1\nw\n",
        ],
    },
    Target {
        name: "redis_database",
        run: redis_database,
        seeds: &[b"7 1795187821836 {}", br#"1795187821836000 0 {"default_ttl":"1h"}"#],
    },
    Target {
        name: "redis_place",
        run: redis_place,
        seeds: &[b"\0\0\0\0\0\0\0\x07\0\x01a", b"\0\0\0\0\0\0\0\x07\0\0seen"],
    },
    Target {
        name: "redis_template",
        run: redis_template,
        seeds: &[b"{table}{key}", b"{bucket}:{key}", b"app/{database}:{table}:{key}", b"{key}"],
    },
];

/// The target of this name.
///
/// # Panics
/// When there is none, or when the target finds something.
pub fn run(name: &str, data: &[u8]) -> bool {
    let target = TARGETS.iter().find(|target| target.name == name);
    target.map_or_else(|| panic!("no fuzz target {name}"), |target| (target.run)(data))
}

/// A refusal of input has this kind, changed nothing, and is one line.
fn refused(error: &Error, kinds: &[ErrorKind]) -> bool {
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    false
}

const INVALID: &[ErrorKind] = &[ErrorKind::InvalidArgument];
const INVALID_OR_LARGE: &[ErrorKind] = &[ErrorKind::InvalidArgument, ErrorKind::TooLarge];

fn cursor(data: &[u8]) -> bool {
    let Ok(database) = Name::new("app") else { unreachable!("a good name") };
    let ns = Namespace::root(database);

    let made = Cursor::new(&ns, 1, data);
    if data.len() <= MAX_KEY_LEN {
        let back: Cursor = made.as_str().parse().expect("what was made");
        assert_eq!(back.open(&ns, 1).expect("what was made"), data);
        assert!(back.open(&ns, 2).is_err(), "of another kind");
    }

    let Ok(text) = std::str::from_utf8(data) else { return false };
    match text.parse::<Cursor>() {
        Ok(cursor) => {
            let _ = cursor.open_key(&ns, 1);
            match cursor.open(&ns, 1) {
                Ok(position) => {
                    assert_eq!(Cursor::new(&ns, 1, &position).as_str(), text);
                    true
                }
                Err(error) => refused(&error, INVALID),
            }
        }
        Err(error) => refused(&error, INVALID),
    }
}

fn revision(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    match text.parse::<Revision>() {
        Ok(revision) => {
            assert_eq!(revision.to_string().parse::<Revision>().expect("its text"), revision);
            true
        }
        Err(error) => refused(&error, INVALID),
    }
}

fn metadata(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    match Metadata::parse(text) {
        Ok(metadata) => {
            let json = metadata.to_json();
            assert!(json.len() <= MAX_METADATA_LEN);
            let again = Metadata::parse(&json).expect("its text");
            assert_eq!(again.to_json(), json);
            true
        }
        Err(error) => refused(&error, INVALID_OR_LARGE),
    }
}

fn names(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    match Key::new(text) {
        Ok(key) => assert!(key.as_str() == text && !text.is_empty() && text.len() <= MAX_KEY_LEN),
        Err(error) => assert!(!refused(&error, INVALID_OR_LARGE)),
    }
    let Ok(database) = Name::new("app") else { unreachable!("a good name") };
    match Namespace::new(database, text) {
        Ok(ns) => assert!(ns.table() == text && !text.is_empty() && text.len() <= MAX_TABLE_LEN),
        Err(error) => assert!(!refused(&error, INVALID_OR_LARGE)),
    }
    match Name::new(text) {
        Ok(name) => name.as_str() == text && text.is_ascii(),
        Err(error) => refused(&error, INVALID),
    }
}

/// What decodes is written back as just this text; so no two texts are one key.
fn key_of<K: TableKey + Debug>(text: &str) -> bool {
    match K::decode(text) {
        Ok(key) => match key.encode() {
            Ok(again) => {
                assert_eq!(again, text, "{key:?}");
                true
            }
            // As text it is one; as a key it is empty or too long.
            Err(error) => refused(&error, INVALID_OR_LARGE),
        },
        Err(error) => {
            assert_eq!(error.key(), Some(text));
            refused(&error, &[ErrorKind::Corrupt])
        }
    }
}

fn typed_key(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let decoders = [
        key_of::<u8>,
        key_of::<i16>,
        key_of::<u32>,
        key_of::<i32>,
        key_of::<u64>,
        key_of::<i64>,
        key_of::<u128>,
        key_of::<i128>,
        key_of::<bool>,
        key_of::<char>,
        key_of::<Timestamp>,
        key_of::<SystemTime>,
        key_of::<(u32, String)>,
        key_of::<(String, String)>,
        key_of::<(String, i32)>,
        key_of::<(i8, bool, char)>,
        key_of::<(Timestamp, u8, String)>,
        key_of::<(String, String, String, String, String, String)>,
    ];
    key_of::<String>(text);
    // All of them, whichever accept it.
    decoders.iter().filter(|decode| decode(text)).count() > 0
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Empty,
    Float(f64),
    Pair(u8, char),
    Many { number: u32, text: String, maybe: Option<i64>, list: Vec<u64> },
}

/// What decodes is the same value after it was written and read again.
fn value_of<V: Serialize + DeserializeOwned + Debug>(codec: &impl Codec, data: &[u8]) -> bool {
    match codec.decode::<V>(data) {
        Ok(value) => {
            let bytes = codec.encode(&value).expect("a value that was read");
            let again: V = codec.decode(&bytes).expect("what was written");
            // By their text: a NaN is not itself.
            assert_eq!(format!("{again:?}"), format!("{value:?}"));
            true
        }
        Err(error) => refused(&error, &[ErrorKind::Corrupt]),
    }
}

fn typed_value(data: &[u8]) -> bool {
    fn each(codec: &impl Codec, data: &[u8]) -> bool {
        let shape = value_of::<Shape>(codec, data);
        let pairs = value_of::<Vec<(u16, String)>>(codec, data);
        let nested = value_of::<Vec<Vec<Option<String>>>>(codec, data);
        let map = value_of::<std::collections::BTreeMap<String, u128>>(codec, data);
        shape || pairs || nested || map || value_of::<Box<[u8]>>(codec, data)
    }
    let bincode = each(&Bincode, data);
    // Floats written by hand can be beyond what JSON writes; the rest of JSON goes both ways.
    let json = value_of::<serde_json::Value>(&Json, data);
    each(&Json, data) || json || bincode
}

fn url(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    match text.parse::<StoreUrl>() {
        Ok(url) => {
            let shown = url.to_string();
            assert!(shown.starts_with(url.scheme()), "{shown}");
            true
        }
        Err(error) => refused(&error, &[ErrorKind::Config]),
    }
}

/// Whatever stands around a password and in options, they are not shown.
fn url_secret(data: &[u8]) -> bool {
    const SECRET: &str = "hunter2hunter2";
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let parsed = format!("redis://u:{SECRET}{text}@host/p?option={SECRET}").parse::<StoreUrl>();
    let shown = format!("{parsed:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    match parsed {
        Ok(url) => {
            assert!(!url.to_string().contains(SECRET), "{url}");
            true
        }
        Err(error) => refused(&error, &[ErrorKind::Config]),
    }
}

/// What is a key is written back as just these tokens; so no two records meet.
fn nats_key(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    if let Some(bytes) = nats::decode_base32(text) {
        assert_eq!(nats::encode_base32(&bytes), text);
    }
    if let Ok(key) = Key::new(text) {
        let tokens = nats::encode_key(text, key);
        assert_eq!(nats::decode_key(&tokens), Some((text.to_owned(), text.to_owned())));
        assert!(tokens.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte)));
    }
    let Some((table, key)) = nats::decode_key(text) else { return false };
    Key::new(&key).is_ok_and(|key| nats::encode_key(&table, key) == text)
}

/// What Go would read is the same after it was written as Go writes it.
fn nats_envelope(data: &[u8]) -> bool {
    let Some(written) = nats::envelope_again(data) else { return false };
    assert_eq!(nats::envelope_again(&written), Some(written.clone()));
    true
}

fn redis_entry(data: &[u8]) -> bool {
    let Ok(key) = Key::new("k") else { unreachable!("a good key") };
    match redis::record(key, b"v", data) {
        Ok(record) => {
            assert!(record.value() == b"v" && record.revision().is_some());
            true
        }
        Err(error) => refused(&error, &[ErrorKind::Corrupt]),
    }
}

fn redis_change(data: &[u8]) -> bool {
    let mut lines = data.split(|&byte| byte == b'\n');
    let id = lines.next().unwrap_or_default();
    match redis::change(id, &lines.collect::<Vec<_>>()) {
        Ok(()) => true,
        // A record's key that is none.
        Err(error) => {
            refused(&error, &[ErrorKind::Corrupt, ErrorKind::InvalidArgument, ErrorKind::TooLarge])
        }
    }
}

fn redis_database(data: &[u8]) -> bool {
    match redis::database(data) {
        Ok(_) => true,
        Err(error) => refused(&error, &[ErrorKind::Corrupt]),
    }
}

fn redis_place(data: &[u8]) -> bool {
    match redis::place(data) {
        // As it was, save for too many marks, which are left out.
        Ok(back) => {
            assert!(back == data || data.starts_with(&back), "{back:?}");
            true
        }
        Err(error) => refused(&error, INVALID),
    }
}

fn redis_template(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    match text.parse::<store_redis::Template>() {
        Ok(template) => {
            assert_eq!(template.to_string().parse().ok(), Some(template));
            true
        }
        Err(error) => refused(&error, &[ErrorKind::Config]),
    }
}

fn config(data: &[u8]) -> bool {
    let config = serde_json::from_slice::<Config>(data).is_ok();
    let database = serde_json::from_slice::<DatabaseConfig>(data);
    if let Ok(config) = &database {
        let text = serde_json::to_string(config).expect("a configuration that was read");
        let again: DatabaseConfig = serde_json::from_str(&text).expect("what was written");
        assert_eq!(&again, config);
    }
    let Ok(text) = std::str::from_utf8(data) else { return config || database.is_ok() };
    let duration = duration::parse(text).map_err(|e| refused(&e, &[ErrorKind::Config]));
    let size = size::parse(text).map_err(|e| refused(&e, &[ErrorKind::Config]));
    config || database.is_ok() || duration.is_ok() || size.is_ok()
}
