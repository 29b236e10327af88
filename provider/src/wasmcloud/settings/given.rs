//! Settings as they were given: names in any case, secrets over configuration, a link's over the provider's.

use std::collections::{BTreeMap, BTreeSet};

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
        let is_disabled = backend == Backend::Redis
            && redis::default_is_disabled(&self)
                .or_else(|| redis::default_is_disabled(&shared))
                .unwrap_or(false);
        if self.get("url").is_none() && is_disabled {
            return Err("`url` is missing, and DISABLE_DEFAULT_CONNECTION is set".into());
        }
        let has_address = self.get("url").is_some() || self.get("cluster_uri").is_some();
        let own = Own::of(&self, backend);
        for (name, text) in shared.0 {
            let applies = match name.as_str() {
                "backend" => false,
                "url" => !has_address && is_for(&text.value, backend),
                "cluster_uri" => !has_address && !backend.is_foreign(&name, driver),
                // The text of certificates to NATS, the path of their file to Redis.
                "tls_ca" if is_pem(&text.value) != (backend == Backend::Nats) => false,
                name => !backend.is_foreign(name, driver) && !own.says(name),
            };
            if applies {
                self.0.entry(name).or_insert(text);
            }
        }
        Ok(self)
    }
}

/// Ways to sign in. A link that has one of its own takes none of another from the provider.
const SIGN_IN: [&[&str]; 5] =
    [&["jwt", "jwt_seed"], &[USER], &["token"], &["nkey"], &["credentials", "credentials_file"]];

/// Who signs in as the URL says.
const USER: &str = "user";

/// What a link says itself, by the one name that a thing has here.
struct Own {
    backend: Backend,
    names: BTreeSet<String>,
    signs_in: Option<usize>,
}

impl Own {
    fn of(texts: &Texts, backend: Backend) -> Self {
        let mut names: BTreeSet<String> =
            texts.names().map(|name| one_name(name, backend).to_owned()).collect();
        for url in ["url", "cluster_uri"].into_iter().filter_map(|name| texts.get(name)) {
            names.extend(super::url::url_options(url).map(|(name, _)| name));
            if url.contains('@') {
                names.insert(USER.to_owned());
            }
            if url.parse::<StoreUrl>().is_ok_and(|url| url.path().len() > 1) {
                names.insert("database".to_owned());
            }
        }
        let signs_in = SIGN_IN.iter().position(|way| way.iter().any(|name| names.contains(*name)));
        Self { backend, names, signs_in }
    }

    /// Whether a setting of the provider has nothing to add.
    fn says(&self, name: &str) -> bool {
        let name = one_name(name, self.backend);
        let way = SIGN_IN.iter().position(|way| way.contains(&name));
        self.names.contains(name)
            || way.is_some() && self.signs_in.is_some_and(|own| way != Some(own))
    }
}

/// The name of several that a thing has.
fn one_name(name: &str, backend: Backend) -> &str {
    match backend.option(name).unwrap_or(name) {
        "bucket" => "database",
        "enable_bucket_auto_create" => "create",
        "tls_ca_file" => "tls_ca",
        name => name,
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
