//! What a host tells a provider: the data on stdin, and links.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nkeys::XKey;
use serde::Deserialize;

/// The one line that a host writes to a provider's stdin, as far as a provider needs it. Unknown fields are the host's business.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct HostData {
    pub(crate) host_id: String,
    #[serde(rename = "lattice_rpc_prefix")]
    pub(crate) lattice: String,
    pub(crate) lattice_rpc_url: String,
    pub(crate) lattice_rpc_user_jwt: String,
    pub(crate) lattice_rpc_user_seed: String,
    pub(crate) provider_key: String,
    pub(crate) link_definitions: Vec<LinkDefinition>,
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, Secret>,
    host_xkey_public_key: String,
    provider_xkey_private_key: String,
    pub(crate) structured_logging: bool,
    pub(crate) log_level: Option<String>,
}

/// Longer than any host data, so that a wrong stdin does not fill the memory.
const MAX_LINE: usize = 64 << 20;

impl HostData {
    /// From the line: base64 of JSON.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let line = line.trim();
        ensure!(
            !line.is_empty(),
            "stdin is empty: a wasmCloud host starts this program and writes its host data there; see --help"
        );
        ensure!(line.len() <= MAX_LINE, "stdin has more than {MAX_LINE} bytes in its first line");
        // Neither error shows the text, which holds secrets.
        let json = STANDARD.decode(line).ok().context("stdin is not base64 of host data")?;
        let data: Self = serde_json::from_slice(&json).map_err(|e| {
            anyhow::anyhow!("host data is not the JSON it should be, at {}", at(&e))
        })?;
        for (name, value) in [
            ("lattice_rpc_prefix", &data.lattice),
            ("lattice_rpc_url", &data.lattice_rpc_url),
            ("provider_key", &data.provider_key),
        ] {
            ensure!(!value.is_empty(), "host data has no `{name}`");
        }
        Ok(data)
    }

    /// The keys that seal the secrets of links, where the host has them.
    pub(crate) fn keys(&self) -> Result<Option<Keys>> {
        if self.provider_xkey_private_key.is_empty() || self.host_xkey_public_key.is_empty() {
            return Ok(None);
        }
        let key = |text, key: Result<XKey, nkeys::error::Error>| {
            key.map_err(|_| anyhow::anyhow!("host data has a malformed `{text}`"))
        };
        Ok(Some(Keys {
            own: key(
                "provider_xkey_private_key",
                XKey::from_seed(&self.provider_xkey_private_key),
            )?,
            host: key("host_xkey_public_key", XKey::from_public_key(&self.host_xkey_public_key))?,
        }))
    }
}

/// Where JSON went wrong, without what is there.
fn at(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// A secret's value.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(tag = "kind", content = "value")]
pub(crate) enum Secret {
    String(String),
    Bytes(Vec<u8>),
}

impl Secret {
    /// As text, which every setting is.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::String(text) => Some(text.clone()),
            Self::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What unseals the secrets of links.
pub(crate) struct Keys {
    own: XKey,
    host: XKey,
}

impl Keys {
    /// The public key under which this provider is sent its links.
    pub(crate) fn public(&self) -> String {
        self.own.public_key()
    }

    fn open(&self, sealed: &[u8]) -> Result<BTreeMap<String, Secret>, String> {
        let json = self
            .own
            .open(sealed, &self.host)
            .map_err(|_| "the link's secrets were not sealed by this host for this provider")?;
        serde_json::from_slice(&json).map_err(|e| {
            format!("the link's secrets are not the JSON they should be, at {}", at(&e))
        })
    }
}

/// A link as hosts send it.
#[derive(Clone, Deserialize, Default)]
#[serde(default)]
pub(crate) struct LinkDefinition {
    pub(crate) source_id: String,
    pub(crate) target: String,
    pub(crate) name: String,
    source_config: BTreeMap<String, String>,
    target_config: BTreeMap<String, String>,
    source_secrets: Option<Vec<u8>>,
    target_secrets: Option<Vec<u8>>,
}

/// One end's configuration and secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, Secret>,
}

impl LinkDefinition {
    /// From a message.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self> {
        serde_json::from_slice(payload)
            .map_err(|e| anyhow::anyhow!("a link is not the JSON it should be, at {}", at(&e)))
    }

    /// A link's name in the lattice; hosts may leave out the usual one.
    pub(crate) fn name(&self) -> &str {
        if self.name.is_empty() { "default" } else { &self.name }
    }

    /// What is meant for the provider, which is the source or the target.
    pub(crate) fn given(&self, source: bool, keys: Option<&Keys>) -> Result<Given, String> {
        let (config, sealed) = if source {
            (&self.source_config, &self.source_secrets)
        } else {
            (&self.target_config, &self.target_secrets)
        };
        let secrets = match (sealed.as_deref(), keys) {
            (None | Some([]), _) => BTreeMap::new(),
            (Some(sealed), Some(keys)) => keys.open(sealed)?,
            (Some(_), None) => {
                return Err(
                    "the link has secrets, and the host gave no key to open them".to_owned()
                );
            }
        };
        Ok(Given { config: config.clone(), secrets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_on_stdin_is_an_error_that_does_not_show_it() {
        let hidden = STANDARD.encode(r#"{"provider_key": "hunter2", "lattice_rpc_prefix": 5}"#);
        for garbage in ["", "  \r\n", "hunter2", "aHVudGVyMg==", &hidden, "\u{fffd}"] {
            let error = HostData::parse(garbage).err().unwrap();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        let text = r#"{"lattice_rpc_prefix":"l","lattice_rpc_url":"u","provider_key":"p","secrets":{"a":{"kind":"String","value":"hunter2"},"b":{"kind":"Bytes","value":[104,105]}},"more":1}"#;
        let data = HostData::parse(&format!("{}\r\n", STANDARD.encode(text))).unwrap();
        assert_eq!(data.secrets["b"].text().unwrap(), "hi");
        assert!(!format!("{:?}", data.secrets).contains("hunter2"));
        assert!(data.keys().unwrap().is_none());
    }

    #[test]
    fn secrets_are_opened_or_refused_never_ignored() {
        let (host, own, other) = (XKey::new(), XKey::new(), XKey::new());
        let keys =
            Keys { own: own.clone(), host: XKey::from_public_key(&host.public_key()).unwrap() };
        let sealed = host.seal(br#"{"k":{"kind":"String","value":"hunter2"}}"#, &own).unwrap();
        let link = |secrets: Vec<u8>| LinkDefinition {
            target_secrets: Some(secrets),
            ..LinkDefinition::default()
        };
        let given = link(sealed.clone()).given(false, Some(&keys)).ok().unwrap();
        assert_eq!(given.secrets["k"].text().unwrap(), "hunter2");
        assert!(link(sealed.clone()).given(true, Some(&keys)).ok().unwrap().secrets.is_empty());
        assert!(link(sealed.clone()).given(false, None).is_err());
        let foreign = other.seal(b"{}", &own).unwrap();
        let no_json = host.seal(b"hunter2", &own).unwrap();
        for bad in [vec![1], vec![0; 200], sealed[..40].to_vec(), foreign, no_json] {
            let error = link(bad).given(false, Some(&keys)).err().unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
