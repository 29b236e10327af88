//! Typed keys: text that sorts like the values it stands for.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Result};
use crate::name::Key;
use crate::time::Timestamp;

/// Stands between the components of a key. Every byte of an escaped component is greater, so a component that is the beginning of
/// another sorts before it; and NATS, which splits keys at dots, can filter by leading components on the server.
const SEPARATOR: char = '.';
/// Begins an escape. The only byte between the separator and the first that needs none.
const ESCAPE: char = '/';
/// The first byte that is written as it is in a leading component.
const PLAIN: u8 = b'0';

/// One component of a key: a value with a text that sorts, by bytes, like the values, and that no other value has.
///
/// Integers, `bool`, `char`, `String`, [`Timestamp`] and [`SystemTime`] are; give it to types of your own:
///
/// ```
/// use store_core::typed::{KeyPart, TableKey};
/// use store_core::Result;
///
/// #[derive(Debug, PartialEq)]
/// struct OrderId(u64);
///
/// impl KeyPart for OrderId {
///     fn write(&self, text: &mut String) -> Result<()> {
///         self.0.write(text)
///     }
///     fn parse(text: &str) -> Option<Self> {
///         u64::parse(text).map(Self)
///     }
/// }
///
/// let key = ("ada".to_string(), OrderId(7)).encode()?;
/// assert_eq!(key, "ada.00000000000000000007");
/// assert_eq!(<(String, OrderId)>::decode(&key)?.1, OrderId(7));
/// # Ok::<(), store_core::Error>(())
/// ```
pub trait KeyPart: Sized + Send + Sync + 'static {
    /// Appends the text. What it is made of does not matter: escaping is not its business.
    ///
    /// # Errors
    /// `InvalidArgument` for a value that has no text.
    fn write(&self, text: &mut String) -> Result<()>;

    /// The value whose text this is, and only this: never panics, whatever the text.
    fn parse(text: &str) -> Option<Self>;
}

/// A type of keys: a [`KeyPart`], or a tuple of up to six.
///
/// The keys of a table sort like the values: by the first component, then the second, and so on.
///
/// ```
/// use store_core::typed::TableKey;
///
/// assert_eq!("ada".to_string().encode()?, "ada");
/// assert_eq!((7u32, "ada".to_string()).encode()?, "0000000007.ada");
/// assert_eq!(<(u32, String)>::decode("0000000007.ada")?, (7, "ada".to_string()));
/// assert!(<(u32, String)>::decode("7.ada").is_err());
/// # Ok::<(), store_core::Error>(())
/// ```
pub trait TableKey: KeyOf<Self> + Sized + Send + Sync + 'static {
    /// The key as text.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty text or a value that has none, `TooLarge` over [`MAX_KEY_LEN`](crate::MAX_KEY_LEN).
    fn encode(&self) -> Result<String> {
        encode(self)
    }

    /// The value whose text this is.
    ///
    /// # Errors
    /// `Corrupt`, naming the key, for any other text.
    fn decode(key: &str) -> Result<Self>;
}

/// What can stand for a key of type `K` in a call: `K` itself, and `str` for a `String`, also inside a tuple.
pub trait KeyOf<K> {
    /// Appends the key's text.
    ///
    /// # Errors
    /// As [`KeyPart::write`].
    fn write_key(&self, text: &mut String) -> Result<()>;
}

/// What can stand for the beginning of keys of type `K`: a shorter tuple; for keys that are a `String`, any `str`.
pub trait PrefixOf<K> {
    /// Appends the prefix's text.
    ///
    /// # Errors
    /// As [`KeyPart::write`].
    fn write_prefix(&self, text: &mut String) -> Result<()>;
}

/// The checked text of a key.
pub(super) fn encode<K, Q: KeyOf<K> + ?Sized>(key: &Q) -> Result<String> {
    let mut text = String::new();
    key.write_key(&mut text)?;
    Key::new(&text)?;
    Ok(text)
}

/// The text of a prefix.
pub(super) fn encode_prefix<K, P: PrefixOf<K> + ?Sized>(prefix: &P) -> Result<String> {
    let mut text = String::new();
    prefix.write_prefix(&mut text)?;
    Ok(text)
}

#[cold]
fn undecodable<K>(key: &str) -> Error {
    let message = format!("the key is no {}", std::any::type_name::<K>());
    Error::new(ErrorKind::Corrupt, message).with_key(key)
}

impl<P: KeyPart> KeyOf<P> for P {
    fn write_key(&self, text: &mut String) -> Result<()> {
        self.write(text)
    }
}

impl<P: KeyPart> TableKey for P {
    fn decode(key: &str) -> Result<Self> {
        Self::parse(key).ok_or_else(|| undecodable::<Self>(key))
    }
}

macro_rules! string_keys {
    ($($borrowed:ty),*) => {$(
        impl KeyOf<String> for $borrowed {
            fn write_key(&self, text: &mut String) -> Result<()> {
                text.push_str(self);
                Ok(())
            }
        }
    )*};
}

string_keys!(str, &str, &String);

impl PrefixOf<String> for str {
    fn write_prefix(&self, text: &mut String) -> Result<()> {
        text.push_str(self);
        Ok(())
    }
}

/// Appends a component that others follow.
fn lead<K, Q: KeyOf<K>>(part: &Q, text: &mut String) -> Result<()> {
    let start = text.len();
    part.write_key(text)?;
    if text[start..].bytes().any(|byte| byte < PLAIN) {
        for c in text.split_off(start).chars() {
            match u8::try_from(c) {
                Ok(byte) if byte < PLAIN => {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "{ESCAPE}{byte:02X}");
                }
                _ => text.push(c),
            }
        }
    }
    text.push(SEPARATOR);
    Ok(())
}

/// Takes a component that others follow off the front of a key.
fn take<P: KeyPart>(rest: &mut &str) -> Option<P> {
    let (part, tail) = rest.split_once(SEPARATOR)?;
    *rest = tail;
    P::parse(&unescape(part)?)
}

/// The component that was escaped to this, if it is what escaping makes.
fn unescape(part: &str) -> Option<Cow<'_, str>> {
    if part.bytes().all(|byte| byte >= PLAIN) {
        return Some(Cow::Borrowed(part));
    }
    let mut plain = String::with_capacity(part.len());
    let mut rest = part.chars();
    while let Some(c) = rest.next() {
        if c != ESCAPE {
            if c < char::from(PLAIN) {
                return None;
            }
            plain.push(c);
            continue;
        }
        let byte = hex(rest.next()?)? << 4 | hex(rest.next()?)?;
        if byte >= PLAIN {
            return None;
        }
        plain.push(char::from(byte));
    }
    Some(Cow::Owned(plain))
}

fn hex(digit: char) -> Option<u8> {
    match digit {
        '0'..='9' => Some(digit as u8 - b'0'),
        'A'..='F' => Some(digit as u8 - b'A' + 10),
        _ => None,
    }
}

macro_rules! tuple_key {
    ($($part:ident $query:ident $index:tt),* ; $last:ident $last_query:ident $last_index:tt) => {
        impl<$($part: KeyPart,)* $last: KeyPart, $($query: KeyOf<$part>,)* $last_query: KeyOf<$last>>
            KeyOf<($($part,)* $last,)> for ($($query,)* $last_query,)
        {
            fn write_key(&self, text: &mut String) -> Result<()> {
                $(lead::<$part, _>(&self.$index, text)?;)*
                self.$last_index.write_key(text)
            }
        }

        impl<$($part: KeyPart,)* $last: KeyPart> TableKey for ($($part,)* $last,) {
            fn decode(key: &str) -> Result<Self> {
                #[allow(unused_mut, reason = "a tuple of one has nothing to take off")]
                let parts = |mut rest: &str| {
                    Some(($(take::<$part>(&mut rest)?,)* $last::parse(rest)?,))
                };
                parts(key).ok_or_else(|| undecodable::<Self>(key))
            }
        }
    };
}

tuple_key!(; A QA 0);
tuple_key!(A QA 0; B QB 1);
tuple_key!(A QA 0, B QB 1; C QC 2);
tuple_key!(A QA 0, B QB 1, C QC 2; D QD 3);
tuple_key!(A QA 0, B QB 1, C QC 2, D QD 3; E QE 4);
tuple_key!(A QA 0, B QB 1, C QC 2, D QD 3, E QE 4; F QF 5);

/// A shorter tuple before each longer one: the types that follow are added one by one.
macro_rules! tuple_prefix {
    ($($part:ident $query:ident $index:tt),* ; $($rest:ident)* ;) => {};
    ($($part:ident $query:ident $index:tt),* ; $($rest:ident)* ; $next:ident $($more:ident)*) => {
        impl<$($part: KeyPart, $query: KeyOf<$part>,)* $($rest: KeyPart,)* $next: KeyPart>
            PrefixOf<($($part,)* $($rest,)* $next,)> for ($($query,)*)
        {
            fn write_prefix(&self, text: &mut String) -> Result<()> {
                $(lead::<$part, _>(&self.$index, text)?;)*
                Ok(())
            }
        }

        tuple_prefix!($($part $query $index),* ; $($rest)* $next ; $($more)*);
    };
}

tuple_prefix!(A QA 0 ;; B C D E F);
tuple_prefix!(A QA 0, B QB 1 ;; C D E F);
tuple_prefix!(A QA 0, B QB 1, C QC 2 ;; D E F);
tuple_prefix!(A QA 0, B QB 1, C QC 2, D QD 3 ;; E F);
tuple_prefix!(A QA 0, B QB 1, C QC 2, D QD 3, E QE 4 ;; F);

impl KeyPart for String {
    fn write(&self, text: &mut String) -> Result<()> {
        text.push_str(self);
        Ok(())
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl KeyPart for char {
    fn write(&self, text: &mut String) -> Result<()> {
        text.push(*self);
        Ok(())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        chars.next().filter(|_| chars.next().is_none())
    }
}

impl KeyPart for bool {
    fn write(&self, text: &mut String) -> Result<()> {
        text.push_str(if *self { "true" } else { "false" });
        Ok(())
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Whether this is a decimal of just so many digits.
fn is_decimal(text: &str, width: usize) -> bool {
    text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Each digit subtracted from nine, so that the larger number becomes the smaller text.
fn nines_complement(digits: &str) -> String {
    digits.bytes().map(|digit| char::from(b'9' - (digit - b'0'))).collect()
}

macro_rules! integer_parts {
    ($($unsigned:ident $signed:ident $width:literal $signed_width:literal),*) => {$(
        impl KeyPart for $unsigned {
            fn write(&self, text: &mut String) -> Result<()> {
                // Writing to a string cannot fail.
                let _ = write!(text, "{self:0width$}", width = $width);
                Ok(())
            }

            fn parse(text: &str) -> Option<Self> {
                is_decimal(text, $width).then(|| text.parse().ok()).flatten()
            }
        }

        impl KeyPart for $signed {
            fn write(&self, text: &mut String) -> Result<()> {
                let digits = format!("{:0width$}", self.unsigned_abs(), width = $signed_width);
                if *self < 0 {
                    text.push('-');
                    text.push_str(&nines_complement(&digits));
                } else {
                    text.push_str(&digits);
                }
                Ok(())
            }

            fn parse(text: &str) -> Option<Self> {
                let Some(complement) = text.strip_prefix('-') else {
                    return is_decimal(text, $signed_width).then(|| text.parse().ok()).flatten();
                };
                if !is_decimal(complement, $signed_width) {
                    return None;
                }
                // Parsed with its sign: the least number has no positive counterpart.
                let number: Self = format!("-{}", nines_complement(complement)).parse().ok()?;
                (number != 0).then_some(number)
            }
        }
    )*};
}

integer_parts!(u8 i8 3 3, u16 i16 5 5, u32 i32 10 10, u64 i64 20 19, u128 i128 39 39);

impl KeyPart for Timestamp {
    fn write(&self, text: &mut String) -> Result<()> {
        let time = humantime::format_rfc3339_millis(self.to_system());
        write!(text, "{time}").map_err(|_| no_text())
    }

    fn parse(text: &str) -> Option<Self> {
        canonical(Self::from_system(humantime::parse_rfc3339(text).ok()?)?, text)
    }
}

impl KeyPart for SystemTime {
    fn write(&self, text: &mut String) -> Result<()> {
        // The formatter panics before 1970.
        self.duration_since(Self::UNIX_EPOCH).map_err(|_| no_text())?;
        write!(text, "{}", humantime::format_rfc3339_nanos(*self)).map_err(|_| no_text())
    }

    fn parse(text: &str) -> Option<Self> {
        canonical(humantime::parse_rfc3339(text).ok()?, text)
    }
}

/// The parser also takes other precisions, `+00:00` and leap seconds: only what is written is a key.
fn canonical<T: KeyPart>(time: T, text: &str) -> Option<T> {
    let mut written = String::with_capacity(text.len());
    time.write(&mut written).ok()?;
    (written == text).then_some(time)
}

#[cold]
fn no_text() -> Error {
    Error::invalid("an instant in a key lies between the years 1970 and 9999")
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    fn vector<K: TableKey + PartialEq + Debug>(key: &K, text: &str) {
        assert_eq!(key.encode().unwrap(), text);
        assert_eq!(&K::decode(text).unwrap(), key);
    }

    /// The format, for good: what is stored in somebody's tables is spelt like this.
    #[test]
    fn vectors() {
        vector(&"a/b.c d".to_owned(), "a/b.c d");
        vector(&'é', "é");
        vector(&false, "false");
        vector(&7u8, "007");
        vector(&7u16, "00007");
        vector(&7u32, "0000000007");
        vector(&u64::MAX, "18446744073709551615");
        vector(&7u128, "000000000000000000000000000000000000007");
        vector(&42i32, "0000000042");
        vector(&-1i32, "-9999999998");
        vector(&-42i32, "-9999999957");
        vector(&i8::MIN, "-871");
        vector(&i64::MIN, "-0776627963145224191");
        vector(&i64::MAX, "9223372036854775807");
        let millis = Timestamp::from_millis(1_795_176_000_123).unwrap();
        vector(&millis, "2026-11-20T12:00:00.123Z");
        let nanos = millis.to_system() + Duration::from_nanos(400);
        vector(&nanos, "2026-11-20T12:00:00.123000400Z");
        vector(&(7u32, "ada".to_owned()), "0000000007.ada");
        vector(&("a-b".to_owned(), "c-d.e".to_owned()), "a/2Db.c-d.e");
        vector(&(String::new(), String::new()), ".");
        vector(&(-1i8, true, 'x'), "/2D998.true.x");
        vector(&("a.b/c".to_owned(), 1u8, "\0 é".to_owned(), 2u8), "a/2Eb/2Fc.001./00/20é.002");
        vector(&(1u8, 2u8, 3u8, 4u8, 5u8), "001.002.003.004.005");
        vector(&(1u8, 2u8, 3u8, 4u8, 5u8, 6u8), "001.002.003.004.005.006");
        vector(&(millis, 1u8), "2026/2D11/2D20T12:00:00/2E123Z.001");
    }

    #[test]
    fn only_what_is_written_is_read() {
        fn none<K: TableKey + Debug>(texts: &[&str]) {
            for text in texts {
                let error = K::decode(text).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{text:?}");
                assert_eq!(error.key(), Some(*text));
            }
        }
        none::<u8>(&["", "7", "0007", "256", "+07", " 07", "٠٠٧"]);
        none::<i8>(&["128", "-870", "-999", "-", "-07", "--71", "+07"]);
        none::<i128>(&["-829858816539530762312695615884105727", "-"]);
        none::<bool>(&["", "True", "1"]);
        none::<char>(&["", "ab"]);
        none::<(u8, String)>(&["", "007", "7.a", "/30/30/37.a"]);
        none::<(String, u8)>(&["a b.007", "a/2.007", "a/2d.007", "a/30.007", "a/.007", "a.007.1"]);
        none::<Timestamp>(&[
            "1970-01-01T00:00:00.000Z",
            "1970-01-01T00:00:00ZaaaZ",
            "2016-12-31T23:59:60.000Z",
            "2026-11-20T12:00:00+00:00",
            "2026-11-20T12:00:00.1230Z",
        ]);
        none::<SystemTime>(&["2026-11-20T12:00:00.123Z", "é2026-11-20T12:00:00.123"]);
    }

    #[test]
    fn what_has_no_text_is_refused() {
        for time in
            [UNIX_EPOCH - Duration::from_nanos(1), UNIX_EPOCH + Duration::from_hours(70_389_528)]
        {
            assert_eq!(time.encode().unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        let empty = String::new().encode().unwrap_err();
        assert_eq!(empty.kind(), ErrorKind::InvalidArgument);
        let long = (1u8, "x".repeat(crate::MAX_KEY_LEN)).encode().unwrap_err();
        assert_eq!(long.kind(), ErrorKind::TooLarge);
    }

    #[test]
    fn a_prefix_is_the_beginning_of_just_its_keys() {
        let prefix = encode_prefix::<(String, u8), _>(&("a",)).unwrap();
        assert_eq!(prefix, "a.");
        for (first, under) in [("a", true), ("a.", false), ("ab", false), ("", false)] {
            let key = (first.to_owned(), 1u8).encode().unwrap();
            assert_eq!(key.starts_with(&prefix), under, "{first:?}");
        }
        assert_eq!(encode_prefix::<(u8, u8, u8), _>(&(1u8, 2u8)).unwrap(), "001.002.");
    }

    fn text() -> impl Strategy<Value = String> {
        // Mostly from around the separator and the escape, where order could break.
        prop_oneof!["[\0 -1/.A%é]{0,6}", any::<String>()]
    }

    fn same<K: TableKey + Ord + Debug>(one: &K, two: &K) -> Result<(), TestCaseError> {
        // Without the check of length and emptiness: those are rules of keys, not of their order.
        let write = |key: &K| {
            let mut text = String::new();
            key.write_key(&mut text).map(|()| text)
        };
        let (a, b) = (write(one).unwrap(), write(two).unwrap());
        prop_assert_eq!(a.cmp(&b), one.cmp(two), "{:?} {:?}", a, b);
        prop_assert_eq!(&K::decode(&a).unwrap(), one);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn keys_sort_like_their_values(
            a in any::<(u8, i8, u16, i16, u32, i32, u64, i64, u128, i128)>(),
            b in any::<(u8, i8, u16, i16, u32, i32, u64, i64, u128, i128)>(),
            chars in any::<(char, char)>(),
            bools in any::<(bool, bool)>(),
            millis in (1u64..253_402_300_799_999, 1u64..253_402_300_799_999),
        ) {
            same(&a.0, &b.0)?;
            same(&a.1, &b.1)?;
            same(&a.2, &b.2)?;
            same(&a.3, &b.3)?;
            same(&a.4, &b.4)?;
            same(&a.5, &b.5)?;
            same(&a.6, &b.6)?;
            same(&a.7, &b.7)?;
            same(&a.8, &b.8)?;
            same(&a.9, &b.9)?;
            same(&chars.0, &chars.1)?;
            same(&bools.0, &bools.1)?;
            let at = |ms| Timestamp::from_millis(ms).unwrap();
            same(&at(millis.0), &at(millis.1))?;
            same(&at(millis.0).to_system(), &at(millis.1).to_system())?;
        }

        #[test]
        fn tuples_sort_like_their_values(
            a in (text(), text(), -3i8..3, text(), any::<char>(), any::<bool>()),
            b in (text(), text(), -3i8..3, text(), any::<char>(), any::<bool>()),
        ) {
            same(&(a.0.clone(),), &(b.0.clone(),))?;
            same(&(a.0.clone(), a.1.clone()), &(b.0.clone(), b.1.clone()))?;
            same(&(a.2, a.1.clone(), a.4), &(b.2, b.1.clone(), b.4))?;
            same(&a, &b)?;
        }

        #[test]
        fn what_decodes_is_what_encodes(key in "[0-9./a-z\\-A-F]{0,30}") {
            fn check<K: TableKey>(key: &str) -> Result<(), TestCaseError> {
                if let Ok(value) = K::decode(key) {
                    let mut text = String::new();
                    value.write_key(&mut text).unwrap();
                    prop_assert_eq!(text, key);
                }
                Ok(())
            }
            check::<String>(&key)?;
            check::<u8>(&key)?;
            check::<i8>(&key)?;
            check::<(String, String)>(&key)?;
            check::<(u8, String)>(&key)?;
            check::<(String, i8)>(&key)?;
            check::<(i8, bool, String)>(&key)?;
        }
    }
}
