//! The links of this provider: who may use what.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use futures_util::future::join_all;
use store_core::config::Registry;
use store_core::layer::Retry;
use tracing::{error, info, warn};

use crate::wasmcloud::host::Given;
use crate::wasmcloud::settings::{Identifier, Plan, meant, plan};
use crate::wasmcloud::watchers::{Teller, Telling};
use crate::{Bucket, Buckets, Error, Place, Pool, Result};

/// How long a call waits for a backend that is being connected to. Hosts give a call two seconds in all.
const PATIENCE: Duration = Duration::from_millis(1500);
/// The first pause of a call that is made again, unless the longest is shorter.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How long health waits for a backend, as hosts give it two seconds in all.
const HEALTH: Duration = Duration::from_secs(1);
/// How many opened buckets a link remembers: more than any component has by design.
const OPENED: usize = 256;

/// All links.
pub(crate) struct Links {
    pool: Pool,
    teller: Teller,
    state: RwLock<State>,
    /// Settings that were warned about.
    warned: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct State {
    /// The provider's own settings, below those of every link.
    provider: Given,
    /// By component, then by link name.
    links: HashMap<String, HashMap<String, Arc<Link>>>,
    /// Those in which this provider is the source, by component and name.
    watchers: BTreeMap<(String, String), Watcher>,
}

/// Which end of a link this provider is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Target,
}

/// A component that is told of changes, as long as its link is sound.
struct Watcher {
    link: Arc<Link>,
    telling: Option<Telling>,
}

/// A link as it was put: what was given is kept, as the provider's own settings may change below it.
struct Link {
    given: Result<Given, String>,
    state: Result<Ready, String>,
}

struct Ready {
    plan: Plan,
    /// The URL without user, password and options.
    address: String,
    buckets: Buckets,
    opened: Mutex<HashMap<String, Bucket>>,
}

impl Links {
    pub(crate) fn new(registry: Registry, provider: Given, teller: Teller) -> Self {
        Self {
            pool: Pool::new(registry, PATIENCE),
            teller,
            state: RwLock::new(State { provider, ..State::default() }),
            warned: Mutex::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a link, or puts it anew. Connects in the background; a link that is wrong says so in every call.
    pub(crate) fn put(&self, component: &str, name: &str, given: Result<Given, String>) {
        let mut state = self.write();
        let before = state.links.get(component).and_then(|links| links.get(name)).cloned();
        let link = self.make(End::Target, component, name, given, &state.provider, before.as_ref());
        state.links.entry(component.to_owned()).or_default().insert(name.to_owned(), link);
    }

    /// Tells a component of changes from now on, as a link says in which this provider is the source. What is told already by an equal
    /// plan goes on, so that nothing is missed.
    pub(crate) fn watch(&self, component: &str, name: &str, given: Result<Given, String>) {
        let mut state = self.write();
        let id = (component.to_owned(), name.to_owned());
        let before = state.watchers.remove(&id);
        let watcher = self.watcher(&id, given, &state.provider, before);
        state.watchers.insert(id, watcher);
    }

    fn watcher(
        &self,
        (component, name): &(String, String),
        given: Result<Given, String>,
        provider: &Given,
        before: Option<Watcher>,
    ) -> Watcher {
        let known = before.as_ref().map(|before| &before.link);
        let link = self.make(End::Source, component, name, given, provider, known);
        let telling = match &link.state {
            Ok(Ready { plan, buckets, .. }) => {
                let going_on = before.and_then(|before| before.telling_by(plan));
                let begin = |filter| self.teller.begin(component, name, buckets.clone(), filter);
                going_on.or_else(|| plan.watch.clone().map(begin))
            }
            Err(_) => None,
        };
        Watcher { link, telling }
    }

    fn make(
        &self,
        end: End,
        component: &str,
        name: &str,
        given: Result<Given, String>,
        provider: &Given,
        before: Option<&Arc<Link>>,
    ) -> Arc<Link> {
        let planned = match &given {
            Ok(given) => plan(given, provider, component, self.pool.registry()),
            Err(error) => Err(error.clone()),
        };
        let planned = planned.and_then(|plan| match plan.watch {
            None if end == End::Source => {
                Err("`watch` is missing: what the component is told of".to_owned())
            }
            _ => Ok(plan),
        });
        if let (Some(before), Ok(plan)) = (before, &planned)
            && before.state.as_ref().is_ok_and(|ready| ready.plan == *plan)
            && before.given == given
        {
            return Arc::clone(before);
        }
        let state = planned.and_then(|plan| self.ready(plan));
        match &state {
            Ok(ready) => info!(component, link = name, backend = ready.address, "linked"),
            Err(error) => error!(component, link = name, error, "a link is refused"),
        }
        Arc::new(Link { given, state })
    }

    fn ready(&self, plan: Plan) -> Result<Ready, String> {
        for name in &plan.exposed {
            if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
                warn!(setting = name, "a secret came in plain configuration: make it a secret");
            }
        }
        let connection = self.pool.connect(&plan.url).map_err(|e| e.to_string())?;
        let address = connection.address().to_owned();
        let place = Place::at(connection, plan.database.clone())
            .table(plan.table.as_str())
            .prefix(plan.prefix.as_str())
            .ttl(plan.ttl)
            .limits(plan.limits)
            .create(plan.create, plan.config.clone())
            .retry(
                Retry::new()
                    .attempts(plan.reconnect.retries.saturating_add(1))
                    .pauses(FIRST_PAUSE.min(plan.reconnect.max_delay), plan.reconnect.max_delay)
                    .budget(PATIENCE),
            );
        let mut buckets = match plan.identifier {
            Identifier::Link | Identifier::Any => Buckets::any(place),
            Identifier::Table => Buckets::tables(place),
            Identifier::Database => Buckets::databases(place, plan.bucket_prefix.as_str()),
        };
        if let Some(granted) = &plan.granted {
            if matches!(plan.identifier, Identifier::Link | Identifier::Any) {
                return Err("setting `buckets`: needs `identifier` table or database".to_owned());
            }
            buckets = buckets.grant(granted);
        }
        Ok(Ready { plan, address, buckets, opened: Mutex::default() })
    }

    /// Deletes one link and no other.
    pub(crate) fn delete(&self, component: &str, name: &str) {
        let mut state = self.write();
        let Some(links) = state.links.get_mut(component) else { return };
        if links.remove(name).is_some() {
            info!(component, link = name, "unlinked");
        }
        if links.is_empty() {
            state.links.remove(component);
        }
    }

    /// Tells a component of changes no more.
    pub(crate) fn unwatch(&self, component: &str, name: &str) {
        let id = (component.to_owned(), name.to_owned());
        if self.write().watchers.remove(&id).is_some() {
            info!(component, link = name, "unlinked");
        }
    }

    /// Changes the provider's own configuration, and with it the links that it changes.
    pub(crate) fn provider_config(&self, config: BTreeMap<String, String>) {
        let mut state = self.write();
        if state.provider.config == config {
            return;
        }
        state.provider.config = config;
        let State { provider, links, watchers } = &mut *state;
        for (component, links) in links {
            for (name, link) in links {
                *link = self.make(
                    End::Target,
                    component,
                    name,
                    link.given.clone(),
                    provider,
                    Some(&Arc::clone(link)),
                );
            }
        }
        for (id, before) in std::mem::take(watchers) {
            let given = before.link.given.clone();
            let watcher = self.watcher(&id, given, provider, Some(before));
            watchers.insert(id, watcher);
        }
    }

    /// Opens the bucket that a component means.
    ///
    /// Where the component has a link of the bucket's name whose buckets are named by links, it means that one, whatever link the call
    /// came by: so it is with wasmCloud's NATS provider. Else it means the link that the call came by.
    pub(crate) async fn bucket(
        &self,
        component: &str,
        link: &str,
        identifier: &str,
    ) -> Result<Bucket> {
        let link = self.find(component, link, identifier)?;
        let ready = link.state.as_ref().map_err(|error| Error::Other(error.clone()))?;
        let known = |ready: &Ready| {
            let opened = ready.opened.lock().unwrap_or_else(PoisonError::into_inner);
            // One whose database is gone is opened anew, by the link's rule for databases that are missing.
            opened.get(identifier).filter(|bucket| bucket.place().is_there()).cloned()
        };
        if let Some(bucket) = known(ready) {
            return Ok(bucket);
        }
        let bucket = ready.buckets.open(identifier).await?;
        let mut opened = ready.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= OPENED {
            opened.clear();
        }
        opened.insert(identifier.to_owned(), bucket.clone());
        Ok(bucket)
    }

    fn find(&self, component: &str, link: &str, identifier: &str) -> Result<Arc<Link>> {
        let state = self.read();
        let links = state.links.get(component).ok_or_else(|| {
            Error::Other(format!("component {component:?} is not linked to this provider"))
        })?;
        // The calls of a link that is refused must not land in another store.
        let by_link = |link: &Link| {
            let meant = if let Ok(ready) = &link.state {
                Some(ready.plan.identifier)
            } else {
                link.given.as_ref().ok().and_then(|given| meant(given, &state.provider))
            };
            meant.map_or(identifier != "default", |meant| meant == Identifier::Link)
        };
        if let Some(named) = links.get(identifier).filter(|named| by_link(named)) {
            return Ok(Arc::clone(named));
        }
        let found = links.get(link).ok_or_else(|| {
            Error::Other(format!("component {component:?} has no link {link:?} to this provider"))
        })?;
        let known = match &found.state {
            Ok(ready) if ready.plan.identifier == Identifier::Link => {
                matches!(identifier, "" | "default") || identifier == ready.plan.database.as_str()
            }
            _ => true,
        };
        if known { Ok(Arc::clone(found)) } else { Err(Error::NoSuchStore) }
    }

    /// What is wrong as far as it is known without asking a backend, and where to ask each of them.
    fn survey(&self) -> (BTreeSet<String>, HashMap<String, Place>) {
        let state = self.read();
        let (mut wrong, mut places) = (BTreeSet::new(), HashMap::new());
        let links = state.links.iter().flat_map(|(component, links)| {
            links.iter().map(move |(name, link)| (component, name, link))
        });
        let watchers = state.watchers.iter();
        let sources = watchers.clone().map(|((component, name), w)| (component, name, &w.link));
        for (component, name, link) in links.chain(sources) {
            match &link.state {
                Err(error) => {
                    wrong.insert(format!("link {name} of {component}: {error}"));
                }
                Ok(ready) => {
                    if let Some(place) = ready.buckets.places().next() {
                        places.entry(ready.plan.url.clone()).or_insert_with(|| place.clone());
                    }
                }
            }
        }
        for ((component, name), watcher) in watchers {
            if let Some(trouble) = watcher.telling.as_ref().and_then(Telling::trouble) {
                wrong.insert(format!("link {name} of {component}: {trouble}"));
            }
        }
        (wrong, places)
    }

    /// Whether all backends serve, all links are sound and all that are watched can be.
    pub(crate) async fn health(&self) -> Result<(), String> {
        let (mut wrong, places) = self.survey();
        let pings = join_all(
            places
                .into_values()
                .map(|place| async move { tokio::time::timeout(HEALTH, place.ping()).await }),
        );
        for ping in pings.await {
            match ping {
                Ok(Ok(())) => {}
                Ok(Err(error)) => _ = wrong.insert(error.to_string()),
                Err(_) => _ = wrong.insert("a backend does not answer".to_owned()),
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(wrong.into_iter().collect::<Vec<_>>().join("; "))
    }

    /// Lets go of all links and closes all connections.
    pub(crate) async fn close(&self) {
        {
            let mut state = self.write();
            state.links.clear();
            state.watchers.clear();
        }
        self.pool.close().await;
    }
}

impl Watcher {
    /// What tells by an equal plan already, if it still does.
    fn telling_by(self, plan: &Plan) -> Option<Telling> {
        let same = self.link.state.as_ref().is_ok_and(|ready| ready.plan == *plan);
        self.telling.filter(|telling| same && !telling.has_ended())
    }
}
