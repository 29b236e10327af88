use std::env;
use std::error::Error;
use std::net::SocketAddr;

use tracing_subscriber::filter::Targets;

/// What the environment says about the service itself.
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) log: Targets,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            listen: or("SERVICE_LISTEN", "127.0.0.1:8080")?
                .parse()
                .map_err(|_| "SERVICE_LISTEN is no address such as 127.0.0.1:8080")?,
            log: or("RUST_LOG", "info")?.parse().map_err(|error| format!("RUST_LOG: {error}"))?,
        })
    }
}

fn or(name: &str, default: &str) -> Result<String, String> {
    match env::var(name) {
        Ok(value) => Ok(value),
        Err(env::VarError::NotPresent) => Ok(default.to_owned()),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8")),
    }
}
