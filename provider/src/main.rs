//! The wasmCloud capability provider; see `--help`.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use anyhow::{Context as _, bail};
use provider::wasmcloud::{Provider, drivers};
use tracing_subscriber::EnvFilter;

const HELP: &str = "\
A key-value capability provider for wasmCloud 1: any component that imports wasi:keyvalue@0.2.0-draft
(store, atomics, batch) gets the backend that its link names, and one that exports `watcher` is told of
changes. A wasmCloud host starts this program and writes its host data, base64 of JSON, to stdin; there is
nothing to start by hand and there are no arguments.

Link settings, in any case, as configuration or secrets, per link or for the whole provider:
  backend           nats, redis or memory; else the scheme of `url` or the names below say which
  url               where the backend is, such as nats://h:4222, redis://h:6379/0, memory://
  NATS, as wasmCloud's own provider has them:
    bucket, cluster_uri, js_domain, tls_ca, tls_ca_file, client_jwt, client_seed, enable_bucket_auto_create
  Redis, as wasmCloud's own provider has them:
    URL, BACKEND_RECONNECT_NUM_RETRIES, BACKEND_RECONNECT_MAX_DELAY_MS, BACKEND_CONNECTION_TIMEOUT_MS,
    BACKEND_RESPONSE_TIMEOUT_MS, DISABLE_DEFAULT_CONNECTION, SHARE_CONNECTIONS_BY_URL, WATCH
  Any backend:
    database, table, prefix, ttl, identifier (link, any, table, database), buckets, bucket_prefix,
    create (never, missing), default_ttl, history, replicas, storage, max_bytes,
    max_value_len, max_result_len, max_batch, page, watch
All of them, with defaults and examples: docs/provider.md.
";

#[allow(clippy::print_stdout, reason = "help is what was asked for")]
fn main() -> anyhow::Result<()> {
    let drivers = drivers();
    let stdin = std::io::stdin();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let help = arguments.iter().any(|argument| argument == "--help" || argument == "-h");
    if help || arguments.is_empty() && stdin.is_terminal() {
        println!("{HELP}\nBackends in this build: {}", drivers.schemes().join(", "));
        return Ok(());
    }
    if !arguments.is_empty() {
        bail!("there are no arguments: a wasmCloud host starts this program; see --help");
    }
    let mut line = Vec::new();
    // A host writes one line; whatever else is there is read no further than any host data is long.
    stdin.lock().take(65 << 20).read_until(b'\n', &mut line)?;
    // The error would show what is there.
    let line = String::from_utf8(line).ok().context("stdin is not base64 of host data")?;
    let provider = Provider::new(&line)?;
    drop(line);
    let filter = EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(provider.log_level()))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    if provider.logs_json() {
        log.json().init();
    } else {
        log.init();
    }
    tokio::runtime::Runtime::new()?.block_on(provider.run(drivers))
}
