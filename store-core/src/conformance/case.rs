//! What a case is, and how it says what it found.

use std::fmt;
use std::future::Future;

use futures_util::future::BoxFuture;

use super::cx::Cx;
use crate::capability::Feature;
use crate::error::{Error, ErrorKind, Outcome};

pub(super) type Check<T = ()> = Result<T, Failure>;

/// Why a case did not pass.
#[derive(Debug)]
pub(super) enum Failure {
    /// The driver broke the contract.
    Wrong(String),
    /// Perhaps the driver broke the contract, perhaps its answers came too late to tell.
    TooSlow(String),
    /// The driver says that it cannot do this.
    Unsupported(String),
    /// This target cannot be asked, and why.
    NotApplicable(&'static str),
}

impl Failure {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self::Wrong(what.into())
    }

    /// What is being looked at, put before what is wrong with it.
    pub(super) fn about(self, what: impl fmt::Display) -> Self {
        match self {
            Self::Wrong(why) => Self::Wrong(format!("{what}: {why}")),
            other => other,
        }
    }

    /// The same, found in a run in which the answers came too late.
    pub(super) fn in_slow_run(self) -> Self {
        match self {
            Self::Wrong(why) => Self::TooSlow(why),
            other => other,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Unsupported => Self::Unsupported(format!("{error:?}")),
            _ => Self::Wrong(format!("unexpected error: {error:?}")),
        }
    }
}

type Body = dyn Fn(Cx) -> BoxFuture<'static, Check> + Send + Sync;

/// One sentence of the contract, as code.
pub(super) struct Case {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) needs: Vec<Feature>,
    pub(super) proves: Option<Feature>,
    /// Only for drivers that lack this.
    pub(super) without: Option<Feature>,
    /// Spends its time waiting where time is real: such cases begin first.
    pub(super) waits: bool,
    /// Takes the longer the more sequences are asked for.
    pub(super) searches: bool,
    pub(super) body: Box<Body>,
}

pub(super) fn case(id: &'static str, title: &'static str) -> Draft {
    Draft {
        id,
        title,
        needs: Vec::new(),
        proves: None,
        without: None,
        waits: false,
        searches: false,
    }
}

#[must_use]
pub(super) struct Draft {
    id: &'static str,
    title: &'static str,
    needs: Vec<Feature>,
    proves: Option<Feature>,
    without: Option<Feature>,
    waits: bool,
    searches: bool,
}

impl Draft {
    pub(super) fn needs<const N: usize>(mut self, features: [Feature; N]) -> Self {
        self.needs.extend(features);
        self
    }

    /// If it passes, the driver has this feature. It runs whether or not the driver declares it.
    pub(super) fn proves(mut self, feature: Feature) -> Self {
        self.proves = Some(feature);
        self.needs([feature])
    }

    /// Only for drivers without this feature.
    pub(super) fn without(mut self, feature: Feature) -> Self {
        self.without = Some(feature);
        self
    }

    pub(super) fn waits(mut self) -> Self {
        self.waits = true;
        self
    }

    pub(super) fn searches(mut self) -> Self {
        self.searches = true;
        self
    }

    pub(super) fn run<F, Fut>(self, body: F) -> Case
    where
        F: Fn(Cx) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Check> + Send + 'static,
    {
        Case {
            id: self.id,
            title: self.title,
            needs: self.needs,
            proves: self.proves,
            without: self.without,
            waits: self.waits,
            searches: self.searches,
            body: Box::new(move |cx| Box::pin(body(cx))),
        }
    }
}

/// Fails the case unless this holds.
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err($crate::conformance::case::Failure::new(format!($($what)+)));
        }
    };
}

/// Fails the case unless the first is what the second says.
macro_rules! ensure_eq {
    ($got:expr, $want:expr, $($what:tt)+) => {
        match (&$got, &$want) {
            (got, want) => {
                if *got != *want {
                    return Err($crate::conformance::case::differs(&got, &want, &format!($($what)+)));
                }
            }
        }
    };
}

pub(super) fn differs(got: &dyn fmt::Debug, want: &dyn fmt::Debug, what: &str) -> Failure {
    Failure::new(format!("{what}: expected {}, got {}", short(want), short(got)))
}

/// A value as text that fits a report.
fn short(value: &dyn fmt::Debug) -> String {
    const MOST: usize = 400;
    let text = format!("{value:?}");
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// The error of a call that must be refused with this kind, without having changed anything.
pub(super) fn refused<T>(
    result: crate::Result<T>,
    kind: ErrorKind,
    what: impl fmt::Display,
) -> Check<Error> {
    match result {
        Ok(_) => Err(Failure::new(format!("{what}: expected the error {kind}, got success"))),
        Err(error) if error.kind() == kind => {
            ensure_eq!(error.outcome(), Outcome::NotApplied, "{what}: outcome of {error}");
            Ok(error)
        }
        Err(error) if error.kind() == ErrorKind::Unsupported => Err(error.into()),
        Err(error) => {
            Err(Failure::new(format!("{what}: expected the error {kind}, got {error:?}")))
        }
    }
}

pub(super) fn conflict<T>(result: crate::Result<T>, what: impl fmt::Display) -> Check<Error> {
    refused(result, ErrorKind::Conflict, what)
}

pub(super) fn invalid<T>(result: crate::Result<T>, what: impl fmt::Display) -> Check<Error> {
    refused(result, ErrorKind::InvalidArgument, what)
}
