//! Which backend settings are about.

use store_core::config::{Driver, StoreUrl};

use super::given::Texts;
use super::{nats, redis};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Backend {
    Nats,
    Redis,
    Memory,
}

/// A name in the documentation of wasmCloud's own provider, and the driver's option where it is one.
pub(super) type Upstream = (&'static str, Option<&'static str>);

impl Backend {
    const ALL: [Self; 3] = [Self::Nats, Self::Redis, Self::Memory];

    /// The one that settings ask for, if they do.
    pub(super) fn chosen(texts: &Texts) -> Result<Option<Self>, String> {
        let url = match texts.get("url") {
            None => None,
            Some(url) => {
                let url: StoreUrl = url.parse().map_err(|e| format!("setting `url`: {e}"))?;
                Some(Self::of_scheme(url.scheme()).ok_or_else(|| {
                    format!("setting `url`: there is no backend for `{}://`", url.scheme())
                })?)
            }
        };
        let expected = "setting `backend`: expected one of: nats, redis, memory";
        let named = texts.get("backend").map(|name| {
            Self::ALL.into_iter().find(|backend| backend.scheme() == name).ok_or(expected)
        });
        match (named.transpose()?, url) {
            (Some(named), Some(url)) if named != url => Err(format!(
                "setting `backend` is {}, and `url` is for {}",
                named.scheme(),
                url.scheme()
            )),
            (None, None) => Self::by_names(texts),
            (named, url) => Ok(named.or(url)),
        }
    }

    fn by_names(texts: &Texts) -> Result<Option<Self>, String> {
        match (texts.names().any(nats::is_own), texts.names().any(redis::is_own)) {
            (true, true) => {
                Err("settings of NATS and of Redis: set `backend` to one of them".into())
            }
            (true, false) => Ok(Some(Self::Nats)),
            (false, true) => Ok(Some(Self::Redis)),
            (false, false) => Ok(None),
        }
    }

    pub(super) fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "memory" => Some(Self::Memory),
            "nats" | "tls" | "ws" | "wss" => Some(Self::Nats),
            scheme if scheme.starts_with("redis") || scheme.starts_with("valkey") => {
                Some(Self::Redis)
            }
            _ => None,
        }
    }

    pub(super) fn scheme(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Redis => "redis",
            Self::Memory => "memory",
        }
    }

    /// What upstream documents for it.
    pub(super) fn upstream(self) -> &'static [Upstream] {
        match self {
            Self::Nats => &nats::NAMES,
            Self::Redis => &redis::NAMES,
            Self::Memory => &[],
        }
    }

    /// The driver's option that upstream has another name for.
    pub(super) fn option(self, name: &str) -> Option<&'static str> {
        self.upstream().iter().find(|(own, _)| *own == name).and_then(|(_, option)| *option)
    }

    /// Whether a setting is about another one.
    pub(super) fn is_foreign(self, name: &str, driver: &dyn Driver) -> bool {
        let foreign = match self {
            Self::Nats => redis::is_own(name),
            Self::Redis => nats::is_own(name),
            Self::Memory => nats::is_own(name) || redis::is_own(name),
        };
        foreign && driver.options().iter().all(|option| option.name != name)
    }
}
