//! The URL that a link's settings come to: all that makes a connection, and nothing else, so that equal ones are shared.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
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

/// What the driver is to know.
pub(super) struct Target {
    pub(super) url: String,
    /// The database in the path of the URL that was given.
    pub(super) path: Option<String>,
    /// Whether the layout keeps one database apart from another.
    pub(super) has_databases: bool,
}

/// Takes what the driver is to know. Where a first write must not make a database, the driver is told.
pub(super) fn url(
    o: &mut Taken,
    backend: Backend,
    driver: &dyn Driver,
    only_upstream: bool,
    first_write_makes: bool,
) -> Result<Target, String> {
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
    let is_given = |options: &[(&str, String)], name| given_option(&url, options, name).is_some();
    if given_option(&url, &[], "database").is_some() {
        return Err("setting `url`: name the database in its path, or as `database`".to_owned());
    }
    if backend == Backend::Nats && !is_given(&options, nats::WAIT.0) {
        options.push((nats::WAIT.0, nats::WAIT.1.to_owned()));
    }
    let takes = |name| driver.options().iter().any(|known| known.name == name);
    if only_upstream && takes("layout") {
        options.push(("layout", "plain".to_owned()));
    }
    let layout = given_option(&url, &options, "layout");
    // Plain keys on Redis are in no database but the server's own.
    let is_bare = backend == Backend::Redis && layout.is_some_and(|layout| layout == "plain");
    let template = given_option(&url, &options, "template").unwrap_or_default();
    let has_databases =
        !is_bare || template.contains("{database}") || template.contains("{bucket}");
    if !first_write_makes && !is_bare && takes("auto_create") && !is_given(&options, "auto_create")
    {
        options.push(("auto_create", "off".to_owned()));
    }
    for (name, value) in options {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(name);
        url.push('=');
        url.extend(utf8_percent_encode(&value, NON_ALPHANUMERIC));
    }
    Ok(Target { url, path, has_databases })
}

/// The value of an option, among these or in the URL.
fn given_option(url: &str, options: &[(&str, String)], name: &str) -> Option<String> {
    let mut others = options.iter().filter(|(known, _)| *known == name);
    others.next().map(|(_, value)| value.clone()).or_else(|| {
        let in_url = url_options(url).find(|(known, _)| known == name);
        in_url.map(|(_, value)| value)
    })
}

/// The options that a URL carries.
pub(super) fn url_options(url: &str) -> impl Iterator<Item = (String, String)> {
    let text = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter(|option| !option.is_empty()).map(move |option| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        (text(name), text(value))
    })
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
