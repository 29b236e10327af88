//! What the server or the connection says, as the store's errors.

use redis::{ErrorKind as Kind, RedisError};
use store_core::{Error, ErrorKind};

/// Whether a call may have changed something when its answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Change,
}

/// The server's answer to a command, or what became of the connection.
pub(crate) fn fault(error: RedisError, effect: Effect) -> Error {
    if let Some(code) = error.code().map(str::to_owned) {
        if code == "EXECABORT" {
            // What a transaction was refused for is said of its commands.
            let first = refusals(&error).into_iter().next();
            return refused(first.as_ref().map_or(&*code, |(code, _)| code), error);
        }
        return refused(&code, error);
    }
    let (kind, message) = match error.kind() {
        Kind::AuthenticationFailed => {
            return Error::new(
                ErrorKind::Unauthenticated,
                "the server does not accept user or password",
            );
        }
        Kind::InvalidClientConfig => {
            return Error::config("the connection is configured wrongly").with_source(error);
        }
        Kind::Io if error.is_timeout() => (ErrorKind::Timeout, "the server did not answer in time"),
        Kind::Io | Kind::Parse | Kind::ClusterConnectionNotFound => {
            (ErrorKind::Unavailable, "the connection was lost")
        }
        _ => (ErrorKind::Internal, "an answer of the server that this driver does not know"),
    };
    let lost = Error::new(kind, message).with_source(error);
    if effect == Effect::Change { lost.outcome_unknown() } else { lost }
}

/// What a server said when it refused a command, or the commands of a transaction: code and the rest for each.
pub(crate) fn refusals(error: &RedisError) -> Vec<(String, String)> {
    let said = error.clone().into_server_errors();
    let said = said.iter().flat_map(|errors| errors.iter());
    let words = |error: &redis::ServerError| {
        (error.code().to_owned(), error.details().unwrap_or_default().to_owned())
    };
    said.map(|(_, error)| words(error)).collect()
}

/// What a server before 7.0 says of a command that it refused within a script: `Error running script (…): -OOM command not allowed`.
fn in_script(code: &str, detail: &str) -> Option<String> {
    if code != "ERR" || !detail.contains("running script") {
        return None;
    }
    let (_, said) = detail.split_once(" -")?;
    said.split_ascii_whitespace().next().map(str::to_owned)
}

/// A command that the server refused: it changed nothing.
fn refused(code: &str, error: RedisError) -> Error {
    let inner = in_script(code, error.detail().unwrap_or_default());
    let (kind, message) = match inner.as_deref().unwrap_or(code) {
        "NOAUTH" | "WRONGPASS" => {
            (ErrorKind::Unauthenticated, "the server does not accept user or password")
        }
        "NOPERM" => (
            ErrorKind::PermissionDenied,
            "the server's access rules (ACL) do not allow a command or key that this needs; the layout `table` needs \
             EVALSHA and SCRIPT LOAD",
        ),
        "READONLY" => {
            (ErrorKind::PermissionDenied, "the server is a read-only replica, not the primary")
        }
        "OOM" => (ErrorKind::Full, "the server is out of memory (maxmemory)"),
        "WRONGTYPE" => (ErrorKind::Corrupt, "another type than a string lies at the record's key"),
        "LOADING" => (ErrorKind::Unavailable, "the server is loading its data"),
        "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "NOREPLICAS" => {
            (ErrorKind::Unavailable, "the server or its cluster cannot serve this now")
        }
        "BUSY" => (ErrorKind::Unavailable, "the server is busy with a script"),
        "MISCONF" => {
            (ErrorKind::Unavailable, "the server cannot save its data and refuses writes (MISCONF)")
        }
        "MOVED" | "ASK" => {
            (ErrorKind::Unavailable, "another server of the cluster has the key now")
        }
        "CROSSSLOT" => (ErrorKind::Unsupported, "a cluster cannot do this across tables"),
        // Shows what was sent, which may be a value.
        _ if error.detail().is_some_and(|text| text.contains("unknown command")) => {
            return Error::unsupported("the server does not know a command that this needs");
        }
        _ => (ErrorKind::Internal, "the server refused the command"),
    };
    Error::new(kind, message).with_source(error)
}

/// What was stored is not what this layout writes.
#[cold]
pub(crate) fn corrupt(message: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, message)
}

/// An answer of another shape than the command has.
#[cold]
pub(crate) fn unexpected() -> Error {
    Error::new(ErrorKind::Internal, "the server answered in a shape that this driver does not know")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_script_was_refused_is_found_in_what_old_servers_say_of_it() {
        let said = "Error running script (call to f_12-ab): @user_script:27: @user_script: 27: -OOM command not allowed when used \
                    memory > 'maxmemory'.";
        assert_eq!(in_script("ERR", said).as_deref(), Some("OOM"));
        assert_eq!(in_script("ERR", "value is not an integer -OOM"), None);
        assert_eq!(in_script("OOM", said), None);
        assert_eq!(in_script("ERR", "Error running script (call to f): -"), None);
    }
}
