//! Opening stores from URLs, files, the environment and builders, with a driver that says what it was given.
#![allow(clippy::unwrap_used, reason = "also in the helpers of tests")]

mod env;
mod file;
mod hostile;
mod open;

use std::sync::{Arc, Mutex};

use store_core::config::{Driver, OptionSpec, Options, Registry, StoreUrl};
use store_core::{Error, ErrorKind, Result, StoreAdmin, async_trait};
use store_memory::Memory;

/// Opens one memory store, again and again.
#[derive(Clone, Debug)]
struct Local {
    memory: Arc<Memory>,
    opened: Arc<Mutex<Vec<String>>>,
}

impl Local {
    fn new() -> Self {
        Self { memory: Arc::new(Memory::new()), opened: Arc::default() }
    }

    fn registry(&self) -> Registry {
        Registry::new().with(self.clone())
    }

    /// What was opened since the last look.
    fn opened(&self) -> Vec<String> {
        std::mem::take(&mut self.opened.lock().unwrap())
    }
}

#[async_trait]
impl Driver for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn schemes(&self) -> &'static [&'static str] {
        &["local", "local+socket"]
    }

    fn options(&self) -> &'static [OptionSpec] {
        const {
            &[
                OptionSpec::new("colour", "red|blue", "nothing, but it must be one"),
                OptionSpec::new("password", "text", "a secret").secret(),
                OptionSpec::new("unused", "text", "documented and never taken"),
            ]
        }
    }

    fn path_is_database(&self, scheme: &str) -> bool {
        scheme == "local"
    }

    async fn open(&self, url: &StoreUrl, options: &mut Options) -> Result<Arc<dyn StoreAdmin>> {
        let colour = options.take_enum("colour", &[("red", 1), ("blue", 2)])?;
        if options.take_str("password").as_deref() == Some("wrong") {
            return Err(Error::new(ErrorKind::Unauthenticated, "not this password"));
        }
        self.opened.lock().unwrap().push(format!("{url} {colour:?}"));
        Ok(Arc::<Memory>::clone(&self.memory))
    }
}
