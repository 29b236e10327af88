//! Sizes in configuration: `512`, `64KiB`, `10 MB`.

use crate::error::{Error, Result};

/// Parses a number of bytes with an optional unit: `B`, `kB` `MB` `GB` `TB` (thousands), `KiB` `MiB` `GiB` `TiB` (of 1024), in any
/// case.
///
/// ```
/// # use store_core::config::size;
/// assert_eq!(size::parse("64MiB")?, 64 << 20);
/// assert_eq!(size::parse("10 kB")?, 10_000);
/// assert!(size::parse("10M").is_err(), "a thousand or 1024?");
/// # Ok::<(), store_core::Error>(())
/// ```
///
/// # Errors
/// `Config` for other text, and for more than `u64` holds.
pub fn parse(text: &str) -> Result<u64> {
    const RULE: &str = "not a size such as 4096, 64KiB or 10MB";
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(Error::config(RULE)),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| Error::config(RULE))
}

/// The same for serde, in optional fields: a number of bytes or text.
pub mod option {
    use std::fmt;

    use serde::de::{Deserializer, Error, Visitor};

    struct Size;

    impl<'de> Visitor<'de> for Size {
        type Value = Option<u64>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size such as 4096, \"64KiB\" or \"10MB\"")
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
            from.deserialize_any(self)
        }

        fn visit_u64<E: Error>(self, bytes: u64) -> Result<Self::Value, E> {
            Ok(Some(bytes))
        }

        fn visit_i64<E: Error>(self, bytes: i64) -> Result<Self::Value, E> {
            u64::try_from(bytes).map(Some).map_err(|_| E::custom("a size must not be negative"))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            super::parse(text).map(Some).map_err(|e| E::custom(e.message().to_owned()))
        }
    }

    /// Reads a number of bytes or text.
    ///
    /// # Errors
    /// For anything else.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        from.deserialize_option(Size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_or_none() {
        for (text, bytes) in
            [("0", 0), (" 7 ", 7), ("7b", 7), ("1GiB", 1 << 30), ("2tb", 2_000_000_000_000)]
        {
            assert_eq!(parse(text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "MiB", "-1", "+1", "1.5MiB", "1 M", "1 MiB x", "١", "99999999999TiB"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
