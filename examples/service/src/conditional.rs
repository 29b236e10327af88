//! Revisions as ETags, and conditions as `If-Match` and `If-None-Match`.

use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use store_core::Revision;

use crate::error::ApiError;

/// What a request asks to hold.
#[derive(Debug, PartialEq)]
pub(crate) enum If {
    /// Nothing.
    Any,
    /// There is none yet.
    Absent,
    /// It has this version.
    Match(Revision),
}

/// The condition of a request. One that does not hold is answered with 409, whether the client knew an older version or
/// none: it is the store's `Conflict`, and the answer carries the present ETag.
pub(crate) fn condition(headers: &HeaderMap) -> Result<If, ApiError> {
    match (text(headers, &IF_MATCH)?, text(headers, &IF_NONE_MATCH)?) {
        (None, None) => Ok(If::Any),
        (Some(tag), None) => revision(tag).map(If::Match).ok_or_else(|| {
            ApiError::invalid("If-Match must be one ETag of this service, in double quotes")
        }),
        (None, Some("*")) => Ok(If::Absent),
        (None, Some(_)) => Err(ApiError::invalid("If-None-Match can only be *")),
        (Some(_), Some(_)) => {
            Err(ApiError::invalid("If-Match and If-None-Match exclude each other"))
        }
    }
}

/// Adds the ETag of a revision.
pub(crate) fn etag(headers: &mut HeaderMap, revision: Option<Revision>) {
    let tag = revision.and_then(|revision| HeaderValue::try_from(format!("\"{revision}\"")).ok());
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
}

fn revision(tag: &str) -> Option<Revision> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(|value| Some(value.trim()))
            .map_err(|_| ApiError::invalid(format!("{name} is not ASCII"))),
        _ => Err(ApiError::invalid(format!("{name} is given twice"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(HeaderName, &'static str)]) -> Result<If, ApiError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_static(value));
        }
        condition(&headers)
    }

    #[test]
    fn headers_become_conditions() {
        let revision = Revision::from_parts(1, 42);
        assert_eq!(of(&[]).unwrap(), If::Any);
        assert_eq!(of(&[(IF_NONE_MATCH, "*")]).unwrap(), If::Absent);
        assert_eq!(of(&[(IF_MATCH, "\"1-2a\"")]).unwrap(), If::Match(revision));
        let mut headers = HeaderMap::new();
        etag(&mut headers, Some(revision));
        assert_eq!(headers[ETAG], "\"1-2a\"");
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for bad in ["*", "1-2a", "W/\"1-2a\"", "\"1-2a\", \"1-2b\"", "\"\"", "\"", ""] {
            assert!(of(&[(IF_MATCH, bad)]).is_err(), "{bad}");
        }
        assert!(of(&[(IF_NONE_MATCH, "\"1-2a\"")]).is_err());
        assert!(of(&[(IF_MATCH, "\"1-2a\""), (IF_NONE_MATCH, "*")]).is_err());
        assert!(of(&[(IF_MATCH, "\"1-2a\""), (IF_MATCH, "\"1-2a\"")]).is_err());
    }
}
