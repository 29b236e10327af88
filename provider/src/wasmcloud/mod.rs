//! The wasmCloud capability provider: `wrpc:keyvalue@0.2.0-draft` for components of wasmCloud 1 hosts, any backend by link.

mod drivers;
mod host;
mod lattice;
mod links;
mod seldom;
mod serve;
mod settings;
mod trace;
mod watchers;
mod whole;

#[allow(missing_docs, missing_debug_implementations, clippy::pedantic, unreachable_pub)]
#[allow(clippy::clone_on_ref_ptr, clippy::use_self, clippy::future_not_send, unused_qualifications)]
mod bindings {
    wit_bindgen_wrpc::generate!({ path: "wit", world: "provider" });
}

pub use drivers::drivers;
use store_core::config::Registry;
use tokio::task::JoinSet;

/// A provider as its host described it.
pub struct Provider(host::HostData);

impl Provider {
    /// From the line that a host writes to stdin.
    ///
    /// # Errors
    /// What is wrong with it, without showing it.
    pub fn new(line: &str) -> anyhow::Result<Self> {
        host::HostData::parse(line).map(Self)
    }

    /// What to log, as the host wants it.
    pub fn log_level(&self) -> &str {
        self.0.log_level.as_deref().unwrap_or("info")
    }

    /// Whether to log JSON.
    pub fn logs_json(&self) -> bool {
        self.0.structured_logging
    }

    /// Serves with these backends until the host says stop.
    ///
    /// # Errors
    /// Why it cannot serve.
    pub async fn run(self, registry: Registry) -> anyhow::Result<()> {
        // A task of its own: the future of `main` is not polled where the connection's task is, and each call would wake a thread. In
        // a set, which ends it with this future.
        let mut serving = JoinSet::new();
        serving.spawn(lattice::run(self.0, registry));
        match serving.join_next().await {
            Some(served) => served?,
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Provider").field(&self.0.provider_key).finish()
    }
}
