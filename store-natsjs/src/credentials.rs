//! Who a store is, and the servers' addresses, which may say so too.

use std::fmt;
use std::path::PathBuf;

use async_nats::{ConnectOptions, ServerAddr};
use percent_encoding::percent_decode_str;
use store_core::{Error, Result};

/// How a store proves who it is. Never shown in text.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Credentials {
    /// Not at all.
    #[default]
    None,
    /// A user and a password.
    UserPassword(String, String),
    /// A token.
    Token(String),
    /// The seed of an nkey.
    NKey(String),
    /// A user's JWT and the seed of its nkey.
    Jwt(String, String),
    /// A `.creds` file.
    File(PathBuf),
    /// The text of a `.creds` file.
    Text(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::UserPassword(..) => "UserPassword(..)",
            Self::Token(_) => "Token(..)",
            Self::NKey(_) => "NKey(..)",
            Self::Jwt(..) => "Jwt(..)",
            Self::File(_) => "File(..)",
            Self::Text(_) => "Text(..)",
        })
    }
}

impl Credentials {
    pub(crate) async fn sign_in(&self) -> Result<ConnectOptions> {
        let options = ConnectOptions::new();
        let unreadable =
            |e: std::io::Error| Error::config("the credentials cannot be read").with_source(e);
        match self {
            Self::None => Ok(options),
            Self::UserPassword(user, password) => {
                Ok(options.user_and_password(user.clone(), password.clone()))
            }
            Self::Token(token) => Ok(options.token(token.clone())),
            Self::NKey(seed) => Ok(options.nkey(seed.clone())),
            Self::Jwt(jwt, seed) => options.credentials(&creds(jwt, seed)).map_err(unreadable),
            Self::File(path) => options.credentials_file(path).await.map_err(unreadable),
            Self::Text(text) => options.credentials(text).map_err(unreadable),
        }
    }
}

/// JWT and seed as a `.creds` file has them.
fn creds(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

/// The addresses, without credentials, and the credentials that were in them.
pub(crate) fn addresses(servers: &[String]) -> Result<(Vec<ServerAddr>, Credentials)> {
    let mut found = Credentials::None;
    let mut addresses = Vec::new();
    let bad = || {
        Error::config(
            "a server is written nats://host:port or tls://host:port, with commas between several",
        )
    };
    let texts: Vec<&str> =
        if servers.is_empty() { vec!["127.0.0.1"] } else { servers.iter().map(|s| &**s).collect() };
    for text in texts {
        let (scheme, rest) = text.trim().split_once("://").unwrap_or(("nats", text.trim()));
        let rest = rest.trim_end_matches('/');
        if rest.contains(['/', '?', '#']) {
            return Err(Error::config(
                "a server is an address without path and options: those are the builder's, or a registry's that opens the URL",
            ));
        }
        let (user, hosts) = match rest.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, rest),
        };
        if let Some(user) = user {
            let decode = |text| {
                let decoded = percent_decode_str(text).decode_utf8();
                decoded.map(String::from).map_err(|_| bad())
            };
            found = match user.split_once(':') {
                Some((user, password)) => {
                    Credentials::UserPassword(decode(user)?, decode(password)?)
                }
                None => Credentials::Token(decode(user)?),
            };
        }
        for host in hosts.split(',') {
            let address = format!("{scheme}://{}", host.trim());
            addresses.push(address.parse().map_err(|_| bad())?);
        }
    }
    Ok((addresses, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_hosts_and_perhaps_credentials() {
        let list = |text: &str| addresses(&[text.to_owned()]);
        let (found, credentials) = list("nats://u%40:p@a:1,b:2").unwrap();
        assert_eq!(found.len(), 2);
        assert!(matches!(credentials, Credentials::UserPassword(u, p) if u == "u@" && p == "p"));
        let (found, credentials) = list("tls://token@a").unwrap();
        assert!(found[0].tls_required());
        assert!(matches!(credentials, Credentials::Token(t) if t == "token"));
        for bad in ["nats://u%zz%ff@a", "nats://a/app", "nats://a?timeout=5s", "a?user=b@c"] {
            assert!(list(bad).is_err(), "{bad}");
        }
    }
}
