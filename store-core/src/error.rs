//! The one error type.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::call::{Call, Operation};
use crate::capability::Feature;
use crate::revision::Revision;

/// What every fallible call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed, whether its change may have happened, whether to try again, and where.
///
/// [`Display`](fmt::Display) is one line without the [source](StdError::source). Neither ever holds a value, a password or a
/// full URL.
///
/// ```
/// # use store_core::{Error, ErrorKind, Outcome};
/// let error = Error::invalid("a key must not be empty");
/// assert_eq!(error.kind(), ErrorKind::InvalidArgument);
/// assert_eq!(error.outcome(), Outcome::NotApplied);
/// assert!(!error.is_retryable());
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    outcome: Outcome,
    repeatable: bool,
    past_expiry: bool,
    message: Cow<'static, str>,
    driver: Option<&'static str>,
    operation: Option<Operation>,
    database: Option<Box<str>>,
    table: Option<Box<str>>,
    key: Option<Box<str>>,
    current: Option<Revision>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What went wrong, as far as a caller would act differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call itself is wrong: a name, key, duration, cursor or combination of options that can never work. Fix the caller.
    InvalidArgument,
    /// The database does not exist. (An absent record or table is no error, save in [`micro`](crate::micro), as in Go.)
    NotFound,
    /// The database exists already, with another configuration.
    AlreadyExists,
    /// A condition did not hold: the record exists, is absent, or has another revision or value. Read again, then decide.
    Conflict,
    /// An increment met a value that is no decimal integer.
    NotACounter,
    /// An increment would leave the range of `i64`.
    Overflow,
    /// A key, value, metadata or batch is larger than the store, the backend or a limit allows.
    TooLarge,
    /// The database is full, and its rule is to refuse.
    Full,
    /// This driver, server, bucket or layout cannot do it; see [`Capability`](crate::Capability).
    Unsupported,
    /// The credentials do not allow this operation, or the store is read-only.
    PermissionDenied,
    /// The backend does not accept the credentials.
    Unauthenticated,
    /// Too many calls; slow down.
    RateLimited,
    /// No answer within the deadline. A write may have happened: see [`Error::outcome`].
    Timeout,
    /// The backend cannot be reached, or went away during the call.
    Unavailable,
    /// What is stored is not what this layout writes.
    Corrupt,
    /// The configuration is wrong: URL, option, environment. Nothing was opened.
    Config,
    /// The store was closed.
    Closed,
    /// A bug or an answer that the driver does not understand.
    Internal,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 18] = [
        Self::InvalidArgument,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Conflict,
        Self::NotACounter,
        Self::Overflow,
        Self::TooLarge,
        Self::Full,
        Self::Unsupported,
        Self::PermissionDenied,
        Self::Unauthenticated,
        Self::RateLimited,
        Self::Timeout,
        Self::Unavailable,
        Self::Corrupt,
        Self::Config,
        Self::Closed,
        Self::Internal,
    ];

    /// A stable name for logs and metrics, such as `invalid_argument`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Conflict => "conflict",
            Self::NotACounter => "not_a_counter",
            Self::Overflow => "overflow",
            Self::TooLarge => "too_large",
            Self::Full => "full",
            Self::Unsupported => "unsupported",
            Self::PermissionDenied => "permission_denied",
            Self::Unauthenticated => "unauthenticated",
            Self::RateLimited => "rate_limited",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Config => "config",
            Self::Closed => "closed",
            Self::Internal => "internal",
        }
    }

    /// Whether the same call may succeed a little later without anybody changing anything.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::RateLimited)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the change that a failed call asked for may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing was changed by this call.
    NotApplied,
    /// The change may or may not have happened, or may still happen: the answer was lost.
    Unknown,
}

impl Error {
    /// For drivers: an error that changed nothing. The message says what to do, and shows no value or credential.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            outcome: Outcome::NotApplied,
            repeatable: false,
            past_expiry: false,
            message: message.into(),
            driver: None,
            operation: None,
            database: None,
            table: None,
            key: None,
            current: None,
            source: None,
        }))
    }

    /// [`ErrorKind::InvalidArgument`].
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// For drivers: [`ErrorKind::InvalidArgument`] for an expiry that is over already, by the clock of the store or its server. Whoever
    /// writes through Go-Micro's calls must be able to tell it: see [`is_past_expiry`](Self::is_past_expiry).
    pub fn past_expiry() -> Self {
        let mut error = Self::invalid("the expiry lies in the past");
        error.0.past_expiry = true;
        error
    }

    /// [`ErrorKind::TooLarge`].
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::TooLarge, message)
    }

    /// [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// For drivers: [`ErrorKind::Unsupported`] for want of a feature.
    pub fn lacks(feature: Feature) -> Self {
        Self::unsupported(format!(
            "this store cannot: {} (capability `{feature}`)",
            feature.describe()
        ))
    }

    /// [`ErrorKind::Config`].
    pub fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// [`ErrorKind::Conflict`], with the revision that the record has instead, if the backend told.
    pub fn conflict(
        message: impl Into<Cow<'static, str>>,
        current: impl Into<Option<Revision>>,
    ) -> Self {
        let mut error = Self::new(ErrorKind::Conflict, message);
        error.0.current = current.into();
        error
    }

    /// For drivers: says that the change may have happened.
    pub fn outcome_unknown(mut self) -> Self {
        self.0.outcome = Outcome::Unknown;
        self
    }

    /// For drivers: the error below this one.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// For drivers: the driver's name.
    pub fn with_driver(mut self, driver: &'static str) -> Self {
        self.0.driver.get_or_insert(driver);
        self
    }

    /// For drivers: the key, where a call has several.
    pub fn with_key(mut self, key: impl AsRef<str>) -> Self {
        self.0.key.get_or_insert_with(|| key.as_ref().into());
        self
    }

    /// For layers: says the key as the caller knows it, where a layer below knows it by another name.
    pub fn map_key(mut self, map: impl FnOnce(&str) -> String) -> Self {
        self.0.key = self.0.key.map(|key| map(&key).into());
        self
    }

    /// Adds the call's operation and address where the error has none yet. The handles do this for every call.
    pub fn in_call(mut self, driver: &'static str, call: &Call<'_>) -> Self {
        let inner = &mut *self.0;
        inner.driver.get_or_insert(driver);
        if inner.operation.is_none() {
            inner.operation = Some(call.operation);
            inner.repeatable = call.repeatable;
        }
        if let Some(database) = call.database() {
            inner.database.get_or_insert_with(|| database.into());
        }
        if let Some(namespace) = call.namespace {
            inner.table.get_or_insert_with(|| namespace.table().into());
        }
        if let Some(key) = call.key {
            inner.key.get_or_insert_with(|| key.into());
        }
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the change may have happened.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Whether this very call can be repeated as it was: the cause passes by itself, and either nothing was changed or a second
    /// time changes nothing more. A conditional write or an increment whose outcome is unknown is not.
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_transient() && (self.0.outcome == Outcome::NotApplied || self.0.repeatable)
    }

    /// Whether a write was refused because its expiry is over already. Only the store's own clock knows that.
    pub fn is_past_expiry(&self) -> bool {
        self.0.past_expiry
    }

    /// The message, without address or kind. Not stable: for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The driver that failed.
    pub fn driver(&self) -> Option<&'static str> {
        self.0.driver
    }

    /// What was called.
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation
    }

    /// The database of the call.
    pub fn database(&self) -> Option<&str> {
        self.0.database.as_deref()
    }

    /// The table of the call; empty for the root table.
    pub fn table(&self) -> Option<&str> {
        self.0.table.as_deref()
    }

    /// The key of the call, or of the item of a batch that failed.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// On [`ErrorKind::Conflict`]: the revision that the record has, when the backend told us. `None` also when it is absent.
    pub fn current_revision(&self) -> Option<Revision> {
        self.0.current
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        if let Some(driver) = inner.driver {
            write!(f, "{driver}: ")?;
        }
        if let Some(operation) = inner.operation {
            write!(f, "{operation}")?;
            match (&inner.database, &inner.table) {
                (Some(database), Some(table)) => write!(f, " {database}/{table}")?,
                (Some(database), None) => write!(f, " {database}")?,
                _ => {}
            }
            if let Some(key) = &inner.key {
                write!(f, " {key:?}")?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{} ({})", inner.message, inner.kind)?;
        if inner.outcome == Outcome::Unknown {
            f.write_str("; the change may have happened")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut next = self.source();
        while let Some(source) = next {
            write!(f, "\n  caused by: {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Name, Namespace};

    #[test]
    fn an_error_is_one_word_and_one_line() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        let ns = Namespace::new(Name::new("app").unwrap(), "users").unwrap();
        let call = Call::new(Operation::Write).at(&ns).key("ada");
        let error = Error::new(ErrorKind::Timeout, "no answer within 2s")
            .outcome_unknown()
            .with_source(std::io::Error::other("deep"))
            .in_call("memory", &call);
        assert_eq!(
            error.to_string(),
            "memory: write app/users \"ada\": no answer within 2s (timeout); the change may have happened"
        );
        assert!(format!("{error:?}").contains("caused by: deep"));
    }

    #[test]
    fn only_what_may_be_repeated_is_retryable() {
        let lost = Error::new(ErrorKind::Timeout, "lost").outcome_unknown();
        let write = Call::new(Operation::Write).repeatable(true);
        let increment = Call::new(Operation::Increment);
        assert!(lost.clone().in_call("x", &write).is_retryable());
        assert!(!lost.in_call("x", &increment).is_retryable());
        let refused = Error::new(ErrorKind::Unavailable, "no connection");
        assert!(refused.in_call("x", &increment).is_retryable());
    }

    #[test]
    fn a_past_expiry_is_told_by_itself_and_not_by_its_text() {
        let ns = Namespace::new(Name::new("app").unwrap(), "users").unwrap();
        let call = Call::new(Operation::Write).at(&ns).key("ada");
        let past = Error::past_expiry().in_call("x", &call).with_key("ada");
        assert!(past.is_past_expiry());
        assert_eq!(
            (past.kind(), past.outcome()),
            (ErrorKind::InvalidArgument, Outcome::NotApplied)
        );
        assert!(!Error::invalid(past.message().to_owned()).is_past_expiry());
    }

    #[test]
    fn kinds_have_distinct_names() {
        let names: std::collections::HashSet<_> =
            ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
