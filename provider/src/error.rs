use std::fmt;

use store_core::ErrorKind;

/// What every call of a bucket returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a bucket could not do what was asked: the cases that the interfaces in the field tell apart. Texts never hold a value or a
/// credential.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no such bucket.
    NoSuchStore,
    /// The caller may not use this bucket, which may or may not exist.
    AccessDenied,
    /// The call itself is wrong and can never work.
    InvalidArgument(String),
    /// A condition did not hold; nothing was changed.
    PreconditionFailed(String),
    /// No answer in time.
    Timeout(String),
    /// The backend cannot be reached now.
    Unavailable(String),
    /// Too large, too many, or full.
    QuotaExceeded(String),
    /// The backend, as it is or as it is configured, can never do this.
    Unsupported(String),
    /// Anything else.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchStore => "no such store",
            Self::AccessDenied => "access denied",
            Self::InvalidArgument(text)
            | Self::PreconditionFailed(text)
            | Self::Timeout(text)
            | Self::Unavailable(text)
            | Self::QuotaExceeded(text)
            | Self::Unsupported(text)
            | Self::Other(text) => text,
        })
    }
}

impl std::error::Error for Error {}

impl From<store_core::Error> for Error {
    fn from(error: store_core::Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            ErrorKind::NotFound => Self::NoSuchStore,
            ErrorKind::PermissionDenied => Self::AccessDenied,
            ErrorKind::InvalidArgument => Self::InvalidArgument(text),
            ErrorKind::Conflict | ErrorKind::AlreadyExists => Self::PreconditionFailed(text),
            ErrorKind::Timeout => Self::Timeout(text),
            // Closed: the link is going away, and the next call may meet its successor.
            ErrorKind::Unavailable | ErrorKind::Closed => Self::Unavailable(text),
            ErrorKind::TooLarge | ErrorKind::Full | ErrorKind::RateLimited => {
                Self::QuotaExceeded(text)
            }
            ErrorKind::Unsupported | ErrorKind::Config => Self::Unsupported(text),
            _ => Self::Other(text),
        }
    }
}
