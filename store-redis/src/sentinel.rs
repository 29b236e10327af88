//! Where the primary is, by the word of the Sentinels.

use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Client, Cmd};
use store_core::{Error, ErrorKind, Result};

use crate::client::{Login, client};
use crate::config::Config;
use crate::fault::{Effect, unexpected};
use crate::node::Shared;
use crate::reply;

/// The Sentinels of a primary.
pub(crate) struct Sentinels {
    name: String,
    /// The one that answered last comes first.
    known: Mutex<Vec<(String, Client)>>,
}

impl Sentinels {
    pub(crate) fn new(name: &str, config: &Config) -> Result<Self> {
        let login = Login::of_sentinel(config);
        let known = config
            .servers()
            .map(|server| Ok((server.to_owned(), client(server, login, config)?)))
            .collect::<Result<_>>()?;
        Ok(Self { name: name.to_owned(), known: Mutex::new(known) })
    }

    /// The address of the primary. A Sentinel that does not answer is passed over, so that all of them together take no longer than
    /// one connection may.
    pub(crate) async fn primary(&self, shared: &Shared) -> Result<String> {
        let known = self.known.lock().clone();
        let patience =
            shared.config.connect_timeout / u32::try_from(known.len().max(1)).unwrap_or(1);
        let mut last = None;
        for (server, client) in known {
            let asked = self.ask(shared, &server, client, patience);
            match tokio::time::timeout(patience, asked).await {
                Ok(Ok(Some(primary))) => {
                    self.prefer(&server);
                    return Ok(primary);
                }
                Ok(Ok(None)) => {
                    last = Some(Error::config(format!(
                        "the Sentinel {server} watches no primary named {}",
                        self.name
                    )));
                }
                Ok(Err(error)) => last = Some(error),
                Err(_) => {
                    let message = format!("the Sentinel {server} did not answer in time");
                    last = Some(Error::new(ErrorKind::Unavailable, message));
                }
            }
        }
        Err(last.unwrap_or_else(unexpected))
    }

    async fn ask(
        &self,
        shared: &Shared,
        server: &str,
        client: Client,
        patience: Duration,
    ) -> Result<Option<String>> {
        let link = shared.dial(client, server, Some(patience), None).await?;
        let mut command = Cmd::new();
        command.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let answer = link.command(&command, Effect::Read).await?;
        if answer == redis::Value::Nil {
            return Ok(None);
        }
        let mut parts = reply::array(answer)?.into_iter();
        let (Some(host), Some(port), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(unexpected());
        };
        let (host, port) = (reply::text(host)?, reply::text(port)?);
        Ok(Some(address(&host, &port)))
    }

    fn prefer(&self, server: &str) {
        let mut known = self.known.lock();
        if let Some(at) = known.iter().position(|(known, _)| known == server) {
            known[..=at].rotate_right(1);
        }
    }
}

/// Host and port as one text.
pub(crate) fn address(host: &str, port: impl fmt::Display) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sentinels of {}", self.name)
    }
}
