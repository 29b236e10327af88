//! A server that keeps its data where the system tidies up: nats-server does by default, and nobody notices before it is gone.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;

use crate::wire::mux::{Deadline, Mux};

/// What servers tell of their JetStream, to accounts that import it from the system's. Nobody else is told where the data lies.
pub(crate) const SUBJECT: &str = "$SYS.REQ.SERVER.PING.JSZ";

/// Without the import the answer is at once that nobody answers.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    store_dir: String,
}

/// Warns if the data lies under a temporary directory and these credentials can see that.
pub(crate) async fn look(mux: &Mux) {
    let deadline =
        Deadline { at: Instant::now() + PATIENCE, attempt: PATIENCE, reconnect: PATIENCE };
    let body = Bytes::from_static(b"{\"config\":true}");
    let Ok(message) = mux.request(SUBJECT, None, body, deadline).await else { return };
    let Ok(answer) = serde_json::from_slice::<Answer>(&message.payload) else { return };
    if is_temporary(&answer.data.config.store_dir) {
        tracing::warn!(
            directory = answer.data.config.store_dir,
            "the NATS server keeps its data under a temporary directory: set `store_dir` in its `jetstream` block, or the data \
             may be gone after a restart of the machine"
        );
    }
}

/// By the usual names, and by where this machine's is: the server may be on another one.
fn is_temporary(directory: &str) -> bool {
    let usual = ["/tmp/", "/var/tmp/", "/private/tmp/", "/var/folders/"];
    usual.iter().any(|start| directory.starts_with(start))
        || directory.to_ascii_lowercase().contains(r"\temp\")
        || std::path::Path::new(directory).starts_with(std::env::temp_dir())
}

#[cfg(test)]
mod tests {
    use super::is_temporary;

    #[test]
    fn temporary_directories_are_known_by_their_names() {
        let local = std::env::temp_dir().join("nats");
        for directory in ["/tmp/nats/jetstream", r"C:\Users\me\AppData\Local\Temp\nats\jetstream"] {
            assert!(is_temporary(directory), "{directory}");
        }
        assert!(is_temporary(local.to_str().unwrap_or("/tmp/nats")));
        for directory in ["", "/data", "/tmpfs/nats", "/srv/tmp/nats", r"D:\nats"] {
            assert!(!is_temporary(directory), "{directory}");
        }
    }
}
