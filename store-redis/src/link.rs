//! One connection: what is sent over it, and whether it still lives.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind as Kind, Pipeline, RedisError, RedisResult, Value};
use store_core::Result;

use crate::fault::{Effect, fault};
use crate::script::Script;

/// One connection. Ends with the last call that uses it.
pub(crate) struct Link {
    connection: MultiplexedConnection,
    dead: Arc<AtomicBool>,
    /// Differs between the connections of a store.
    pub(crate) generation: u64,
    /// The run of the server, as far as it told.
    pub(crate) run: String,
    /// The server's version before the first dot.
    pub(crate) major: u32,
}

/// What is sent at once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request<'a> {
    /// A command: its answer.
    One(&'a Cmd),
    /// A call of a script, loaded again where the server forgot it: its answer.
    Script(&'a Script, &'a Cmd),
    /// Commands: an array with the answer of each, which may be an error.
    Each(&'a Pipeline),
    /// Reads that see one and the same state: an array of their answers.
    Together(&'a Pipeline),
}

impl Link {
    pub(crate) fn new(
        connection: MultiplexedConnection,
        dead: Arc<AtomicBool>,
        generation: u64,
        run: String,
    ) -> Self {
        Self { connection, dead, generation, run, major: 7 }
    }

    #[inline]
    pub(crate) fn is_alive(&self) -> bool {
        !self.dead.load(Ordering::Acquire)
    }

    /// Lets the next call make a new connection.
    pub(crate) fn give_up(&self) {
        self.dead.store(true, Ordering::Release);
    }

    /// Sends a request. `asking` is for a server of a cluster that takes over the slot: it would refuse otherwise.
    #[inline]
    pub(crate) async fn send(&self, request: Request<'_>, asking: bool) -> RedisResult<Value> {
        match request {
            Request::One(command) => self.called(command, asking).await,
            Request::Script(script, command) => self.script(script, command, asking).await,
            Request::Each(pipe) => self.each(pipe).await.map(Value::Array),
            Request::Together(pipe) => self.together(pipe).await,
        }
    }

    /// A command, for who knows what its errors mean.
    pub(crate) async fn command(&self, command: &Cmd, effect: Effect) -> Result<Value> {
        self.one(command).await.map_err(|error| fault(error, effect))
    }

    #[inline]
    async fn one(&self, command: &Cmd) -> RedisResult<Value> {
        let mut connection = self.connection.clone();
        self.checked(connection.send_packed_command(command).await)
    }

    pub(crate) async fn each(&self, pipe: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut connection = self.connection.clone();
        let answers = connection.send_packed_commands(pipe, 0, pipe.len()).await;
        answers.inspect_err(|error| self.look(error))
    }

    async fn last(&self, pipe: &Pipeline, skip: usize) -> RedisResult<Value> {
        let mut connection = self.connection.clone();
        let answers = connection.send_packed_commands(pipe, skip, 1).await;
        self.checked(answers.map(|mut answers| answers.pop().unwrap_or(Value::Nil)))
    }

    async fn together(&self, pipe: &Pipeline) -> RedisResult<Value> {
        self.last(pipe, pipe.len() + 1).await
    }

    async fn asking(&self, command: &Cmd) -> RedisResult<Value> {
        let mut pipe = Pipeline::with_capacity(2);
        pipe.cmd("ASKING").add_command(command.clone());
        self.last(&pipe, 1).await
    }

    async fn script(&self, script: &Script, command: &Cmd, asking: bool) -> RedisResult<Value> {
        match self.called(command, asking).await {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.one(&script.load()).await?;
                self.called(command, asking).await
            }
            answer => answer,
        }
    }

    async fn called(&self, command: &Cmd, asking: bool) -> RedisResult<Value> {
        if asking { self.asking(command).await } else { self.one(command).await }
    }

    /// The error in place of an answer that is one.
    #[inline]
    fn checked(&self, answer: RedisResult<Value>) -> RedisResult<Value> {
        match answer {
            Ok(Value::ServerError(error)) => Err(error.into()),
            Ok(value) => Ok(value),
            Err(error) => {
                self.look(&error);
                Err(error)
            }
        }
    }

    /// After a lost connection, or an answer that did not come in time, the next call makes a new connection.
    #[cold]
    fn look(&self, error: &RedisError) {
        if error.is_io_error() || error.kind() == Kind::Parse {
            self.give_up();
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.generation)
    }
}
