//! Opening a store by URL: `nats://` and `tls://`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use store_core::config::{Driver, OptionSpec, Options, StoreUrl};
use store_core::{Error, Name, Result, Storage, StoreAdmin};

use crate::builder::Builder;
use crate::credentials::Credentials;
use crate::layout::Layout;
use crate::settings::DRIVER_SETTINGS;

/// The driver, for a [`Registry`](store_core::config::Registry).
pub fn driver() -> impl Driver {
    NatsDriver
}

#[derive(Debug)]
struct NatsDriver;

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new("name", "text", "the connection's name, for people who look at the server"),
    OptionSpec::new("token", "text", "a token to sign in with").secret(),
    OptionSpec::new("nkey", "seed", "the seed of an nkey to sign in with").secret(),
    OptionSpec::new("jwt", "text", "a user's JWT to sign in with; needs jwt_seed").secret(),
    OptionSpec::new("jwt_seed", "seed", "the seed of the JWT's nkey").secret(),
    OptionSpec::new("credentials_file", "path", "a .creds file to sign in with"),
    OptionSpec::new("credentials", "text", "the text of a .creds file").secret(),
    OptionSpec::new("tls", "on/off", "insist on TLS; default off, on for tls://"),
    OptionSpec::new("tls_first", "on/off", "begin with the TLS handshake; default off"),
    OptionSpec::new("tls_ca_file", "path", "PEM file of trusted authorities"),
    OptionSpec::new("tls_ca", "PEM text", "trusted authorities as text; no others then count"),
    OptionSpec::new("tls_cert_file", "path", "PEM file of the client's certificate"),
    OptionSpec::new("tls_key_file", "path", "PEM file of its key"),
    OptionSpec::new("domain", "text", "the JetStream domain"),
    OptionSpec::new("api_prefix", "subject", "the prefix of JetStream's API; default $JS.API"),
    OptionSpec::new("inbox_prefix", "subject", "where answers go; default _INBOX"),
    OptionSpec::new("timeout", "duration", "how long a call may take in all; default 10s"),
    OptionSpec::new("attempt_timeout", "duration", "how long one try of it may take; default 2s"),
    OptionSpec::new(
        "reconnect_wait",
        "duration",
        "how long a call waits for a lost connection; default timeout",
    ),
    OptionSpec::new("connect_timeout", "duration", "how long connecting may take; default 5s"),
    OptionSpec::new(
        "ping_interval",
        "duration",
        "how often an idle connection is tried; default 10s",
    ),
    OptionSpec::new("max_reconnects", "number", "give up after so many; default never"),
    OptionSpec::new("reconnect_delay", "duration", "the first wait, which doubles; default 10ms"),
    OptionSpec::new("reconnect_delay_max", "duration", "the longest wait; default 1s"),
    OptionSpec::new(
        "ignore_discovered_servers",
        "on/off",
        "keep to the named servers; default off",
    ),
    OptionSpec::new(
        "expired_retention",
        "duration",
        "how long the server keeps what has expired; default 10min",
    ),
    OptionSpec::new(
        "layout",
        "native|go-micro|go-micro-base32|plain",
        "how records are written; default native",
    ),
    OptionSpec::new("auto_create", "on/off", "a write creates its database; default on"),
    OptionSpec::new("default_ttl", "duration", "of databases that a write creates; default none"),
    OptionSpec::new(
        "history",
        "number",
        "versions kept, of databases that a write creates; default 1",
    ),
    OptionSpec::new("storage", "file|memory", "of databases that a write creates; default file"),
    OptionSpec::new("replicas", "number", "of databases that a write creates; default 1"),
    OptionSpec::new("description", "text", "of databases that a write creates"),
    OptionSpec::new("max_bytes", "size", "of databases that a write creates; default none"),
    OptionSpec::new(
        "max_value_len",
        "size",
        "of databases that a write creates; default the server's",
    ),
    OptionSpec::new("compression", "s2|none", "of databases that a write creates; default none"),
    OptionSpec::new("placement_cluster", "text", "of databases that a write creates"),
    OptionSpec::new("placement_tags", "text", "of databases that a write creates, with commas"),
    OptionSpec::new(
        "republish_source",
        "subject",
        "of databases that a write creates; default all",
    ),
    OptionSpec::new("republish_destination", "subject", "of databases that a write creates"),
    OptionSpec::new("republish_headers_only", "on/off", "of databases that a write creates"),
    OptionSpec::new(
        "allow_msg_ttl",
        "on/off",
        "of databases that a write creates; native: where safe",
    ),
    OptionSpec::new("allow_atomic", "on/off", "of databases that a write creates; native: on"),
    OptionSpec::new("create", "names", "databases to create at once, with commas"),
];

#[async_trait]
impl Driver for NatsDriver {
    fn name(&self) -> &'static str {
        crate::DRIVER
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["nats", "tls"]
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    async fn open(&self, url: &StoreUrl, options: &mut Options) -> Result<Arc<dyn StoreAdmin>> {
        let builder = configure(url, options)?;
        options.finish()?;
        Ok(Arc::new(builder.connect().await?))
    }
}

type Text = fn(Builder, String) -> Builder;
type Span = fn(Builder, Duration) -> Builder;
type Switch = fn(Builder, bool) -> Builder;

fn configure(url: &StoreUrl, options: &mut Options) -> Result<Builder> {
    let servers: Vec<String> = match url.hosts() {
        [] => vec![format!("{}://127.0.0.1", url.scheme())],
        hosts => hosts.iter().map(|host| format!("{}://{host}", url.scheme())).collect(),
    };
    let mut builder = Builder::default().servers(servers).credentials(credentials(url, options)?);
    let texts: [(&str, Text); 4] = [
        ("name", Builder::name),
        ("domain", Builder::domain),
        ("api_prefix", Builder::api_prefix),
        ("inbox_prefix", Builder::inbox_prefix),
    ];
    for (name, set) in texts {
        if let Some(text) = options.take_str(name) {
            builder = set(builder, text);
        }
    }
    let spans: [(&str, Span); 8] = [
        ("expired_retention", Builder::expired_retention),
        ("timeout", Builder::timeout),
        ("attempt_timeout", Builder::attempt_timeout),
        ("reconnect_wait", Builder::reconnect_wait),
        ("connect_timeout", Builder::connect_timeout),
        ("ping_interval", Builder::ping_interval),
        ("reconnect_delay", Builder::reconnect_delay),
        ("reconnect_delay_max", Builder::reconnect_delay_max),
    ];
    for (name, set) in spans {
        if let Some(span) = options.take_duration(name)? {
            builder = set(builder, span);
        }
    }
    let switches: [(&str, Switch); 4] = [
        ("tls", Builder::require_tls),
        ("tls_first", Builder::tls_first),
        ("ignore_discovered_servers", Builder::ignore_discovered_servers),
        ("auto_create", Builder::auto_create),
    ];
    for (name, set) in switches {
        if let Some(on) = options.take_bool(name)? {
            builder = set(builder, on);
        }
    }
    if let Some(most) = options.take_u64("max_reconnects")? {
        builder = builder.max_reconnects(usize::try_from(most).unwrap_or(usize::MAX));
    }
    if let Some(file) = options.take_str("tls_ca_file") {
        builder = builder.tls_ca_file(file);
    }
    if let Some(text) = options.take_str("tls_ca") {
        builder = builder.tls_ca_text(text);
    }
    builder = match (options.take_str("tls_cert_file"), options.take_str("tls_key_file")) {
        (Some(certificate), Some(key)) => builder.tls_certificate(certificate, key),
        (None, None) => builder,
        _ => return Err(Error::config("tls_cert_file and tls_key_file go together")),
    };
    let layouts: Vec<_> = Layout::ALL.iter().map(|layout| (layout.as_str(), *layout)).collect();
    if let Some(layout) = options.take_enum("layout", &layouts)? {
        builder = builder.layout(layout);
    }
    defaults(&mut builder, options)?;
    if let Some(names) = options.take_str("create") {
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let config = builder.defaults.clone();
            builder = builder.database(Name::new(name)?, config);
        }
    }
    Ok(builder)
}

fn credentials(url: &StoreUrl, options: &mut Options) -> Result<Credentials> {
    let mut given = Vec::new();
    match (url.username(), url.password()) {
        (Some(user), Some(password)) => {
            given.push(Credentials::UserPassword(user.to_owned(), password.to_owned()));
        }
        (Some(token), None) => given.push(Credentials::Token(token.to_owned())),
        _ => {}
    }
    given.extend(options.take_str("token").map(Credentials::Token));
    given.extend(options.take_str("nkey").map(Credentials::NKey));
    match (options.take_str("jwt"), options.take_str("jwt_seed")) {
        (Some(jwt), Some(seed)) => given.push(Credentials::Jwt(jwt, seed)),
        (None, None) => {}
        _ => return Err(Error::config("jwt and jwt_seed go together")),
    }
    given.extend(options.take_str("credentials_file").map(|file| Credentials::File(file.into())));
    given.extend(options.take_str("credentials").map(Credentials::Text));
    if given.len() > 1 {
        return Err(Error::config("sign in by one kind of credentials only"));
    }
    Ok(given.pop().unwrap_or_default())
}

fn defaults(builder: &mut Builder, options: &mut Options) -> Result<()> {
    let config = &mut builder.defaults;
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    config.default_ttl = options.take_duration("default_ttl")?;
    config.history = options.take_u64("history")?.map(number);
    config.replicas = options.take_u64("replicas")?.map(number);
    let words = [("file", Storage::File), ("memory", Storage::Memory)];
    config.storage = options.take_enum("storage", &words)?;
    config.description = options.take_str("description");
    config.max_bytes = options.take_size("max_bytes")?;
    config.max_value_len = options.take_size("max_value_len")?;
    let named = DRIVER_SETTINGS.iter().map(|(name, ..)| *name);
    for name in named.filter(|name| OPTIONS.iter().any(|option| option.name == *name)) {
        if let Some(text) = options.take_str(name) {
            config.driver.insert(name.to_owned(), text);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every option is in the table that maps those of others, and the table names none that is not there.
    #[test]
    fn the_table_of_options_is_complete() {
        let text = include_str!("../OPTIONS.md");
        let rows = text.lines().filter(|line| line.starts_with('|'));
        let here = rows.map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            // Three columns; of the last table, two.
            if cells.len() == 5 { cells[2] } else { cells[1] }
        });
        let mut named: Vec<&str> =
            here.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        named.sort_unstable();
        for option in OPTIONS {
            assert!(named.contains(&option.name), "{} is missing", option.name);
        }
        // The registry's own.
        let others = ["database"];
        for name in named {
            let known = OPTIONS.iter().any(|option| option.name == name);
            assert!(known || others.contains(&name), "there is no option {name}");
        }
    }
}
