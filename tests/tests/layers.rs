//! The conformance suite around the memory driver through every layer, alone and all together: one line each.
//! Read-only is left out: a suite that cannot write proves nothing; its refusals are proven in store-core.

use std::time::Duration;

use store_core::conformance::{Fixture, Target};
use store_core::layer::{Layers, Limits, Metrics, Prefix, Retry, Trace};
use store_core::{Capability, Feature, MAX_KEY_LEN, Result, async_trait};
use tests::memory::MemoryTarget;

/// The memory driver within layers, and what it can do there.
struct Within {
    name: &'static str,
    layers: Layers,
    capability: Capability,
}

#[async_trait]
impl Target for Within {
    fn name(&self) -> String {
        "memory".into()
    }

    fn layout(&self) -> String {
        self.name.into()
    }

    fn capability(&self) -> Capability {
        self.capability
    }

    async fn open(&self) -> Result<Fixture> {
        let layers = self.layers.clone();
        Ok(MemoryTarget.open().await?.map_store(move |store| layers.wrap(store)))
    }
}

macro_rules! conform {
    ($($name:ident: $layers:expr, $capability:expr;)*) => {$(
        mod $name {
            use super::*;

            store_core::conformance_suite!(Within {
                name: stringify!($name),
                layers: $layers,
                capability: $capability,
            });
        }
    )*};
}

conform! {
    trace: Layers::new().trace_with(Trace::new().with_keys()), memory();
    metrics: Layers::new().metrics(Metrics::new()), memory();
    retry: Layers::new().retry(Retry::new()), memory();
    timeout: Layers::new().timeout(Duration::from_secs(30)), memory();
    limits: Layers::new().limits(limits()), limited(memory());
    prefix: Layers::new().prefix(a_prefix()), a_part(memory());
    all: every_layer(), limited(a_part(memory()));
}

fn memory() -> Capability {
    MemoryTarget.capability()
}

const LARGEST: usize = 1 << 20;
const LONGEST: usize = 700;

fn limits() -> Limits {
    Limits::new()
        .max_value_len(LARGEST)
        .max_key_len(LONGEST)
        .max_page(100)
        .max_concurrent_calls(64)
        .max_calls_per_second(10_000_000)
}

fn limited(mut capability: Capability) -> Capability {
    capability.max_value_len = Some(LARGEST);
    capability.max_key_len = Some(LONGEST);
    capability
}

const PREFIX: &str = "tenant-7/";

fn a_prefix() -> Prefix {
    Prefix::new(PREFIX).expect("a prefix")
}

/// What is left of a capability under a prefix: shorter keys, and databases that are not one's own.
fn a_part(mut capability: Capability) -> Capability {
    capability.max_key_len = Some(MAX_KEY_LEN - PREFIX.len());
    capability.without(Feature::Databases)
}

fn every_layer() -> Layers {
    Layers::new()
        .trace()
        .metrics(Metrics::new())
        .retry(Retry::new())
        .timeout(Duration::from_secs(30))
        .limits(limits())
        .prefix(a_prefix())
}
