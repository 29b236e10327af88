use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::config::{duration, nearest, size};
use crate::error::{Error, Result};

/// **For drivers.** The options of a URL, of a configuration file or of the environment, taken one by one with their types; what
/// nobody took is an error.
///
/// No error and no [`Debug`](fmt::Debug) text ever shows a value: any of them may be a password.
///
/// ```
/// # use store_core::config::Options;
/// # use std::time::Duration;
/// let mut options = Options::new();
/// options.insert("linger", "2s")?;
/// options.insert("colour", "red")?;
/// assert_eq!(options.take_duration("linger")?, Some(Duration::from_secs(2)));
/// assert_eq!(options.take_str("color"), None);
/// let error = options.finish().unwrap_err();
/// assert_eq!(error.message(), "no option `colour`; did you mean `color`? Known: color, linger");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Options {
    given: BTreeMap<String, String>,
    /// What was asked for: with what is documented, the options there are.
    known: BTreeSet<String>,
}

impl Options {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one as text.
    ///
    /// # Errors
    /// `Config` when there is one of this name, or the name is none: `A-Z a-z 0-9 _ - .`, 64 characters at most.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) -> Result<()> {
        let name = name.into();
        let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(sound) {
            // Not shown: it may be the rest of a password that was not percent-encoded.
            return Err(Error::config("the name of an option has 1 to 64 of A-Z a-z 0-9 _ - ."));
        }
        if self.given.contains_key(&name) {
            return Err(Error::config(format!("option `{name}` is given twice")));
        }
        self.given.insert(name, value.into());
        Ok(())
    }

    /// Takes one as text.
    pub fn take_str(&mut self, name: &str) -> Option<String> {
        self.known.insert(name.to_owned());
        self.given.remove(name)
    }

    /// Takes one and parses it; `rule` says in words what was expected.
    ///
    /// # Errors
    /// `Config`, naming the option, when `parse` gives nothing.
    pub fn take_with<T>(
        &mut self,
        name: &str,
        rule: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(text) = self.take_str(name) else {
            return Ok(None);
        };
        match parse(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(Self::malformed(name, rule)),
        }
    }

    /// For drivers: the error of an option whose value cannot be used.
    pub fn malformed(name: &str, rule: &str) -> Error {
        Error::config(format!("option `{name}`: {rule}"))
    }

    /// Takes a switch: `on/off`, `yes/no`, `true/false` or `1/0`, in any case.
    ///
    /// # Errors
    /// `Config`, naming the option.
    pub fn take_bool(&mut self, name: &str) -> Result<Option<bool>> {
        self.take_with(name, "expected on or off", parse_bool)
    }

    /// Takes a number.
    ///
    /// # Errors
    /// `Config`, naming the option.
    pub fn take_u64(&mut self, name: &str) -> Result<Option<u64>> {
        self.take_with(name, "expected a number, 0 or more", |text| {
            // `parse` would also take a leading `+`.
            text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
        })
    }

    /// Takes a duration, humantime text such as `1h30m` or `250ms`; zero is none.
    ///
    /// # Errors
    /// `Config`, naming the option.
    pub fn take_duration(&mut self, name: &str) -> Result<Option<Duration>> {
        self.take_with(
            name,
            "expected a duration such as 250ms, 10s or 1h30m, longer than zero",
            |text| duration::parse(text).ok(),
        )
    }

    /// Takes a size in bytes, such as `4096`, `64KiB` or `10MB`.
    ///
    /// # Errors
    /// `Config`, naming the option.
    pub fn take_size(&mut self, name: &str) -> Result<Option<u64>> {
        self.take_with(name, "expected a size such as 4096, 64KiB or 10MB", |text| {
            size::parse(text).ok()
        })
    }

    /// Takes one of these words, exactly as they are written.
    ///
    /// ```
    /// # use store_core::config::Options;
    /// # let mut options = Options::new();
    /// options.insert("layout", "plain")?;
    /// let plain = options.take_enum("layout", &[("table", false), ("plain", true)])?;
    /// assert_eq!(plain, Some(true));
    /// # Ok::<(), store_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Config`, naming the option and the words.
    pub fn take_enum<T: Clone>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let rule = || {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            format!("expected one of: {}", words.join(", "))
        };
        let Some(text) = self.take_str(name) else {
            return Ok(None);
        };
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| Some(value.clone()))
            .ok_or_else(|| Self::malformed(name, &rule()))
    }

    /// Ends the taking: what is left was meant for nobody.
    ///
    /// # Errors
    /// `Config`, naming the first option that was not taken, the nearest known one, and all known ones.
    pub fn finish(&self) -> Result<()> {
        self.given.keys().next().map_or(Ok(()), |name| Err(self.unknown(name)))
    }

    /// Refuses options that are neither asked for so far nor among these.
    pub(crate) fn check(
        &mut self,
        documented: impl IntoIterator<Item = &'static str>,
    ) -> Result<()> {
        self.known.extend(documented.into_iter().map(str::to_owned));
        self.given
            .keys()
            .find(|name| !self.known.contains(*name))
            .map_or(Ok(()), |name| Err(self.unknown(name)))
    }

    fn unknown(&self, name: &str) -> Error {
        if self.known.contains(name) {
            return Error::config(format!("option `{name}` does not apply here"));
        }
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        Error::config(format!("no option `{name}`{}", nearest::hint("", name, &known)))
    }
}

/// A switch: `on/off`, `yes/no`, `true/false` or `1/0`, in any case.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "1" => Some(true),
        "off" | "no" | "false" | "0" => Some(false),
        _ => None,
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Options")?;
        f.debug_set().entries(self.given.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn options(pairs: &[(&str, &str)]) -> Options {
        let mut options = Options::new();
        for (name, value) in pairs {
            options.insert(*name, *value).unwrap();
        }
        options
    }

    #[test]
    fn every_type_parses_and_refuses_by_name_without_the_value() {
        type Take = fn(&mut Options) -> Result<bool>;
        let cases: [(&str, &str, Take); 5] = [
            ("YES", "hunter2", |o| Ok(o.take_bool("x")? == Some(true))),
            ("17", "+17", |o| Ok(o.take_u64("x")? == Some(17))),
            ("1h 30m", "hunter2", |o| Ok(o.take_duration("x")? == Some(Duration::from_mins(90)))),
            ("64MiB", "hunter2", |o| Ok(o.take_size("x")? == Some(64 << 20))),
            ("b", "hunter2", |o| Ok(o.take_enum("x", &[("a", 1), ("b", 2)])? == Some(2))),
        ];
        for (good, bad, take) in cases {
            assert!(take(&mut options(&[("x", good)])).unwrap(), "{good}");
            let error = take(&mut options(&[("x", bad)])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            let text = format!("{error:?}");
            assert!(text.contains("`x`") && !text.contains(bad), "{text}");
        }
    }

    #[test]
    fn a_duplicate_and_a_leftover_are_errors() {
        let mut options = options(&[("a", "1"), ("b", "2")]);
        assert!(options.insert("a", "3").is_err());
        assert_eq!(options.take_u64("a").unwrap(), Some(1));
        assert!(options.finish().unwrap_err().message().contains("`b`"));
        assert_eq!(options.take_u64("b").unwrap(), Some(2));
        options.finish().unwrap();
    }

    #[test]
    fn a_documented_option_that_nobody_takes_does_not_apply() {
        let mut options = options(&[("a", "1")]);
        options.check(["a"]).unwrap();
        assert!(options.finish().unwrap_err().message().contains("does not apply"));
    }

    #[test]
    fn names_that_are_none_are_not_shown() {
        for name in ["", "ss@host", "a b", &"x".repeat(65), "ä"] {
            let error = Options::new().insert(name, "").unwrap_err();
            assert!(name.is_empty() || !error.message().contains(name), "{error}");
        }
    }
}
