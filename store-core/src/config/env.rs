//! Configuration from the environment.

use std::ffi::OsString;

use crate::config::settings::set;
use crate::config::{Config, Options, nearest};
use crate::error::{Error, Result};

/// What the variables are called behind their prefix. The rest of `OPTION_` is the name of a driver's option, in any case.
const KNOWN: [&str; 16] = [
    "URL",
    "DATABASE",
    "TIMEOUT",
    "RETRIES",
    "TRACE",
    "TRACE_KEYS",
    "METRICS",
    "READ_ONLY",
    "PREFIX",
    "MAX_VALUE_LEN",
    "MAX_KEY_LEN",
    "MAX_ITEMS",
    "MAX_PAGE",
    "MAX_CONCURRENT_CALLS",
    "MAX_CALLS_PER_SECOND",
    OPTION,
];

const OPTION: &str = "OPTION_";

impl Config {
    /// From the environment variables of this prefix, by custom `STORE_`: `STORE_URL`, `STORE_DATABASE`, the
    /// [common options](crate::config#common-options) such as `STORE_TIMEOUT` and `STORE_READ_ONLY`, and `STORE_OPTION_<name>` for
    /// those of the driver. An empty variable is not set. What Kubernetes sets for a Service of the prefix's name
    /// (`STORE_SERVICE_HOST`, `STORE_PORT_80_TCP` and their like, see "Discovering services" in its documentation) is left alone.
    ///
    /// # Errors
    /// `Config` for another variable of this prefix, naming the known ones, and for a value that is none, naming the variable.
    pub fn from_env(prefix: &str) -> Result<Self> {
        Self::from_vars(prefix, std::env::vars_os())
    }

    /// As [`from_env`](Self::from_env), from these variables.
    ///
    /// ```
    /// # use store_core::config::Config;
    /// # use std::time::Duration;
    /// let config = Config::from_vars("STORE_", [
    ///     ("STORE_URL", "redis://localhost"),
    ///     ("STORE_TIMEOUT", "2s"),
    ///     ("STORE_OPTION_LAYOUT", "plain"),
    ///     ("HOME", "/"),
    /// ])?;
    /// assert_eq!(config.timeout, Some(Duration::from_secs(2)));
    /// assert_eq!(config.options["layout"], "plain");
    /// let error = Config::from_vars("STORE_", [("STORE_TIMOUT", "2s")]).unwrap_err();
    /// assert!(error.message().contains("did you mean `STORE_TIMEOUT`?"));
    /// # Ok::<(), store_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_vars<N: Into<OsString>, V: Into<OsString>>(
        prefix: &str,
        vars: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self> {
        let (mut config, mut common) = (Self::new(), Options::new());
        for (name, value) in vars {
            let name = name.into();
            let Some(name) = name.to_str().filter(|name| name.starts_with(prefix)) else {
                continue;
            };
            let short = &name[prefix.len()..];
            if is_of_a_service(short) {
                continue;
            }
            let value = value.into();
            let value = value
                .to_str()
                .ok_or_else(|| Error::config(format!("`{name}` is not UTF-8")))?
                .to_owned();
            let option = short.strip_prefix(OPTION).filter(|option| !option.is_empty());
            if option.is_none() && (short == OPTION || !KNOWN.contains(&short)) {
                return Err(unknown(prefix, short));
            }
            if value.is_empty() {
                continue;
            }
            match (short, option) {
                (_, Some(option)) => {
                    let option = option.to_ascii_lowercase();
                    if config.options.insert(option, value).is_some() {
                        return Err(Error::config(format!("`{name}` is given twice")));
                    }
                }
                ("URL", None) => set(&mut config.url, name, Some(value))?,
                _ => common.insert(short.to_ascii_lowercase(), value)?,
            }
        }
        config.take_common(&mut common).map_err(|e| {
            Error::config(format!("in the environment ({prefix}*): {}", e.message()))
        })?;
        Ok(config)
    }
}

/// Whether Kubernetes sets a variable of this name in every container when there is a Service of the prefix's name.
fn is_of_a_service(short: &str) -> bool {
    ["SERVICE_HOST", "SERVICE_PORT", "PORT"].contains(&short)
        || ["SERVICE_PORT_", "PORT_"].iter().any(|start| short.starts_with(start))
}

fn unknown(prefix: &str, short: &str) -> Error {
    // A name is not a secret, but it is anybody's text: shown only as far as a variable's name goes.
    let shown: String = short.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let hint = nearest::hint(prefix, &shown, &KNOWN);
    Error::config(format!("no variable `{prefix}{shown}`{hint}"))
}
