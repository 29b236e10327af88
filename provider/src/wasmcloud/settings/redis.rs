//! What wasmCloud's own provider for Redis documents.

use std::time::Duration;

use super::backend::Upstream;
use super::given::Texts;
use super::taken::{Taken, switch};

/// Those in milliseconds are durations to the driver.
pub(super) const NAMES: [Upstream; 8] = [
    ("url", None),
    // How calls wait, not the driver: it reconnects with the next call, whatever there was before.
    ("backend_reconnect_num_retries", None),
    ("backend_reconnect_max_delay_ms", None),
    ("backend_connection_timeout_ms", Some("connect_timeout")),
    ("backend_response_timeout_ms", Some("answer_timeout")),
    ("disable_default_connection", None),
    ("share_connections_by_url", None),
    ("watch", None),
];

/// Whether a setting can only be about Redis: two of upstream's names are for every backend here.
pub(super) fn is_own(name: &str) -> bool {
    NAMES.iter().any(|(own, _)| *own == name) && !matches!(name, "url" | "watch")
}

/// How often a call is made again while there is no connection, and the longest pause between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reconnect {
    pub(crate) retries: u32,
    pub(crate) max_delay: Duration,
}

impl Default for Reconnect {
    /// As in wasmCloud's own provider.
    fn default() -> Self {
        Self { retries: 3, max_delay: Duration::from_millis(300) }
    }
}

impl Reconnect {
    pub(super) fn of(o: &mut Taken) -> Result<Self, String> {
        let mut reconnect = Self::default();
        if let Some(retries) = o.number("backend_reconnect_num_retries")? {
            reconnect.retries = retries;
        }
        if let Some(millis) = o.number::<u32>("backend_reconnect_max_delay_ms")? {
            reconnect.max_delay = Duration::from_millis(millis.into());
        }
        Ok(reconnect)
    }
}

/// Whether a link needs a `url` of its own. A value that is no switch is refused later; until then it counts.
pub(super) fn default_is_disabled(texts: &Texts) -> Option<bool> {
    texts.get("disable_default_connection").map(|value| switch(value) != Some(false))
}

/// Takes what says how connections are shared: they are always shared by their resolved configuration.
pub(super) fn sharing(o: &mut Taken) -> Result<(), String> {
    o.flag("disable_default_connection")?;
    o.flag("share_connections_by_url")?;
    Ok(())
}
