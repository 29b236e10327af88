//! The other processes: this program in another role.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use wrpc_transport_nats::NatsContext;

use super::BUCKET;
use super::upstream::exports::wrpc::keyvalue::{atomics, batch, store};
use super::upstream::{self, Echo, Upstream};
use crate::Result;

/// A process that ends with this value.
pub(crate) struct Child(std::process::Child);

impl Child {
    /// The provider as a host starts it, with one link.
    pub(crate) fn provider(url: &str) -> Result<Self> {
        let data = json!({
            "host_id": "bench", "lattice_rpc_prefix": "bench", "lattice_rpc_url": url,
            "provider_key": "provider", "env_values": {}, "log_level": "error",
            "link_definitions": [{
                "source_id": "c", "target": "provider", "name": "default",
                "wit_namespace": "wasi", "wit_package": "keyvalue",
                "interfaces": ["store", "atomics", "batch"],
                "target_config": {"bucket": BUCKET, "cluster_uri": url},
            }],
        });
        let line = base64::engine::general_purpose::STANDARD.encode(data.to_string());
        Self::start("provider", &line)
    }

    pub(crate) fn start(role: &str, input: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", role])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut stdin = child.stdin.take().ok_or("a child has no stdin")?;
        writeln!(stdin, "{input}")?;
        Ok(Self(child))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a child does.
pub(crate) fn serve(role: &str) -> Result<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let url = line.trim();
    let served = match role {
        "provider" => runtime.block_on(async {
            provider::wasmcloud::Provider::new(url)?.run(provider::wasmcloud::drivers()).await
        }),
        // Where it is cheapest, as ours: on the runtime's own threads.
        "echo" => runtime.block_on(async {
            let nats = wrpc_nats::connect(url).await?;
            tokio::spawn(answer(nats, "echo", Echo)).await?
        }),
        // Where upstream's SDK has it: in the future of `main`.
        "upstream" => runtime.block_on(async {
            let nats = wrpc_nats::connect(url).await?;
            let upstream = Upstream::open(nats.clone(), BUCKET).await?;
            answer(nats, "upstream", upstream).await
        }),
        _ => return Err(format!("no role {role:?}").into()),
    };
    served.map_err(|error| format!("{role}: {error:#}").into())
}

async fn answer<H>(nats: wrpc_nats::Client, name: &str, handler: H) -> anyhow::Result<()>
where
    H: store::Handler<NatsContext>
        + atomics::Handler<NatsContext>
        + batch::Handler<NatsContext>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let prefix: Arc<str> = format!("bench.{name}").into();
    let wrpc = wrpc_transport_nats::Client::new(nats, Arc::clone(&prefix), Some(prefix)).await?;
    let serving = Box::pin(upstream::serve(&wrpc, handler)).await?;
    let mut calls = stream::select_all(serving.into_iter().map(|(_, _, calls)| calls));
    while let Some(call) = calls.next().await {
        let call = call.context("a call is malformed")?;
        // A failed increment is an answer that never comes right: the caller counts it.
        tokio::spawn(async move { drop(call.await) });
    }
    Ok(())
}
