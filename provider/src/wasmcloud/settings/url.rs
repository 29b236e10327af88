//! The URL that a link's settings come to: all that makes a connection, and nothing else, so that equal ones are shared.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use store_core::config::{Driver, StoreUrl};

use super::backend::Backend;
use super::taken::Taken;
use super::{nats, redis};

/// Settings of the provider itself, which a driver's option of the same name does not take away.
const OURS: [&str; 10] = [
    "create",
    "database",
    "default_ttl",
    "history",
    "max_bytes",
    "max_value_len",
    "prefix",
    "replicas",
    "storage",
    "table",
];

/// Options that the registry takes for every driver.
const COMMON: [&str; 5] = ["timeout", "retries", "read_only", "trace", "trace_keys"];

/// Takes what the driver is to know; answers its URL, and the database in the path of the one given.
pub(super) fn url(
    o: &mut Taken,
    backend: Backend,
    driver: &dyn Driver,
    only_upstream: bool,
) -> Result<(String, Option<String>), String> {
    let given = match backend {
        Backend::Memory => o.text("url").unwrap_or_else(|| "memory://".to_owned()),
        Backend::Redis => o.text("url").unwrap_or_else(|| "redis://127.0.0.1:6379/".to_owned()),
        Backend::Nats => nats::address(o)?,
    };
    let Address { mut url, path, mut options } = Address::of(given, backend, driver)?;
    nats::certificates(o);
    redis::sharing(o)?;
    options.extend(named_by_upstream(o, backend, driver)?);
    options.extend(named_by_driver(o, driver));
    if backend == Backend::Nats && !is_given(&url, &options, nats::WAIT.0) {
        options.push((nats::WAIT.0, nats::WAIT.1.to_owned()));
    }
    if only_upstream && driver.options().iter().any(|known| known.name == "layout") {
        options.push(("layout", "plain".to_owned()));
    }
    for (name, value) in options {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        url.extend(utf8_percent_encode(&value, NON_ALPHANUMERIC));
    }
    Ok((url, path))
}

fn is_given(url: &str, options: &[(&'static str, String)], name: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    options.iter().any(|(known, _)| *known == name)
        || query.split('&').any(|option| option.split('=').next() == Some(name))
}

/// A URL whose path was taken off: it names the database, or to Redis the number of one. Without it, links to several databases share
/// a connection.
struct Address {
    url: String,
    path: Option<String>,
    options: Vec<(&'static str, String)>,
}

impl Address {
    fn of(url: String, backend: Backend, driver: &dyn Driver) -> Result<Self, String> {
        let address: StoreUrl =
            url.parse().map_err(|e| format!("the address of the backend: {e}"))?;
        let mut path = Some(address.path().trim_matches('/').to_owned()).filter(|p| !p.is_empty());
        if !driver.path_is_database(address.scheme()) {
            return Ok(Self { url, path, options: Vec::new() });
        }
        let is_number = |path: &mut String| path.bytes().all(|b| b.is_ascii_digit());
        let number = path.take_if(|path| backend == Backend::Redis && is_number(path));
        let options = number.map(|number| ("db", number)).into_iter().collect();
        Ok(Self { url: without_path(&url), path, options })
    }
}

/// A URL without its path.
fn without_path(url: &str) -> String {
    let (address, query) = match url.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (url, None),
    };
    let authority = address.find("://").map_or(0, |at| at + 3);
    let end = address[authority..].find('/').map_or(address.len(), |at| authority + at);
    match query {
        Some(query) => format!("{}?{query}", &address[..end]),
        None => address[..end].to_owned(),
    }
}

fn named_by_upstream(
    o: &mut Taken,
    backend: Backend,
    driver: &dyn Driver,
) -> Result<Vec<(&'static str, String)>, String> {
    let mut options = Vec::new();
    for (name, option) in backend.upstream() {
        let Some(option) = option else { continue };
        let value = if name.ends_with("_ms") {
            o.number::<u64>(name)?.map(|millis| format!("{millis}ms"))
        } else {
            o.text(name)
        };
        let Some(value) = value else { continue };
        let documented = driver.options().iter().any(|known| known.name == *option);
        if !documented && !COMMON.contains(option) {
            return Err(format!("setting `{name}`: this provider's driver cannot honour it"));
        }
        options.push((*option, value));
    }
    Ok(options)
}

fn named_by_driver(o: &mut Taken, driver: &dyn Driver) -> Vec<(&'static str, String)> {
    let documented = driver.options().iter().map(|known| known.name);
    let names = documented.chain(COMMON).filter(|name| !OURS.contains(name));
    names.filter_map(|name| Some((name, o.text(name)?))).collect()
}
