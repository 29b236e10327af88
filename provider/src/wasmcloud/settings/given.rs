//! Settings as they were given: names in any case, secrets over configuration, a link's over the provider's.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use store_core::config::{Driver, StoreUrl};

use super::backend::Backend;
use super::redis;
use crate::wasmcloud::host::Given;

/// Settings by their names in lower case.
pub(super) struct Texts(BTreeMap<String, Text>);

struct Text {
    value: String,
    /// It came as one.
    secret: bool,
}

impl Texts {
    pub(super) fn of(given: &Given) -> Result<Self, String> {
        let mut texts = BTreeMap::new();
        for (name, value) in &given.config {
            let text = Text { value: value.clone(), secret: false };
            let known = texts.insert(name.to_ascii_lowercase(), text);
            if known.is_some_and(|known| known.value != *value) {
                return Err(format!("setting `{name}` is given twice, in upper and lower case"));
            }
        }
        for (name, secret) in &given.secrets {
            let value = secret.text().ok_or_else(|| format!("secret `{name}` is not UTF-8"))?;
            texts.insert(name.to_ascii_lowercase(), Text { value, secret: true });
        }
        Ok(Self(texts))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| text.value.as_str())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.value.as_str()))
    }

    /// The names of those that are secrets and came in plain configuration.
    pub(super) fn exposed(&self, backend: Backend, driver: &dyn Driver) -> Vec<String> {
        let is_option = |name: &str| driver.options().iter().any(|o| o.secret && o.name == name);
        let is_secret = |name: &str, value: &str| match name {
            "url" | "cluster_uri" => holds_secret(value, is_option),
            name => is_option(backend.option(name).unwrap_or(name)),
        };
        let exposed =
            |(name, text): &(&String, &Text)| !text.secret && is_secret(name, &text.value);
        self.0.iter().filter(exposed).map(|(name, _)| name.clone()).collect()
    }

    /// With those of the provider below, as far as they are about the same backend.
    pub(super) fn over(
        mut self,
        shared: Self,
        backend: Backend,
        driver: &dyn Driver,
    ) -> Result<Self, String> {
        let disabled = |texts| backend == Backend::Redis && redis::default_is_disabled(texts);
        if self.get("url").is_none() && (disabled(&shared) || disabled(&self)) {
            return Err("`url` is missing, and DISABLE_DEFAULT_CONNECTION is set".into());
        }
        let has_address = self.get("url").is_some() || self.get("cluster_uri").is_some();
        for (name, text) in shared.0 {
            let applies = match name.as_str() {
                "backend" => false,
                "url" => !has_address && is_for(&text.value, backend),
                "cluster_uri" => !has_address && !backend.is_foreign(&name, driver),
                // The text of certificates to NATS, the path of their file to Redis.
                "tls_ca" if is_pem(&text.value) != (backend == Backend::Nats) => false,
                name => !backend.is_foreign(name, driver),
            };
            if applies {
                self.0.entry(name).or_insert(text);
            }
        }
        Ok(self)
    }
}

fn is_for(url: &str, backend: Backend) -> bool {
    url.parse::<StoreUrl>().is_ok_and(|url| Backend::of_scheme(url.scheme()) == Some(backend))
}

fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN")
}

/// Whether a URL, or a list of them, says how to sign in: before its hosts, or by an option.
fn holds_secret(urls: &str, is_option: impl Fn(&str) -> bool) -> bool {
    let name = |option: &str| {
        let name = option.split('=').next().unwrap_or_default();
        percent_decode_str(name).decode_utf8_lossy().into_owned()
    };
    let options = urls.split(['?', '&']).skip(1);
    urls.split('/').any(|part| part.contains('@')) || options.map(name).any(|n| is_option(&n))
}
