use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::config::{Options, StoreUrl};
use crate::error::Result;
use crate::store::StoreAdmin;

/// **For drivers.** How a [`Registry`](crate::config::Registry) opens a store of this kind from a URL.
///
/// A driver crate exports one, by convention as the function `driver()`, and a program registers it by hand: nothing is linked or
/// started behind its back.
///
/// ```
/// use std::sync::Arc;
/// use store_core::config::{Driver, OptionSpec, Options, StoreUrl};
/// use store_core::{Result, StoreAdmin};
///
/// #[derive(Debug)]
/// struct Embedded;
///
/// #[store_core::async_trait]
/// impl Driver for Embedded {
///     fn name(&self) -> &'static str {
///         "embedded"
///     }
///
///     fn schemes(&self) -> &'static [&'static str] {
///         &["embedded"]
///     }
///
///     fn options(&self) -> &'static [OptionSpec] {
///         const { &[OptionSpec::new("max_bytes", "size", "the most bytes it may take")] }
///     }
///
///     async fn open(&self, _: &StoreUrl, options: &mut Options) -> Result<Arc<dyn StoreAdmin>> {
///         let _limit: Option<u64> = options.take_size("max_bytes")?;
///         options.finish()?;
///         Ok(Arc::new(store_memory::Memory::new()))
///     }
/// }
/// ```
#[async_trait]
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// The name that its stores answer to [`Store::driver`](crate::Store::driver).
    fn name(&self) -> &'static str;

    /// The URL schemes it opens, in lower case, the usual one first.
    fn schemes(&self) -> &'static [&'static str];

    /// Every option it takes, for documentation, and so that an unknown one is refused before anything is opened. The
    /// [common ones](crate::config#common-options) are not among them.
    fn options(&self) -> &'static [OptionSpec];

    /// Whether the path of such a URL is the name of the database, as in `memory:///users`, which the registry then takes. A
    /// driver that needs the path for itself, for example for a socket, says no and reads [`StoreUrl::path`].
    fn path_is_database(&self, scheme: &str) -> bool {
        let _ = scheme;
        true
    }

    /// Opens a store. Takes its options, calls [`Options::finish`], and only then connects.
    ///
    /// # Errors
    /// `Config` for what is wrong with URL or options, otherwise why the backend cannot be reached.
    async fn open(&self, url: &StoreUrl, options: &mut Options) -> Result<Arc<dyn StoreAdmin>>;
}

/// One documented option of a [`Driver`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionSpec {
    /// Its name: `a-z 0-9 _`.
    pub name: &'static str,
    /// What its value looks like, in a word or two: `duration`, `on/off`, `size`, `number`, `text`, `a|b|c`.
    pub value: &'static str,
    /// What it does, in one line, with its default.
    pub about: &'static str,
    /// Whether its value is to be kept secret, such as a password.
    pub secret: bool,
}

impl OptionSpec {
    /// An option.
    pub const fn new(name: &'static str, value: &'static str, about: &'static str) -> Self {
        Self { name, value, about, secret: false }
    }

    /// Its value is to be kept secret: who configures it is told where it lies open.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}
