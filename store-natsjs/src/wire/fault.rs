//! Why a request came to nothing.

use store_core::{Error, ErrorKind};

/// The stream does not exist.
pub(crate) const STREAM_NOT_FOUND: u64 = 10_059;
/// There is no message in the stream that was asked for.
pub(crate) const NO_MESSAGE: u64 = 10_037;
/// The subject's last sequence is another than expected: two codes, by server version and path.
const WRONG_LAST: [u64; 2] = [10_071, 10_164];
/// An earlier try with the same message id is on its way to the other servers of a cluster: it will be done or be dropped.
const IN_PROCESS: u64 = 10_158;
/// The stream is full; or was closed on this server, which is what its description says then.
const NOT_STORED: u64 = 10_077;

/// Why a request came to nothing.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// No answer in time: it may have been done.
    Timeout,
    /// The connection was lost before the answer came: it may have been done.
    Lost,
    /// There is no connection, and was none for as long as a call waits for it; nothing was sent.
    Disconnected,
    /// Nobody serves this subject: no such stream, no leader, no JetStream.
    NoResponders,
    /// The server refused the subject to these credentials.
    Denied,
    /// Over the server's `max_payload`; nothing was sent.
    TooLarge,
    /// The client was closed.
    Closed,
    /// JetStream answered with an error.
    Api { code: u64, err_code: u64, description: String },
    /// An answer that makes no sense.
    Garbage(String),
}

impl Fault {
    /// Whether the request may have had its effect.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Timeout | Self::Lost) || self.is_under_way()
    }

    /// Whether the servers of a cluster may still do it: another try under the same id tells.
    fn is_under_way(&self) -> bool {
        let Self::Api { err_code, description, .. } = self else { return false };
        match *err_code {
            IN_PROCESS => true,
            // What a cluster has agreed on is stored by the other servers.
            NOT_STORED => description == "store is closed",
            _ => false,
        }
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Timeout | Self::Lost | Self::Disconnected | Self::NoResponders => true,
            // 10008: system temporarily unavailable. A full stream is also a 503.
            Self::Api { code, err_code, .. } => {
                self.is_under_way() || *code == 503 && *err_code != NOT_STORED
            }
            _ => false,
        }
    }

    /// Whether a call may make the same request once more: for a connection it has waited as long as it may.
    pub(crate) fn is_worth_another_try(&self) -> bool {
        self.passes() && !matches!(self, Self::Disconnected)
    }

    pub(crate) fn is_api(&self, wanted: u64) -> bool {
        matches!(self, Self::Api { err_code, .. } if *err_code == wanted)
    }

    /// Whether an expected sequence did not match.
    pub(crate) fn is_wrong_sequence(&self) -> bool {
        matches!(self, Self::Api { err_code, .. } if WRONG_LAST.contains(err_code))
    }

    /// The error for a caller. `changes` says whether the request would have changed something.
    pub(crate) fn into_error(self, changes: bool) -> Error {
        let unknown = self.is_unknown() && changes;
        let error = match self {
            _ if self.is_under_way() => Error::new(
                ErrorKind::Unavailable,
                "the cluster has not agreed on the write in time: it is still under way",
            ),
            Self::Timeout => Error::new(ErrorKind::Timeout, "no answer from the server in time"),
            Self::Lost => {
                Error::new(ErrorKind::Unavailable, "the connection was lost before the answer came")
            }
            Self::Disconnected => Error::new(ErrorKind::Unavailable, "no connection to a server"),
            Self::NoResponders => Error::new(
                ErrorKind::Unavailable,
                "JetStream does not answer: the stream has no leader now, or JetStream is not enabled",
            ),
            Self::Denied => Error::new(
                ErrorKind::PermissionDenied,
                "the server refuses the subject to these credentials",
            ),
            Self::TooLarge => Error::too_large(
                "larger than the server's max_payload with key, metadata and headers",
            ),
            Self::Closed => Error::new(ErrorKind::Closed, "the connection was closed"),
            Self::Api { code, err_code, description } => api_error(code, err_code, &description),
            Self::Garbage(what) => Error::new(ErrorKind::Internal, what),
        };
        if unknown { error.outcome_unknown() } else { error }
    }
}

fn api_error(code: u64, err_code: u64, description: &str) -> Error {
    let text = |what: &str| format!("{what}: {description} ({err_code})");
    match err_code {
        STREAM_NOT_FOUND => Error::new(ErrorKind::NotFound, "there is no such bucket"),
        10_039 | 10_076 => Error::new(
            ErrorKind::Unavailable,
            text("JetStream is not enabled for this account or server"),
        ),
        10_054 => Error::too_large("larger than the bucket's largest value (max_msg_size)"),
        NOT_STORED | 10_023 | 10_028 | 10_047 => {
            Error::new(ErrorKind::Full, text("the bucket or the account is full"))
        }
        10_199 => Error::too_large("an atomic batch has at most 1000 records on this server"),
        // 10_136, 10_138: filters that overlap or are the same.
        10_052 | 10_053 | 10_025 | 10_136 | 10_138 => {
            Error::invalid(text("the server refuses this configuration"))
        }
        10_166 => Error::unsupported(text("the bucket does not allow a time to live per message")),
        10_174 => Error::unsupported(text("the bucket does not allow atomic batches")),
        10_074 => Error::invalid(text("not so many replicas on this server")),
        10_176 => Error::new(ErrorKind::RateLimited, text("the batch was not taken")),
        _ if code == 503 => Error::new(ErrorKind::Unavailable, text("the server is busy")),
        _ => Error::new(ErrorKind::Internal, text("JetStream refused")),
    }
}

#[cfg(test)]
mod tests {
    use store_core::Outcome;

    use super::*;

    fn answered(code: u64, err_code: u64, description: &str) -> Fault {
        Fault::Api { code, err_code, description: description.to_owned() }
    }

    /// The texts and codes are those of nats-server 2.10 to 2.15.
    #[test]
    fn what_a_cluster_may_still_do_is_tried_again_and_not_taken_for_refused() {
        for fault in [
            answered(409, 10_158, "duplicate message id is in process"),
            answered(503, 10_077, "store is closed"),
        ] {
            assert!(fault.is_unknown() && fault.is_worth_another_try(), "{fault:?}");
            let error = fault.into_error(true);
            assert_eq!((error.kind(), error.outcome()), (ErrorKind::Unavailable, Outcome::Unknown));
        }
        let full = answered(503, 10_077, "maximum bytes exceeded");
        assert!(!full.is_unknown() && !full.passes());
        let full = full.into_error(true);
        assert_eq!((full.kind(), full.outcome()), (ErrorKind::Full, Outcome::NotApplied));
        let follower = answered(503, 0, "raft: not leader");
        assert!(!follower.is_unknown() && follower.is_worth_another_try());
    }
}
