//! Which database a link means.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use store_core::Name;

use super::backend::Backend;
use super::taken::Taken;

/// Takes the database's name, which upstream's NATS provider calls a bucket, and which the path of the URL may be.
pub(super) fn database(
    o: &mut Taken,
    backend: Backend,
    component: &str,
    path: Option<String>,
) -> Result<Name, String> {
    let (setting, name) = match (o.text("database"), o.text("bucket"), path) {
        (Some(_), Some(_), _) => {
            return Err("`database` and `bucket` are the same setting".into());
        }
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            return Err("`database` is given twice: in the path of `url`, too".into());
        }
        (None, None, Some(path)) => ("url", path),
        (Some(name), None, None) => ("database", name),
        (None, Some(name), None) => ("bucket", name),
        (None, None, None) => ("database", usual(backend, component)?),
    };
    Name::new(&name).map_err(|e| format!("setting `{setting}`: {}", e.message()))
}

/// What is meant where nothing is said.
fn usual(backend: Backend, component: &str) -> Result<String, String> {
    match backend {
        Backend::Nats => Err("`bucket` is missing".into()),
        Backend::Redis => Ok("default".to_owned()),
        // Nobody else's, unless a name is given on purpose.
        Backend::Memory => private(component)
            .ok_or_else(|| "`database` is missing: the component's id is too long".into()),
    }
}

/// A database name that only this component has.
fn private(component: &str) -> Option<String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !component.is_empty() && component.len() <= 64 && component.chars().all(sound) {
        return Some(format!("component-{component}"));
    }
    // Any other text is encoded, so that two components never meet.
    let text = URL_SAFE_NO_PAD.encode(component);
    (text.len() <= 100).then(|| format!("component_{text}"))
}
