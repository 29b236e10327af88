//! The JSON envelope in which Go-Micro's nats-js-kv store keeps a record, byte for byte as Go writes it.
//!
//! `{"key":"k","data":"<base64>","metadata":{...}}`, fields in this order, no white space, Go's escapes and Go's numbers.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

/// What an envelope holds.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Envelope {
    /// The record's key without its table.
    pub(crate) key: String,
    /// `None` is Go's nil slice.
    pub(crate) data: Option<Vec<u8>>,
    /// `None` is Go's nil map.
    pub(crate) metadata: Option<Map<String, Json>>,
}

/// The bytes that Go's `json.Marshal` gives.
pub(crate) fn encode<'a>(
    key: &str,
    data: Option<&[u8]>,
    metadata: Option<impl Iterator<Item = (&'a str, &'a Json)>>,
) -> Vec<u8> {
    let mut out = String::with_capacity(48 + key.len() + data.map_or(0, <[u8]>::len) * 4 / 3);
    out.push_str("{\"key\":");
    push_string(&mut out, key);
    out.push_str(",\"data\":");
    match data {
        None => out.push_str("null"),
        Some(bytes) => {
            out.push('"');
            STANDARD.encode_string(bytes, &mut out);
            out.push('"');
        }
    }
    out.push_str(",\"metadata\":");
    match metadata {
        None => out.push_str("null"),
        Some(entries) => push_object(&mut out, entries),
    }
    out.push('}');
    out.into_bytes()
}

fn push_object<'a>(out: &mut String, entries: impl Iterator<Item = (&'a str, &'a Json)>) {
    let mut entries: Vec<_> = entries.collect();
    entries.sort_unstable_by_key(|(name, _)| *name);
    out.push('{');
    for (i, (name, value)) in entries.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        push_value(out, value);
    }
    out.push('}');
}

fn push_value(out: &mut String, value: &Json) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(true) => out.push_str("true"),
        Json::Bool(false) => out.push_str("false"),
        Json::Number(number) => push_number(out, number),
        Json::String(text) => push_string(out, text),
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                push_value(out, item);
            }
            out.push(']');
        }
        Json::Object(map) => push_object(out, map.iter().map(|(name, value)| (&**name, value))),
    }
}

/// Go writes the shortest digits, with an exponent only below 1e-6 and from 1e21.
fn push_number(out: &mut String, number: &Number) {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        let _ = write!(out, "{number}");
        return;
    };
    let size = float.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{float:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                let _ = write!(out, "{digits}e+{exponent}");
            }
            _ => out.push_str(&text),
        }
    } else {
        let _ = write!(out, "{float}");
    }
}

fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Reads what Go would read: names in any case, the last of duplicates, unknown fields ignored.
///
/// # Errors
/// What is wrong, without any value.
pub(crate) fn decode(bytes: &[u8]) -> Result<Envelope, &'static str> {
    serde_json::from_slice(bytes).map_err(|_| "the value is no envelope of Go-Micro")
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Envelope;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name.eq_ignore_ascii_case("key") {
                        envelope.key = map.next_value::<Option<String>>()?.unwrap_or_default();
                    } else if name.eq_ignore_ascii_case("data") {
                        envelope.data = map.next_value::<Option<Data>>()?.map(|data| data.0);
                    } else if name.eq_ignore_ascii_case("metadata") {
                        envelope.metadata = map.next_value()?;
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// Bytes as Go reads them: base64 text, in which it ignores line breaks, or an array of numbers.
struct Data(Vec<u8>);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Data;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64 text or an array of bytes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Data, E> {
                let plain: String;
                let text = if text.contains(['\r', '\n']) {
                    plain = text.replace(['\r', '\n'], "");
                    &plain
                } else {
                    text
                };
                STANDARD.decode(text).map(Data).map_err(|_| E::custom("not base64"))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Data, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Data(bytes))
            }
        }
        deserializer.deserialize_any(Bytes)
    }
}

/// Against bytes captured from Go-Micro's own driver.
#[cfg(test)]
mod vectors {
    use store_core::Key;

    use super::*;
    use crate::layout::Layout;

    fn vectors() -> Json {
        serde_json::from_str(include_str!("../tests/go-micro-vectors.json")).unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits = |i| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digits).collect()
    }

    fn text<'a>(vector: &'a Json, field: &str) -> Option<&'a str> {
        vector.get(field).and_then(Json::as_str)
    }

    /// Go-Micro's own rule: what a call does not say, the store does.
    fn table(vector: &Json) -> &str {
        match text(vector, "call_table") {
            None | Some("") => text(vector, "store_table").unwrap_or_default(),
            Some(table) => table,
        }
    }

    #[test]
    fn every_write_is_encoded_and_decoded_byte_for_byte() {
        let vectors = vectors();
        let (mut written, mut deleted, mut refused) = (0, 0, 0);
        for vector in vectors["nats_js_kv"].as_array().unwrap() {
            let id = text(vector, "id").unwrap();
            let layout = match vector["encode_keys"].as_bool() {
                Some(true) => Layout::GoMicroBase32,
                _ => Layout::GoMicro,
            };
            let tokens = |key: &str| layout.tokens(table(vector), Key::new(key)?);
            let Some(nats_key) = text(vector, "nats_key") else {
                // Go refuses it: so do we, by the key or by the database's name.
                let database = text(vector, "call_database").unwrap_or_default();
                let bad_name = !database.is_empty() && store_core::Name::new(database).is_err();
                // Without `key` it is no UTF-8, and cannot even be asked for.
                let bad_key = text(vector, "key").is_none_or(|key| tokens(key).is_err());
                assert!(bad_name || bad_key, "{id}");
                refused += 1;
                continue;
            };
            let Some(key) = text(vector, "key") else {
                // A key that is no UTF-8 cannot be asked for, and is not listed as another one.
                assert_eq!(layout.key_of(table(vector), nats_key), None, "{id}");
                continue;
            };
            assert_eq!(tokens(key).unwrap(), nats_key, "{id}");
            assert_eq!(layout.key_of(table(vector), nats_key).as_deref(), Some(key), "{id}");
            let Some(payload) = text(vector, "payload_hex").map(hex) else {
                assert_eq!(vector["headers"]["KV-Operation"][0], "DEL", "{id}");
                deleted += 1;
                continue;
            };
            let value = text(vector, "value_hex").map(hex);
            let metadata = vector["metadata"].as_object();
            let entries = metadata.map(|map| map.iter().map(|(name, value)| (&**name, value)));
            let encoded = encode(key, value.as_deref(), entries);
            assert_eq!(
                String::from_utf8_lossy(&encoded),
                String::from_utf8_lossy(&payload),
                "{id}"
            );
            let back = decode(&payload).unwrap();
            assert_eq!((back.key.as_str(), back.data), (key, value), "{id}");
            assert_eq!(back.metadata.as_ref(), metadata, "{id}");
            written += 1;
        }
        // The file is as it was captured.
        assert!(written >= 30 && deleted == 4 && refused >= 4, "{written} {deleted} {refused}");
    }

    #[test]
    fn foreign_envelopes_are_read_as_go_reads_them() {
        for vector in vectors()["nats_js_kv_decode"].as_array().unwrap() {
            let (id, want) = (text(vector, "id").unwrap(), &vector["go_result"]);
            let got = decode(text(vector, "payload").unwrap().as_bytes());
            if text(want, "error").is_some() {
                assert!(got.is_err(), "{id}: {got:?}");
                continue;
            }
            let got = got.unwrap();
            assert_eq!(got.key, text(want, "key").unwrap(), "{id}");
            let value = text(want, "value").unwrap().as_bytes();
            assert_eq!(got.data.unwrap_or_default(), value, "{id}");
        }
    }
}
