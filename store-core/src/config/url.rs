use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::config::Options;
use crate::error::{Error, Result};

/// The URL of a store: `scheme://user:password@host:port,host:port/path?option=value&option=value`.
///
/// Everything but the scheme may be left out. User, password, path and options are percent-decoded; a `+` is a plus. Text for
/// people ([`Display`](fmt::Display), [`Debug`](fmt::Debug)) shows neither user nor password nor options.
///
/// ```
/// # use store_core::config::StoreUrl;
/// let url: StoreUrl = "redis://app:s%40crt@a:6379,[::1]/users?layout=plain".parse()?;
/// assert_eq!(url.password(), Some("s@crt"));
/// assert_eq!((url.hosts()[1].name(), url.hosts()[1].port()), ("::1", None));
/// assert_eq!(url.to_string(), "redis://***@a:6379,[::1]/users");
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone)]
pub struct StoreUrl {
    scheme: String,
    username: Option<String>,
    password: Option<String>,
    hosts: Vec<Host>,
    path: String,
    options: Options,
}

/// One server of a [`StoreUrl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: String,
    port: Option<u16>,
}

impl Host {
    /// Its name or address; an IPv6 address without brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its port, if one is given.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]", self.name)?;
        } else {
            f.write_str(&self.name)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// The longest URL that is looked at: one may carry a whole bundle of certificates.
const MAX_LEN: usize = 1 << 20;

impl StoreUrl {
    /// The scheme, in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The user, or for some backends a token.
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// The password.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The servers, in the order given.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The path with its leading slash; empty when there is none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The options that the URL carries, not taken yet.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(Error::config(format!("a URL has at most {MAX_LEN} bytes")));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Error::config("a URL has no white space; write %20 for a space"));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Error::config("a store's URL begins with scheme://"));
        };
        let scheme = scheme.to_ascii_lowercase();
        let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if scheme.is_empty()
            || scheme.len() > 32
            || !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme.bytes().all(sound)
        {
            return Err(Error::config("the scheme of a URL has 1 to 32 of a-z 0-9 + - ."));
        }
        if rest.contains('#') {
            return Err(Error::config("a store's URL has no #fragment; write %23 for a #"));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if tail.contains('@') {
            // A raw `/` or `?` in a password would end up here, in path or options, where it could be shown.
            return Err(Error::config(
                "write %40 for an @ in path or options, and percent-encode / ? # @ in a password",
            ));
        }
        let (user, servers) = match authority.rsplit_once('@') {
            Some((user, servers)) => (Some(user), servers),
            None => (None, authority),
        };
        let (username, password) = match user.map(|user| user.split_once(':').unwrap_or((user, "")))
        {
            None => (None, None),
            Some((user, password)) => (given(user)?, given(password)?),
        };
        let hosts = match servers {
            "" => Vec::new(),
            _ => servers.split(',').map(host).collect::<Result<_>>()?,
        };
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        Ok(Self {
            scheme,
            username,
            password,
            hosts,
            path: decode(path)?,
            options: parse_query(query)?,
        })
    }
}

fn given(text: &str) -> Result<Option<String>> {
    match text {
        "" => Ok(None),
        _ => decode(text).map(Some),
    }
}

fn decode(text: &str) -> Result<String> {
    percent_decode_str(text)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| Error::config("a URL's percent-encoded bytes must be UTF-8"))
}

/// Names, addresses and ports by the rules of the `url` crate.
fn host(server: &str) -> Result<Host> {
    let wrong = || Error::config("a server in a URL is not host or host:port");
    let url = Url::parse(&format!("store://{server}")).map_err(|_| wrong())?;
    let name = url.host_str().unwrap_or_default();
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong());
    }
    Ok(Host { name: decode(name)?, port: url.port() })
}

fn parse_query(query: &str) -> Result<Options> {
    let mut options = Options::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            // Not shown, as it may be anything.
            Error::config("an option in a URL is written name=value")
        })?;
        options.insert(decode(name)?, decode(value)?)?;
    }
    Ok(options)
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if self.username.is_some() || self.password.is_some() {
            f.write_str("***@")?;
        }
        for (i, host) in self.hosts.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{host}")?;
        }
        f.write_str(&self.path)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_may_be_missing() {
        let url: StoreUrl = "Memory://".parse().unwrap();
        assert_eq!((url.scheme(), url.path(), url.hosts().len()), ("memory", "", 0));
        assert_eq!((url.username(), url.password()), (None, None));
        let url: StoreUrl = "nats://tok%3Aen@h:4222".parse().unwrap();
        assert_eq!((url.username(), url.password()), (Some("tok:en"), None));
        let url: StoreUrl = "redis://:p@h".parse().unwrap();
        assert_eq!((url.username(), url.password()), (None, Some("p")));
        assert_eq!(url.to_string(), "redis://***@h");
        let url: StoreUrl = "memory:///a%20b".parse().unwrap();
        assert_eq!(url.path(), "/a b");
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_shown() {
        for bad in [
            "",
            "hunter2",
            "memory:",
            "://hunter2",
            "1a://hunter2",
            "a b://hunter2",
            "x://h:hunter2",
            "x://h:99999/hunter2",
            "x://u:hunter2/x@h",
            "x://u:1/hunter2@h",
            "x://u:1?hunter2@h",
            "x://u:1#hunter2@h",
            "x://h?hunter2",
            "x://h?=hunter2",
            "x://h?a=1&a=hunter2",
            "x://%ff:hunter2@h",
            "x://h/%ffhunter2",
            "x://[::1/hunter2",
            "x://,/hunter2",
            "x://h,u:hunter2",
        ] {
            let error = bad.parse::<StoreUrl>().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Config, "{bad}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
