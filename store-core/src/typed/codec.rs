//! Codecs: how values become bytes.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

/// How the values of a table become bytes. Cheap to clone: each handle has its own.
///
/// Its errors must not show what is in a value; most decoders' messages do.
pub trait Codec: Clone + fmt::Debug + Send + Sync + 'static {
    /// The bytes of a value.
    ///
    /// # Errors
    /// `InvalidArgument` for a value that this codec cannot write, `TooLarge` for one that it will not.
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Vec<u8>>;

    /// The value of these bytes, all of them.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are no such value. Never panics, and takes no more memory than a fixed multiple of the bytes.
    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V>;
}

/// Compact JSON: readable with every other client, and forgiving: fields can come and go, with `#[serde(default)]`.
///
/// ```
/// use store_core::typed::{Codec, Json};
///
/// assert_eq!(Json.encode(&(1, "a"))?, br#"[1,"a"]"#);
/// assert!(Json.decode::<u8>(b"1 2").is_err(), "all of the bytes");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Codec for Json {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Vec<u8>> {
        // The error's own text can quote the value.
        serde_json::to_vec(value).map_err(|_| Error::invalid("the value cannot be written as JSON"))
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V> {
        serde_json::from_slice(bytes).map_err(|error| {
            let problem = match error.classify() {
                serde_json::error::Category::Data => "is JSON of another type",
                serde_json::error::Category::Eof => "is JSON that ends too soon",
                _ => "is not JSON",
            };
            let (line, column) = (error.line(), error.column());
            Error::new(
                ErrorKind::Corrupt,
                format!("the value {problem}, at line {line} column {column}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_where_and_never_what() {
        for bytes in [
            &b"{\"pin\":\"hidden\"}"[..],
            b"[\"hidden\"]",
            b"\"hidden",
            b"hidden",
            b"\xffhidden",
            &b"[".repeat(100_000),
        ] {
            let error = Json.decode::<Vec<u32>>(bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains("at line 1 column"), "{error}");
            assert!(!format!("{error:?}").contains("hidden"), "{error:?}");
        }
        let map = std::collections::BTreeMap::from([((1, 2), "hidden")]);
        let error = Json.encode(&map).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(!format!("{error:?}").contains("hidden"));
    }
}
