//! Durations in configuration: humantime text such as `1h 30m`.

use std::time::Duration;

use crate::error::{Error, Result};

/// Parses humantime text.
///
/// # Errors
/// `Config` for other text, zero included: no setting of ours means anything by it.
pub fn parse(text: &str) -> Result<Duration> {
    let duration = humantime::parse_duration(text.trim())
        .map_err(|e| Error::config("not a duration such as 250ms, 10s or 1h 30m").with_source(e))?;
    if duration.is_zero() {
        return Err(Error::config("a duration must be longer than zero"));
    }
    Ok(duration)
}

/// The same for serde, in optional fields.
pub mod option {
    use super::Duration;
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes humantime text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => to.collect_str(&humantime::format_duration(*duration)),
            None => to.serialize_none(),
        }
    }

    /// Reads humantime text.
    ///
    /// # Errors
    /// For other text.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|text| super::parse(&text).map_err(serde::de::Error::custom))
            .transpose()
    }
}
