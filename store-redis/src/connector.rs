//! The way to the data: the one server, the primary that Sentinels name, or the servers of a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Arg, Cmd, Pipeline, RedisError, Value};
use store_core::{Consistency, Error, ErrorKind, Feature, ReadOptions, Result};

use crate::cluster::{Cluster, Turn, turn};
use crate::config::{Config, Deployment};
use crate::fault::{Effect, fault};
use crate::link::{Link, Request};
use crate::node::{Listener, Node, Shared};
use crate::reply;
use crate::script::Script;
use crate::sentinel::Sentinels;

/// The way to the data.
pub(crate) struct Connector {
    shared: Arc<Shared>,
    servers: Servers,
}

enum Servers {
    One(Node),
    Cluster(Cluster),
}

impl Connector {
    pub(crate) fn new(config: Config) -> Result<Self> {
        let shared = Arc::new(Shared::new(config)?);
        let config = &shared.config;
        let servers = match &config.deployment {
            Deployment::Single => Servers::One(Node::at(&shared, &config.server)?),
            Deployment::Sentinel(name) => {
                Servers::One(Node::named(&shared, Sentinels::new(name, config)?))
            }
            Deployment::Cluster => Servers::Cluster(Cluster::new(&shared)?),
        };
        Ok(Self { shared, servers })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        self.shared.warnings()
    }

    /// Whether the data is spread over servers.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.servers, Servers::Cluster(_))
    }

    #[inline]
    pub(crate) fn open(&self) -> Result<()> {
        self.shared.open()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Refuses what this layout or this server cannot read.
    pub(crate) async fn check_read(&self, o: ReadOptions) -> Result<()> {
        if o.revision.is_some() {
            return Err(Error::lacks(Feature::History));
        }
        if o.consistency == Consistency::Strong && self.is_replica().await? {
            return Err(Error::lacks(Feature::StrongRead));
        }
        Ok(())
    }

    /// Whether the one server is a replica, which may be behind its primary. Members of a cluster that are send their calls on, and
    /// Sentinels name none.
    pub(crate) async fn is_replica(&self) -> Result<bool> {
        if self.config().deployment != Deployment::Single {
            return Ok(false);
        }
        self.link("").await?;
        Ok(self.shared.is_replica())
    }

    /// Lets nobody begin a call, and waits for those under way.
    pub(crate) async fn close(&self) {
        self.shared.shut();
        match &self.servers {
            Servers::One(node) => node.drain().await,
            Servers::Cluster(cluster) => {
                for node in cluster.nodes() {
                    node.drain().await;
                }
            }
        }
    }

    /// The way to the server that has a key.
    #[inline]
    pub(crate) fn route<'a>(&'a self, key: &'a [u8]) -> Route<'a> {
        Route { connector: self, key, asked: None, since: None, turns: 0 }
    }

    /// The connection to the server that has a key.
    pub(crate) async fn link(&self, key: &str) -> Result<Arc<Link>> {
        self.route(key.as_bytes()).link().await
    }

    /// A connection of its own to the server that has a key, for a caller that blocks it. Its answers may take `timeout`.
    pub(crate) async fn dial(&self, key: &str, timeout: Option<Duration>) -> Result<Link> {
        match &self.servers {
            Servers::One(node) => node.dial(timeout, None).await,
            Servers::Cluster(cluster) => {
                let dialed = cluster.owner(key.as_bytes()).await?.dial(timeout, None).await;
                dialed.inspect_err(|_| cluster.doubt())
            }
        }
    }

    /// A connection of its own to the one server, for a caller that hears what the server says unasked.
    pub(crate) async fn listen(&self, listener: Listener) -> Result<Link> {
        match &self.servers {
            Servers::One(node) => {
                node.dial(Some(self.config().answer_timeout), Some(listener)).await
            }
            Servers::Cluster(_) => Err(Error::unsupported(
                "each server of a cluster tells of its own keys only: there is none to listen to for all",
            )),
        }
    }

    /// One command. One that only reads is repeated when the connection turns out to be lost.
    #[inline]
    pub(crate) async fn command(&self, command: &Cmd, effect: Effect) -> Result<Value> {
        self.call(self.key(command), Request::One(command), effect).await
    }

    /// One command for the server that has this key.
    pub(crate) async fn command_at(
        &self,
        key: &str,
        command: &Cmd,
        effect: Effect,
    ) -> Result<Value> {
        self.call(key.as_bytes(), Request::One(command), effect).await
    }

    /// Several commands at once, each with its own answer.
    pub(crate) async fn pipeline(&self, pipe: &Pipeline, effect: Effect) -> Result<Vec<Value>> {
        reply::array(self.call(self.first_key(pipe), Request::Each(pipe), effect).await?)
    }

    /// Reads that see one and the same state: their answers.
    pub(crate) async fn together(&self, pipe: &Pipeline) -> Result<Vec<Value>> {
        let key = self.first_key(pipe);
        reply::array(self.call(key, Request::Together(pipe), Effect::Read).await?)
    }

    /// A script, loaded again where the server forgot it.
    pub(crate) async fn script(
        &self,
        script: &Script,
        command: &Cmd,
        effect: Effect,
    ) -> Result<Value> {
        self.call(self.key(command), Request::Script(script, command), effect).await
    }

    /// Sends a request to the server that has a key, wherever that turns out to be.
    async fn call(&self, key: &[u8], request: Request<'_>, effect: Effect) -> Result<Value> {
        let mut route = self.route(key);
        let mut repeated = false;
        loop {
            let link = route.link().await?;
            let error = match link.send(request, route.is_asking()).await {
                Ok(value) => match self.sent_on(request, &value) {
                    None => return Ok(value),
                    Some(error) => error,
                },
                Err(error) => error,
            };
            if route.follow(&link, &error).await? {
                continue;
            }
            if effect == Effect::Read && !repeated && !link.is_alive() && error.is_io_error() {
                tracing::debug!(%error, "repeating a read on a new connection");
                repeated = true;
                continue;
            }
            return Err(fault(error, effect));
        }
    }

    /// The first of several answers that sends its command to another server: all of them are asked again there.
    fn sent_on(&self, request: Request<'_>, answers: &Value) -> Option<RedisError> {
        let (Request::Each(_), true, Value::Array(answers)) = (request, self.is_cluster(), answers)
        else {
            return None;
        };
        answers.iter().find_map(|answer| match answer {
            Value::ServerError(error) => {
                let error = error.clone().into();
                turn(&error).is_some().then_some(error)
            }
            _ => None,
        })
    }

    /// The key that says which server of a cluster gets a command.
    fn key<'c>(&self, command: &'c Cmd) -> &'c [u8] {
        if !self.is_cluster() {
            return &[];
        }
        let mut words = command.args_iter().filter_map(|arg| match arg {
            Arg::Simple(word) => Some(word),
            _ => None,
        });
        let key = match words.next() {
            // Name, digest, number of keys, key.
            Some(b"EVALSHA") => words.nth(2),
            _ => words.next(),
        };
        key.unwrap_or_default()
    }

    fn first_key<'p>(&self, pipe: &'p Pipeline) -> &'p [u8] {
        pipe.cmd_iter().next().map(|command| self.key(command)).unwrap_or_default()
    }
}

/// The way of one call to the server that has its key. Nothing of a cluster is seen beyond this.
pub(crate) struct Route<'a> {
    connector: &'a Connector,
    key: &'a [u8],
    /// The server that is asked this once, instead of the slot's owner.
    asked: Option<Arc<Node>>,
    /// When the call was first sent on, and how often it was.
    since: Option<Instant>,
    turns: u32,
}

impl Route<'_> {
    #[inline]
    pub(crate) async fn link(&self) -> Result<Arc<Link>> {
        match (&self.connector.servers, &self.asked) {
            (Servers::One(node), _) => node.link().await,
            (Servers::Cluster(_), Some(node)) => node.link().await,
            (Servers::Cluster(cluster), None) => self.owner(cluster).await,
        }
    }

    async fn owner(&self, cluster: &Cluster) -> Result<Arc<Link>> {
        self.connector.open()?;
        let owner = cluster.owner(self.key).await?;
        let error = match owner.link().await {
            Ok(link) => return Ok(link),
            Err(error) => error,
        };
        // Nothing was sent: if another server has taken its place, that one is as good.
        cluster.doubt();
        let heir = cluster.owner(self.key).await?;
        if Arc::ptr_eq(&owner, &heir) {
            cluster.doubt();
            return Err(error);
        }
        heir.link().await
    }

    pub(crate) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether to send the call again: the server did nothing of it, and another one, or the same a little later, may.
    pub(crate) async fn follow(&mut self, link: &Link, error: &RedisError) -> Result<bool> {
        let cluster = match &self.connector.servers {
            Servers::Cluster(cluster) => cluster,
            Servers::One(_) => {
                // It was the primary, and is none any more: the Sentinels know which one is, or it is looked at anew.
                if error.code() == Some("READONLY") && !self.connector.shared.is_replica() {
                    link.give_up();
                }
                return Ok(false);
            }
        };
        if error.is_io_error() {
            cluster.doubt();
            self.asked = None;
        }
        let Some(turn) = turn(error) else {
            return Ok(false);
        };
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() > self.connector.config().answer_timeout {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the table's slot is being moved to another server of the cluster",
            ));
        }
        self.turns += 1;
        self.asked = None;
        let at_once = self.turns <= 2 && turn != Turn::Again;
        match turn {
            Turn::Moved(slot, server) => cluster.moved(slot, &server)?,
            Turn::Ask(server) => self.asked = Some(cluster.node(&server)?),
            Turn::Again => {}
        }
        if !at_once {
            // A slot on its way, which takes a while.
            tokio::time::sleep(PAUSE * self.turns.min(20)).await;
        }
        Ok(true)
    }
}

/// How much longer each time a call waits for a slot that is on its way.
const PAUSE: Duration = Duration::from_millis(3);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.servers {
            Servers::One(node) => write!(f, "Connector({node:?})"),
            Servers::Cluster(cluster) => write!(f, "Connector({cluster:?})"),
        }
    }
}
