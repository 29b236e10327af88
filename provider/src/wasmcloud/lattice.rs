//! The lattice: what a host asks of a provider while it runs.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::{Client, ConnectOptions, Message, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream::select_all;
use serde_json::json;
use store_core::config::Registry;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::wasmcloud::bindings;
use crate::wasmcloud::host::{Given, HostData, Keys, LinkDefinition};
use crate::wasmcloud::links::Links;
use crate::wasmcloud::serve::Serve;
use crate::wasmcloud::watchers::Teller;
use crate::wasmcloud::whole::Whole;

/// How long calls that are under way may take at the end. Hosts kill a provider 300 ms after they asked it to stop.
const DRAIN: Duration = Duration::from_millis(150);
/// How long connections may take to close then.
const CLOSE: Duration = Duration::from_millis(100);

/// Serves until the host says stop, or the process is told to.
pub(crate) async fn run(data: HostData, registry: Registry) -> Result<()> {
    let keys = data.keys()?;
    let nats = connect(&data).await?;
    let base = format!("wasmbus.rpc.{}", data.lattice);
    let own = &data.provider_key;
    // A host with keys sends links to the key, and to the other subject for providers that know none: that would be twice.
    let link_id = keys.as_ref().map_or_else(|| own.clone(), Keys::public);
    let subscribe = async |subject: String| -> Result<Subscriber> {
        nats.subscribe(subject).await.context("cannot subscribe in the lattice")
    };
    let mut puts = subscribe(format!("{base}.{link_id}.linkdefs.put")).await?;
    let mut deletes = subscribe(format!("{base}.{own}.linkdefs.del")).await?;
    let mut updates = subscribe(format!("{base}.{own}.config.update")).await?;
    let mut health = subscribe(format!("{base}.{own}.health")).await?;
    let mut stops = subscribe(format!("{base}.{own}.default.shutdown")).await?;

    let given = Given { config: data.config, secrets: data.secrets };
    let teller = Teller::new(nats.clone(), &data.lattice, own);
    let links = Arc::new(Links::new(registry, given, teller));
    let control = Control { provider: own.clone(), keys, links: Arc::clone(&links) };
    for link in &data.link_definitions {
        control.put(link);
    }

    let prefix: Arc<str> = format!("{}.{own}", data.lattice).into();
    let wrpc = wrpc_transport_nats::Client::new(nats.clone(), Arc::clone(&prefix), Some(prefix));
    let wrpc = wrpc.await.context("cannot serve in the lattice")?;
    let wrpc = Whole::new(wrpc, &nats);
    let serving = Box::pin(bindings::serve(&wrpc, Serve::new(Arc::clone(&links)))).await?;
    let mut calls =
        select_all(serving.into_iter().map(|(interface, function, calls)| {
            calls.map(move |call| (interface, function, call))
        }));
    nats.flush().await.context("the lattice does not answer")?;
    info!(provider = own, lattice = data.lattice, "serving");

    let calling = Calling::default();
    let mut asides = JoinSet::new();
    let mut terminate = terminated()?;
    let answer = loop {
        tokio::select! {
            Some((interface, function, call)) = calls.next() => match call {
                Ok(call) => calling.spawn(async move {
                    if let Err(error) = call.await {
                        warn!(interface, function, error = format!("{error:#}"), "a call was cut off");
                    }
                }),
                Err(error) => {
                    warn!(interface, function, error = format!("{error:#}"), "a call is malformed");
                }
            },
            Some(_) = asides.join_next(), if !asides.is_empty() => {}
            Some(message) = puts.next() => match LinkDefinition::parse(&message.payload) {
                Ok(link) => control.put(&link),
                Err(error) => warn!(%error, "a link cannot be put"),
            },
            Some(message) = deletes.next() => match LinkDefinition::parse(&message.payload) {
                Ok(link) => control.delete(&link),
                Err(error) => warn!(%error, "a link cannot be deleted"),
            },
            Some(message) = updates.next() => control.update(&message.payload),
            // Beside the loop: a backend that does not answer delays nothing else.
            Some(message) = health.next() => {
                drop(asides.spawn(tell_health(nats.clone(), Arc::clone(&links), message)));
            }
            Some(message) = stops.next() => {
                let stop: serde_json::Value =
                    serde_json::from_slice(&message.payload).unwrap_or_default();
                if stop["host_id"].as_str() == Some(&data.host_id) {
                    break message.reply;
                }
                warn!("another host's shutdown is ignored");
            }
            () = &mut terminate => break None,
            else => break None,
        }
    };

    info!("stopping");
    // Nothing new is taken; what is under way may end. After the answer the host kills, so all is done before it.
    drop(calls);
    let _ = tokio::time::timeout(DRAIN, calling.ended()).await;
    let _ = tokio::time::timeout(CLOSE, links.close()).await;
    if let Some(reply) = answer {
        nats.publish(reply, "shutting down".into()).await?;
    }
    nats.flush().await?;
    Ok(())
}

async fn connect(data: &HostData) -> Result<Client> {
    let mut options =
        ConnectOptions::new().name(format!("keyvalue provider {}", data.provider_key));
    if !data.lattice_rpc_user_jwt.is_empty() {
        let pair = nkeys::KeyPair::from_seed(&data.lattice_rpc_user_seed)
            .map_err(|_| anyhow::anyhow!("host data has a malformed `lattice_rpc_user_seed`"))?;
        let pair = Arc::new(pair);
        options = options.jwt(data.lattice_rpc_user_jwt.clone(), move |nonce| {
            let pair = Arc::clone(&pair);
            async move { pair.sign(&nonce).map_err(async_nats::AuthError::new) }
        });
    }
    let connected = options.connect(data.lattice_rpc_url.as_str()).await;
    connected.context("cannot connect to the lattice that the host named")
}

async fn tell_health(nats: Client, links: Arc<Links>, message: Message) {
    let Some(reply) = message.reply else { return };
    let health = match links.health().await {
        Ok(()) => json!({"healthy": true}),
        Err(why) => {
            warn!(why, "unhealthy");
            json!({"healthy": false, "message": why})
        }
    };
    if let Err(error) = nats.publish(reply, health.to_string().into()).await {
        warn!(%error, "health cannot be told");
    }
}

/// Resolves when the process is asked to end.
fn terminated() -> Result<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> {
    let mut signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(Box::pin(async move {
        signal.recv().await;
    }))
}

/// The calls under way. Their ends wake nobody until somebody waits for the last one, unlike those of a `JoinSet`.
struct Calling {
    /// Each call holds a clone, and sends nothing.
    running: mpsc::Sender<Infallible>,
    ended: mpsc::Receiver<Infallible>,
}

impl Default for Calling {
    fn default() -> Self {
        let (running, ended) = mpsc::channel(1);
        Self { running, ended }
    }
}

impl Calling {
    fn spawn(&self, call: impl Future<Output = ()> + Send + 'static) {
        let running = self.running.clone();
        tokio::spawn(async move {
            call.await;
            drop(running);
        });
    }

    /// Resolves when there is none.
    async fn ended(mut self) {
        drop(self.running);
        self.ended.recv().await;
    }
}

/// What links do: either end may be this provider.
struct Control {
    provider: String,
    keys: Option<Keys>,
    links: Arc<Links>,
}

impl Control {
    fn put(&self, link: &LinkDefinition) {
        if link.source_id == self.provider {
            self.links.watch(&link.target, link.name(), link.given(true, self.keys.as_ref()));
        } else if link.target == self.provider {
            self.links.put(&link.source_id, link.name(), link.given(false, self.keys.as_ref()));
        } else {
            warn!("a link of other ends is ignored");
        }
    }

    /// The provider's own configuration, whole. Its secrets do not change while it runs.
    fn update(&self, config: &[u8]) {
        if let Ok(config) = serde_json::from_slice(config) {
            self.links.provider_config(config);
        } else {
            warn!("a configuration update is not the JSON it should be");
        }
    }

    fn delete(&self, link: &LinkDefinition) {
        if link.source_id == self.provider {
            self.links.unwatch(&link.target, link.name());
        } else {
            self.links.delete(&link.source_id, link.name());
        }
    }
}
