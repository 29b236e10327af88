use std::error::Error;
use std::future::IntoFuture as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use store_core::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::app::{App, Stopping};

/// How long requests that are under way may take after the service was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves until it is told to stop: then finishes what is under way, ends the event streams and closes the store.
pub(crate) async fn serve(listen: SocketAddr, store: Arc<dyn Store>) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(listen).await?;
    greet(listener.local_addr()?, store.driver())?;

    let (stop, stopping) = watch::channel(false);
    let stopping = Stopping::new(stopping);
    let app = App::new(&store, stopping.clone())?;
    let server = axum::serve(listener, crate::app::router(app))
        .with_graceful_shutdown(async move { stopping.wait().await })
        .into_future();
    let mut server = std::pin::pin!(server);

    tokio::select! {
        ended = &mut server => return Ok(ended?),
        signal = signal() => tracing::info!(signal = signal?, "stopping"),
    }
    stop.send_replace(true);
    let drained = timeout(DRAIN, server).await;
    drained.unwrap_or_else(|_| {
        tracing::warn!(after = ?DRAIN, "some requests did not finish");
        Ok(())
    })?;
    store.close().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for the signal to stop, and names it.
#[cfg(unix)]
async fn signal() -> io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
    }
}

#[cfg(not(unix))]
async fn signal() -> io::Result<&'static str> {
    tokio::signal::ctrl_c().await.map(|()| "Ctrl-C")
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
