//! Settings that are taken one by one, so that what is left over is unknown.

use std::str::FromStr;
use std::time::Duration;

use store_core::config::Options;
use store_core::{DatabaseConfig, Storage};

use super::given::Texts;
use crate::Limits;

pub(super) struct Taken(Options);

impl Taken {
    pub(super) fn new(texts: &Texts) -> Result<Self, String> {
        let mut options = Options::new();
        for (name, value) in texts.iter() {
            options.insert(name.to_owned(), value.to_owned()).map_err(said)?;
        }
        Ok(Self(options))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.clone().take_str(name).is_some()
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.take_str(name)
    }

    /// A number, 0 or more.
    pub(super) fn number<N: FromStr>(&mut self, name: &str) -> Result<Option<N>, String> {
        let wanted = || format!("setting `{name}`: expected a number, 0 or more");
        self.text(name).map(|text| text.parse().map_err(|_| wanted())).transpose()
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, String> {
        self.0.take_with(name, "expected true or false", switch).map_err(said)
    }

    pub(super) fn duration(&mut self, name: &str) -> Result<Option<Duration>, String> {
        self.0.take_duration(name).map_err(said)
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &str,
        of: &[(&str, T)],
    ) -> Result<Option<T>, String> {
        self.0.take_enum(name, of).map_err(said)
    }

    pub(super) fn limits(&mut self) -> Result<Limits, String> {
        let mut limits = Limits::default();
        if let Some(size) = self.0.take_size("max_value_len").map_err(said)? {
            limits.max_value_len = size;
        }
        if let Some(size) = self.0.take_size("max_result_len").map_err(said)? {
            limits.max_result_len = size;
        }
        let items = "expected a number from 1 to 1000000";
        let number = |text: &str| text.parse().ok().filter(|n| (1..=1_000_000).contains(n));
        if let Some(n) = self.0.take_with("max_batch", items, number).map_err(said)? {
            limits.max_batch = n;
        }
        if let Some(n) = self.0.take_with("page", items, number).map_err(said)? {
            limits.page = n;
        }
        Ok(limits)
    }

    /// How a database is made that does not exist.
    pub(super) fn config(&mut self) -> Result<DatabaseConfig, String> {
        let mut config = DatabaseConfig::new();
        if let Some(ttl) = self.duration("default_ttl")? {
            config = config.with_default_ttl(ttl);
        }
        let small = |text: &str| text.parse::<u32>().ok().filter(|n| *n > 0);
        let number = "expected a number, 1 or more";
        if let Some(n) = self.0.take_with("history", number, small).map_err(said)? {
            config = config.with_history(n);
        }
        if let Some(n) = self.0.take_with("replicas", number, small).map_err(said)? {
            config = config.with_replicas(n);
        }
        if let Some(size) = self.0.take_size("max_bytes").map_err(said)? {
            config = config.with_max_bytes(size);
        }
        let kinds = [("memory", Storage::Memory), ("file", Storage::File)];
        if let Some(storage) = self.choice("storage", &kinds)? {
            config = config.with_storage(storage);
        }
        Ok(config)
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> Result<(), String> {
        self.0.finish().map_err(said)
    }
}

fn said(error: impl Into<store_core::Error>) -> String {
    error.into().message().to_owned()
}

pub(super) fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        // Upstream asks only whether it is there.
        "" | "on" | "yes" | "true" | "1" => Some(true),
        "off" | "no" | "false" | "0" => Some(false),
        _ => None,
    }
}
