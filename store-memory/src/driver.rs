use std::sync::Arc;

use store_core::config::{Driver, OptionSpec, Options, StoreUrl};
use store_core::{DatabaseConfig, Error, Result, StoreAdmin, WhenFull};

use crate::Memory;

/// The driver of `memory://` URLs, for a [`Registry`](store_core::config::Registry). Each opening is a new, empty store.
///
/// | option | value | |
/// |---|---|---|
/// | `default_ttl` | duration | how long a record lives that is written without an expiry; else for ever |
/// | `history` | number | versions kept of each record, the present one included; 1 unless said |
/// | `max_records` | number | the most records of a database |
/// | `max_bytes` | size | the most bytes of a database |
/// | `when_full` | `refuse`, `evict` | what a full database does with a write; `refuse` unless said |
/// | `auto_create` | on/off | whether a first write makes its database; on unless said |
/// | `watch_buffer` | number | changes kept of a watched table; 16384 unless said |
///
/// ```
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// use store_core::config::Registry;
///
/// let registry = Registry::new().with(store_memory::driver());
/// let opened = registry.open("memory:///app?default_ttl=1h&max_records=1000&when_full=evict").await?;
/// opened.handle()?.table("users")?.write("ada", "lovelace").await?;
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
pub fn driver() -> impl Driver {
    MemoryDriver
}

#[derive(Debug)]
struct MemoryDriver;

const OPTIONS: &[OptionSpec] = &[
    OptionSpec::new(
        "default_ttl",
        "duration",
        "how long a record lives without an expiry of its own; else for ever",
    ),
    OptionSpec::new(
        "history",
        "number",
        "versions kept of each record, the present one included; 1",
    ),
    OptionSpec::new("max_records", "number", "the most records of a database; no limit"),
    OptionSpec::new("max_bytes", "size", "the most bytes of a database; no limit"),
    OptionSpec::new("when_full", "refuse|evict", "what a full database does with a write; refuse"),
    OptionSpec::new("auto_create", "on/off", "whether a first write makes its database; on"),
    OptionSpec::new("watch_buffer", "number", "changes kept of a watched table; 16384"),
];

#[store_core::async_trait]
impl Driver for MemoryDriver {
    fn name(&self) -> &'static str {
        crate::DRIVER
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["memory"]
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    async fn open(&self, url: &StoreUrl, options: &mut Options) -> Result<Arc<dyn StoreAdmin>> {
        if !url.hosts().is_empty() || url.username().is_some() || url.password().is_some() {
            return Err(Error::config(
                "memory:// has no host and no user: memory:///database?option=value",
            ));
        }
        let mut defaults = DatabaseConfig::new();
        defaults.default_ttl = options.take_duration("default_ttl")?;
        defaults.history = options.take_with("history", "a number, 1 or more", |text| {
            text.parse().ok().filter(|versions| *versions > 0)
        })?;
        defaults.max_records = options.take_u64("max_records")?;
        defaults.max_bytes = options.take_size("max_bytes")?;
        defaults.when_full = options
            .take_enum("when_full", &[("refuse", WhenFull::Refuse), ("evict", WhenFull::Evict)])?;
        let mut builder = Memory::builder().defaults(defaults);
        if let Some(auto_create) = options.take_bool("auto_create")? {
            builder = builder.auto_create(auto_create);
        }
        if let Some(changes) = options.take_u64("watch_buffer")? {
            builder = builder.watch_buffer(usize::try_from(changes).unwrap_or(usize::MAX));
        }
        options.finish()?;
        Ok(Arc::new(builder.build()))
    }
}

#[cfg(test)]
mod tests {
    use store_core::ErrorKind;
    use store_core::config::Registry;

    #[tokio::test]
    async fn every_documented_option_is_taken_and_nothing_else() {
        let registry = Registry::new().with(super::driver());
        let all = "memory:///app?default_ttl=1h&history=2&max_records=5&max_bytes=1MiB&when_full=evict\
                   &auto_create=off&watch_buffer=10";
        assert!(super::OPTIONS.iter().all(|option| all.contains(option.name)));
        registry.open(all).await.unwrap();
        for bad in [
            "memory://localhost/app",
            "memory://user@/app",
            "memory:///app?history=0",
            "memory:///app?max_records=-1",
            "memory:///app?when_full=explode",
            "memory:///app?default_ttl=0s",
            "memory:///app?defaultttl=1s",
            "memory:///a.b",
        ] {
            let error = registry.open(bad).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{bad}: {error}");
        }
    }
}
