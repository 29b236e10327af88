//! The conformance suite on NATS JetStream, in every layout.

use std::sync::{Arc, OnceLock};

use store_core::conformance::{Fixture, Target};
use store_core::{Capability, Feature, Result, StoreAdmin, async_trait};
use store_natsjs::{Layout, Nats};
use tests::servers::nats::Server;

/// One server for all that runs here.
fn url() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start).url()
}

struct On(Layout);

async fn open(layout: Layout) -> Result<Arc<dyn StoreAdmin>> {
    let store = Nats::builder().servers([url()]).layout(layout).connect().await?;
    Ok(Arc::new(store))
}

#[async_trait]
impl Target for On {
    fn name(&self) -> String {
        "nats".into()
    }

    fn layout(&self) -> String {
        self.0.as_str().into()
    }

    fn capability(&self) -> Capability {
        let mut capability = Capability::all();
        capability.max_value_len = Some((1 << 20) - (32 << 10));
        capability.max_atomic = Some(1000);
        if self.0 == Layout::Native {
            return capability;
        }
        capability.max_atomic = None;
        for feature in [
            Feature::Expiry,
            Feature::SetExpiry,
            Feature::KeepExpiry,
            Feature::OutliveDefault,
            Feature::AtomicBatch,
        ] {
            capability = capability.without(feature);
        }
        capability.alphabet = match self.0 {
            Layout::GoMicroBase32 => None,
            _ => Some(
                "A-Z a-z 0-9 - / _ = . in keys and tables, no dot at either end of the whole, no two dots in a row, not \
                 beginning with _kv",
            ),
        };
        capability.max_value_len = Some(((1 << 20) - (32 << 10)) / 4 * 3);
        if self.0 == Layout::Plain {
            capability = capability.without(Feature::Tables).without(Feature::Metadata);
            capability.max_value_len = Some((1 << 20) - 1024);
        }
        capability
    }

    async fn open(&self) -> Result<Fixture> {
        let layout = self.0;
        Ok(Fixture::new(open(layout).await?).with_reopen(move || open(layout)))
    }

    fn accepts_key(&self, key: &str) -> bool {
        match self.0 {
            Layout::Native | Layout::GoMicroBase32 => true,
            _ => is_sound(key),
        }
    }

    fn accepts_table(&self, table: &str) -> bool {
        match self.0 {
            Layout::Native | Layout::GoMicroBase32 => true,
            Layout::GoMicro => is_sound(table),
            _ => false,
        }
    }
}

fn is_sound(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/_=.".contains(&b))
        && !text.starts_with('.')
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.starts_with("_kv")
}

mod native {
    store_core::conformance_suite!(super::On(super::Layout::Native));
}

mod go_micro {
    store_core::conformance_suite!(super::On(super::Layout::GoMicro));
}

mod go_micro_base32 {
    store_core::conformance_suite!(super::On(super::Layout::GoMicroBase32));
}

mod plain {
    store_core::conformance_suite!(super::On(super::Layout::Plain));
}
