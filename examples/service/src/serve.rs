use std::error::Error;
use std::future::IntoFuture as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use store_core::Database;
use store_core::config::Opened;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::app::{App, Stopping};

/// How long requests that are under way may take after the service was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves until it is told to stop: then finishes what is under way, ends the event streams and closes the store.
pub(crate) async fn serve(
    listen: SocketAddr,
    opened: Opened,
    database: &Database,
) -> Result<(), Box<dyn Error>> {
    // First of all, so that a signal is never missed by whoever has seen that it listens.
    let signal = signal()?;
    let listener = TcpListener::bind(listen).await?;
    greet(listener.local_addr()?, opened.store.driver())?;

    let (stop, stopping) = watch::channel(false);
    let stopping = Stopping::new(stopping);
    let app = App::new(&opened, database, stopping.clone())?;
    let server = axum::serve(listener, crate::app::router(app))
        .with_graceful_shutdown(async move { stopping.wait().await })
        .into_future();
    let mut server = std::pin::pin!(server);

    tokio::select! {
        ended = &mut server => return Ok(ended?),
        name = signal => tracing::info!(signal = name, "stopping"),
    }
    stop.send_replace(true);
    let drained = timeout(DRAIN, server).await;
    drained.unwrap_or_else(|_| {
        tracing::warn!(after = ?DRAIN, "some requests did not finish");
        Ok(())
    })?;
    opened.store.close().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Listens for the signals to stop at once; what it returns waits for one, and names it.
#[cfg(unix)]
fn signal() -> io::Result<impl Future<Output = &'static str>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}

#[cfg(windows)]
fn signal() -> io::Result<impl Future<Output = &'static str>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
        "Ctrl-C"
    })
}

fn greet(at: SocketAddr, driver: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "\
service listens on http://{at}, store: {driver}

  curl -i -X PUT 'http://{at}/profiles/ada?ttl=1h' -H 'content-type: application/json' -d '{{\"name\":\"Ada\"}}'
  curl -i 'http://{at}/profiles/ada'
  curl -N 'http://{at}/profiles/events'
"
    )?;
    out.flush()
}
