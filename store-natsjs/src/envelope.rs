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
    let float = match (number.is_f64(), number.as_f64()) {
        (true, Some(float)) => float,
        _ => {
            let _ = write!(out, "{number}");
            return;
        }
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
