//! Bincode: the one module that knows the crate.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::typed::Codec;

/// Bincode: compact and fast, for values that only programs with the same types read. Needs the crate's feature `bincode`.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use store_core::typed::{Bincode, Codec};
///
/// #[derive(Serialize, Deserialize)]
/// struct Point { x: i32, y: i32, name: String }
///
/// let bytes = Bincode.encode(&Point { x: 3, y: -300, name: "a".into() })?;
/// assert_eq!(bytes, [6, 251, 0x57, 0x02, 1, b'a']);
/// assert_eq!(Bincode.decode::<Point>(&bytes)?.y, -300);
/// # Ok::<(), store_core::Error>(())
/// ```
///
/// # The bytes
///
/// Those of bincode 2's standard configuration, which are frozen; the vectors are in this module's tests:
///
/// | type | bytes |
/// |---|---|
/// | `u8`, `i8`, `bool` | one byte |
/// | `u16` to `u128`, lengths, enum variants | below 251 one byte; else `251`, `252`, `253` or `254` and 2, 4, 8 or 16 bytes, little end first |
/// | `i16` to `i128` | zigzag (0, -1, 1, -2 become 0, 1, 2, 3), then as unsigned |
/// | `f32`, `f64` | 4 or 8 bytes, little end first |
/// | `char` | its UTF-8 |
/// | `String`, `Vec`, maps | length, then the elements; a string's are its UTF-8 |
/// | tuples, arrays, structs | the fields in order, without names |
/// | `Option` | `0`, or `1` and the value |
/// | enums | the variant's index, then its fields |
///
/// Nothing in them names a field or a version: a field that is added, removed or moved makes old values `Corrupt`, or read wrong.
/// So let the value be an enum from the start, whose variant is the version, and only ever append variants:
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use store_core::typed::{Bincode, Codec};
/// #[derive(Serialize, Deserialize)]
/// enum Stored {
///     V1 { name: String },
///     V2 { name: String, age: Option<u8> },
/// }
///
/// impl Stored {
///     fn latest(self) -> (String, Option<u8>) {
///         match self {
///             Self::V1 { name } => (name, None),
///             Self::V2 { name, age } => (name, age),
///         }
///     }
/// }
///
/// let old = Bincode.encode(&Stored::V1 { name: "ada".into() })?;
/// assert_eq!(Bincode.decode::<Stored>(&old)?.latest(), ("ada".to_string(), None));
/// # Ok::<(), store_core::Error>(())
/// ```
///
/// `#[serde(flatten)]`, `untagged`, `skip_serializing_if` and `serde_json::Value` need a format that describes itself: they do not
/// decode here.
///
/// # Bad bytes
///
/// A value has at most [`MAX_LEN`](Self::MAX_LEN) bytes, both ways. A length that is not there, bytes left over and anything else are
/// [`Corrupt`](ErrorKind::Corrupt), and no length that bytes claim makes the decoder take more than 16 times `MAX_LEN`.
///
/// Two kinds of type are not for bytes that others can write, because serde gives no means to stop them: recursive ones (as deep as
/// the bytes say) and lists of elements without bytes, such as `Vec<()>` (as long as the bytes say). [`Json`](crate::typed::Json)
/// has neither problem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bincode;

/// What bincode charges for a number is its full width, up to 16 bytes for one; so this lets through all that `encode` makes.
const CLAIMS: usize = 16 * Bincode::MAX_LEN;

impl Bincode {
    /// The most bytes of a value.
    pub const MAX_LEN: usize = 4 << 20;
}

impl Codec for Bincode {
    fn encode<V: Serialize + ?Sized>(&self, value: &V) -> Result<Vec<u8>> {
        // The error's own text can quote the value.
        let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard())
            .map_err(|_| Error::invalid("the value cannot be written as bincode"))?;
        if bytes.len() > Self::MAX_LEN {
            return Err(Error::too_large(format!(
                "a value has at most {} bytes as bincode, this one has {}",
                Self::MAX_LEN,
                bytes.len()
            )));
        }
        Ok(bytes)
    }

    fn decode<V: DeserializeOwned>(&self, bytes: &[u8]) -> Result<V> {
        let corrupt = |problem| Err(Error::new(ErrorKind::Corrupt, problem));
        if bytes.len() > Self::MAX_LEN {
            return corrupt("the value is longer than bincode values are");
        }
        let config = bincode::config::standard().with_limit::<CLAIMS>();
        match bincode::serde::decode_from_slice(bytes, config) {
            Ok((value, used)) if used == bytes.len() => Ok(value),
            Ok(_) => corrupt("the value is bincode with bytes left over"),
            Err(bincode::error::DecodeError::UnexpectedEnd { .. }) => {
                corrupt("the value is bincode that ends too soon")
            }
            Err(bincode::error::DecodeError::LimitExceeded) => {
                corrupt("the value is bincode with a length that cannot be")
            }
            Err(_) => corrupt("the value is bincode of another type"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Empty,
        Circle(f32),
        Named { name: String, tags: Option<Vec<u64>> },
    }

    fn vector<V: Serialize + DeserializeOwned + PartialEq + Debug>(value: &V, bytes: &[u8]) {
        assert_eq!(Bincode.encode(value).unwrap(), bytes, "{value:?}");
        assert_eq!(&Bincode.decode::<V>(bytes).unwrap(), value);
    }

    /// The format, for good, whatever crate writes it.
    #[test]
    fn vectors() {
        vector(&true, &[1]);
        vector(&200u8, &[200]);
        vector(&-1i8, &[255]);
        vector(&250u16, &[250]);
        vector(&251u16, &[251, 251, 0]);
        vector(&70_000u32, &[252, 0x70, 0x11, 0x01, 0]);
        vector(&70_000u64, &[252, 0x70, 0x11, 0x01, 0]);
        vector(&u64::MAX, &[[253].as_slice(), &[255; 8]].concat());
        vector(&u128::MAX, &[[254].as_slice(), &[255; 16]].concat());
        vector(&[0i32, -1, 1, -2], &[0, 1, 2, 3]);
        vector(&-300i64, &[251, 0x57, 0x02]);
        vector(&1.0f32, &[0, 0, 0x80, 0x3f]);
        vector(&-2.5f64, &[0, 0, 0, 0, 0, 0, 0x04, 0xc0]);
        vector(&'é', "é".as_bytes());
        vector(&"né".to_owned(), b"\x03n\xc3\xa9");
        vector(&(None::<u8>, Some(7u8)), &[0, 1, 7]);
        vector(&vec![1u16, 300], &[2, 1, 251, 0x2c, 0x01]);
        vector(&BTreeMap::from([(1u8, "a".to_owned())]), &[1, 1, 1, b'a']);
        vector(&Shape::Empty, &[0]);
        vector(&Shape::Circle(1.0), &[1, 0, 0, 0x80, 0x3f]);
        let named = Shape::Named { name: "x".into(), tags: Some(vec![5]) };
        vector(&named, &[2, 1, b'x', 1, 1, 5]);
        vector(&(), &[]);
    }

    #[test]
    fn hostile_lengths_and_leftovers_are_errors() {
        let huge = [[253].as_slice(), &(1u64 << 40).to_le_bytes()].concat();
        let large = [252, 0, 0, 0, 2];
        for bytes in [&huge[..], &large, &[5, 1], &[255], &[], &[1, b'a', 0], &[1, 0xff]] {
            let error = Bincode.decode::<String>(bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{bytes:?}");
        }
        for bytes in [&huge[..], &large] {
            assert!(Bincode.decode::<Vec<u8>>(bytes).is_err());
            assert!(Bincode.decode::<Vec<u64>>(bytes).is_err());
            assert!(Bincode.decode::<BTreeMap<u64, u64>>(bytes).is_err());
        }
        assert!(Bincode.decode::<Shape>(&[3]).is_err());
        assert!(Bincode.decode::<serde_json::Value>(&[1]).is_err());
    }

    #[test]
    fn the_bound_holds_both_ways_and_meets() {
        // One byte each that counts as sixteen: the worst case of the decoder's accounting.
        let most = vec![1u128; Bincode::MAX_LEN - 5];
        let bytes = Bincode.encode(&most).unwrap();
        assert_eq!(bytes.len(), Bincode::MAX_LEN);
        assert_eq!(Bincode.decode::<Vec<u128>>(&bytes).unwrap().len(), most.len());

        let over = vec![1u8; Bincode::MAX_LEN];
        assert_eq!(Bincode.encode(&over).unwrap_err().kind(), ErrorKind::TooLarge);
        let bytes = vec![0; Bincode::MAX_LEN + 1];
        assert_eq!(Bincode.decode::<u8>(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    proptest! {
        #[test]
        fn values_come_back(
            value in any::<(bool, u8, i16, u32, i64, u128, char, String, Vec<Option<i32>>)>(),
        ) {
            let bytes = Bincode.encode(&value).unwrap();
            prop_assert_eq!(Bincode.decode::<(bool, u8, i16, u32, i64, u128, char, String, Vec<Option<i32>>)>(&bytes).unwrap(), value);
        }
    }
}
