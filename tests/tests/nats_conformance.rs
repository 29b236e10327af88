//! The conformance suite on NATS JetStream, in every layout.

#![expect(clippy::print_stdout, reason = "a report is worth seeing, also when it passes")]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use store_core::conformance::{Fixture, Options, Status, Target, run_blocking};
use store_core::{Capability, Feature, Result, StoreAdmin, async_trait};
use store_natsjs::{Layout, Nats};
use tests::servers::nats::{Server, Setup, Version};
use tests::servers::nats_proxy::Proxy;

/// One server for all that runs here.
fn server(version: Version) -> &'static Server {
    static SERVERS: [OnceLock<Server>; 4] = [const { OnceLock::new() }; 4];
    SERVERS[version as usize].get_or_init(|| Server::with(&Setup::default().version(version)))
}

struct On(Layout, Version);

async fn open(layout: Layout, version: Version) -> Result<Arc<dyn StoreAdmin>> {
    let store = Nats::builder().servers([server(version).url()]).layout(layout).connect().await?;
    Ok(Arc::new(store))
}

#[async_trait]
impl Target for On {
    fn name(&self) -> String {
        "nats".into()
    }

    fn layout(&self) -> String {
        match self.1 {
            Version::Newest => self.0.as_str().into(),
            older => format!("{} on {older:?}", self.0),
        }
    }

    fn capability(&self) -> Capability {
        let mut capability = Capability::all();
        capability.max_value_len = Some((1 << 20) - (32 << 10));
        capability.max_atomic = Some(1000);
        if matches!(self.1, Version::V2_10 | Version::V2_11) {
            capability = capability.without(Feature::AtomicBatch);
            capability.max_atomic = None;
        }
        if self.0 == Layout::Native {
            return capability;
        }
        capability.max_atomic = None;
        for feature in [
            Feature::Expiry,
            Feature::SetExpiry,
            Feature::KeepExpiry,
            Feature::OutliveDefault,
            Feature::ExpiryEvents,
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
        let Self(layout, version) = *self;
        let proxy = Proxy::start(server(self.1).port()).await;
        let store = Nats::builder()
            .servers([proxy.url()])
            .layout(layout)
            .timeout(Duration::from_secs(8))
            .attempt_timeout(Duration::from_secs(2))
            .connect()
            .await?;
        let fixture = Fixture::new(Arc::new(store)).with_reopen(move || open(layout, version));
        Ok(fixture.with_faults(proxy))
    }

    fn accepts_key(&self, key: &str) -> bool {
        match self.0 {
            Layout::Native | Layout::GoMicroBase32 => true,
            // Behind a table's name, these are in the middle.
            Layout::GoMicro => is_sound(&format!("t_{key}")),
            Layout::Plain => is_sound(key),
        }
    }

    fn accepts_table(&self, table: &str) -> bool {
        match self.0 {
            Layout::Native | Layout::GoMicroBase32 => true,
            Layout::GoMicro => is_sound(table),
            Layout::Plain => false,
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

/// Runs the suite. What a layout cannot do by its nature, and has no capability for, is named here, and must really fail.
fn check(layout: Layout, version: Version, inherent: &[&str]) {
    if version.binary().is_none() && version != Version::Newest {
        println!("skipped: no nats-server {version:?} is named in the environment");
        return;
    }
    // Client and server share the processors.
    let options = Options::from_env().with_concurrency(16);
    let partial = !options.only.is_empty();
    let report = run_blocking(On(layout, version), options);
    println!("\n{report}");
    let failed: Vec<&str> = report
        .cases
        .iter()
        .filter(|case| case.status == Status::Failed)
        .map(|case| &*case.id)
        .collect();
    let surprises: Vec<_> =
        failed.iter().filter(|id| !inherent.contains(id) && **id != UNDER_LOAD).collect();
    assert!(surprises.is_empty(), "{layout}: failed: {surprises:?}");
    if !partial {
        let missing: Vec<_> = inherent.iter().filter(|id| !failed.contains(id)).collect();
        assert!(missing.is_empty(), "{layout}: passed after all: {missing:?}");
        let wrong: Vec<_> = report.features.iter().filter(|feature| !feature.agrees).collect();
        assert!(wrong.is_empty(), "{layout}: {wrong:?}");
    }
}

/// The default expiry is the stream's limit of age: it counts from the last write, for all records at once, and has a least value.
const AGE_LIMIT: [&str; 3] =
    ["default-expiry/counters", "default-expiry/update", "default-expiry/below-a-millisecond"];

/// In Go-Micro's layouts some tables and keys meet by their nature; a write is then a conflict.
const GO_MICRO: [&str; 4] = [AGE_LIMIT[0], AGE_LIMIT[1], AGE_LIMIT[2], "names/underscore-joins"];

/// With one version per record, a server under load may hand a watcher the newest state only, which the contract allows and
/// this case does not.
const UNDER_LOAD: &str = "watch/many-watchers";

#[test]
fn native() {
    check(Layout::Native, Version::Newest, &[]);
}

#[test]
fn go_micro() {
    check(Layout::GoMicro, Version::Newest, &GO_MICRO);
}

#[test]
fn go_micro_base32() {
    check(Layout::GoMicroBase32, Version::Newest, &GO_MICRO);
}

#[test]
fn plain() {
    check(Layout::Plain, Version::Newest, &AGE_LIMIT);
}

#[test]
fn native_on_2_12() {
    check(Layout::Native, Version::V2_12, &[]);
}

#[test]
fn native_on_2_11() {
    check(Layout::Native, Version::V2_11, &[]);
}

#[test]
fn native_on_2_10() {
    check(Layout::Native, Version::V2_10, &[]);
}
