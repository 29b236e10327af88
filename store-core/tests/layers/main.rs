//! The layers, each alone and all together.
#![allow(clippy::unwrap_used, reason = "also in the helpers of tests")]

mod contract;
mod forwarding;
mod limits;
mod metrics;
mod prefix;
mod recorder;
mod retry;
mod timeout;
mod trace;

use std::sync::Arc;

use recorder::Recorder;
use store_core::layer::Layers;
use store_core::{Key, Name, Namespace, StoreAdmin};

fn name() -> Name {
    Name::new("app").unwrap()
}

fn ns() -> Namespace {
    Namespace::new(name(), "t").unwrap()
}

fn key(text: &str) -> Key<'_> {
    Key::new(text).unwrap()
}

/// A recorder, and the layers around it.
fn wrapped(layers: &Layers) -> (Arc<Recorder>, Arc<dyn StoreAdmin>) {
    let recorder = Arc::new(Recorder::default());
    let inner: Arc<dyn StoreAdmin> = Arc::<Recorder>::clone(&recorder);
    (recorder, layers.wrap(inner))
}
