use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use store_core::config::{Registry, StoreUrl};
use store_core::{ErrorKind, StoreAdmin};
use tokio::sync::watch;

use crate::backoff::Backoff;
use crate::{Error, Result};

/// Connections to backends, one per resolved URL however many buckets use it. A connection is made in the background and tried
/// again until the backend is there; it closes with the last bucket that uses it.
pub struct Pool {
    registry: Registry,
    patience: Duration,
    open: Mutex<HashMap<String, Weak<Connection>>>,
    /// What lives in this process only, and would be lost with its last user.
    kept: Mutex<Vec<Arc<Connection>>>,
}

impl Pool {
    /// Connections by these drivers. A call waits up to `patience` for one that is not there.
    pub fn new(registry: Registry, patience: Duration) -> Self {
        Self { registry, patience, open: Mutex::default(), kept: Mutex::default() }
    }

    /// The drivers.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The connection of a URL, which is begun if there is none. Needs a tokio runtime.
    ///
    /// # Errors
    /// `InvalidArgument` for a URL that is none, or that no driver opens.
    pub fn connect(&self, url: &str) -> Result<Arc<Connection>> {
        let address: StoreUrl = url.parse()?;
        if !self.registry.schemes().contains(&address.scheme()) {
            return Err(Error::InvalidArgument(format!(
                "no driver for `{}://`; there are: {}",
                address.scheme(),
                self.registry.schemes().join(", ")
            )));
        }
        let mut open = lock(&self.open);
        if let Some(connection) = open.get(url).and_then(Weak::upgrade) {
            return Ok(connection);
        }
        let connection = Connection::begin(self.registry.clone(), url, &address, self.patience);
        open.retain(|_, connection| connection.strong_count() > 0);
        open.insert(url.to_owned(), Arc::downgrade(&connection));
        if address.scheme() == "memory" {
            lock(&self.kept).push(Arc::clone(&connection));
        }
        Ok(connection)
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        lock(&self.open).values().filter(|connection| connection.strong_count() > 0).count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes every connection: what is under way ends, what comes later fails.
    pub async fn close(&self) {
        let open: Vec<_> =
            lock(&self.open).drain().filter_map(|(_, weak)| weak.upgrade()).collect();
        lock(&self.kept).clear();
        for connection in open {
            connection.close().await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("registry", &self.registry)
            .field("connections", &self.len())
            .finish_non_exhaustive()
    }
}

/// How long a backend that refused its configuration is left alone.
const REFUSED: Duration = Duration::from_secs(15);

/// One connection of a [`Pool`].
pub struct Connection {
    /// The URL without user, password and options.
    address: String,
    patience: Duration,
    state: watch::Receiver<State>,
}

#[derive(Clone)]
enum State {
    /// Not there yet, perhaps for this reason.
    Trying(Option<store_core::Error>),
    Ready(Arc<dyn StoreAdmin>),
    /// It cannot be there as it is configured, unless somebody mends that elsewhere.
    Refused(store_core::Error),
}

impl Connection {
    fn begin(registry: Registry, url: &str, address: &StoreUrl, patience: Duration) -> Arc<Self> {
        let (tell, state) = watch::channel(State::Trying(None));
        let address = address.to_string();
        tokio::spawn(run(registry, url.to_owned(), address.clone(), tell));
        Arc::new(Self { address, patience, state })
    }

    /// The URL without user, password and options.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The store, for which a call waits a little where it is not there yet.
    ///
    /// # Errors
    /// `Unavailable` with the last reason, `Unsupported` where the configuration is wrong.
    pub async fn store(&self) -> Result<Arc<dyn StoreAdmin>> {
        if let State::Ready(store) = &*self.state.borrow() {
            return Ok(Arc::clone(store));
        }
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Trying(_)));
        let settled = tokio::time::timeout(self.patience, settled).await;
        let state = match settled {
            Ok(Ok(state)) => state.clone(),
            _ => self.state.borrow().clone(),
        };
        match state {
            State::Ready(store) => Ok(store),
            State::Refused(error) => Err(Error::Unsupported(format!("{}: {error}", self.address))),
            State::Trying(reason) => {
                let why = reason.map_or_else(|| "no answer yet".to_owned(), |e| e.to_string());
                Err(Error::Unavailable(format!("{} is not connected: {why}", self.address)))
            }
        }
    }

    /// Asks the backend whether it serves, without waiting for a connection that is not there.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<()> {
        let state = self.state.borrow().clone();
        match state {
            State::Ready(store) => Ok(store.ping().await?),
            State::Refused(error) | State::Trying(Some(error)) => Err(error.into()),
            State::Trying(None) => {
                Err(Error::Unavailable(format!("{} is not connected yet", self.address)))
            }
        }
    }

    async fn close(&self) {
        let state = self.state.borrow().clone();
        if let State::Ready(store) = state
            && let Err(error) = store.close().await
        {
            tracing::warn!(address = self.address, %error, "a store did not close");
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.address).finish()
    }
}

/// Opens a store, tries again where that may help, and closes it when nobody holds the connection any more.
async fn run(registry: Registry, url: String, address: String, tell: watch::Sender<State>) {
    let mut backoff = Backoff::new();
    let store = loop {
        let opened = tokio::select! {
            opened = registry.open(&url) => opened,
            () = tell.closed() => return,
        };
        match opened {
            Ok(opened) => break opened.store,
            Err(error) if is_final(error.kind()) => {
                if !matches!(&*tell.borrow(), State::Refused(_)) {
                    tracing::error!(address, %error, "a backend is refused");
                }
                tell.send_replace(State::Refused(error));
                // Somebody may mend it all the same: a file of certificates, the server's version.
                tokio::select! {
                    () = tokio::time::sleep(REFUSED) => continue,
                    () = tell.closed() => return,
                }
            }
            Err(error) => {
                tracing::warn!(address, %error, "a backend is away");
                tell.send_replace(State::Trying(Some(error)));
            }
        }
        tokio::select! {
            () = backoff.pause() => {}
            () = tell.closed() => return,
        }
    };
    tell.send_replace(State::Ready(Arc::clone(&store)));
    tell.closed().await;
    if let Err(error) = store.close().await {
        tracing::warn!(address, %error, "a store did not close");
    }
}

fn is_final(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Config | ErrorKind::InvalidArgument | ErrorKind::Unsupported)
}
