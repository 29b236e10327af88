//! What wasmCloud's own provider for NATS documents.

use super::Create;
use super::backend::Upstream;
use super::given::Texts;
use super::taken::Taken;

pub(super) const NAMES: [Upstream; 8] = [
    ("bucket", None),
    ("cluster_uri", None),
    ("js_domain", Some("domain")),
    ("tls_ca", Some("tls_ca")),
    ("tls_ca_file", Some("tls_ca_file")),
    ("client_jwt", Some("jwt")),
    ("client_seed", Some("jwt_seed")),
    ("enable_bucket_auto_create", None),
];

/// The driver's option that says how long a call waits for a lost connection, and what is meant where nothing is said: hosts give a
/// call two seconds in all.
pub(super) const WAIT: (&str, &str) = ("reconnect_wait", "1500ms");

/// Whether a setting can only be about NATS.
pub(super) fn is_own(name: &str) -> bool {
    NAMES.iter().any(|(own, _)| *own == name)
}

/// Both or none of the two that only work together.
pub(super) fn credentials(texts: &Texts) -> Result<(), String> {
    let missing = match (texts.get("client_jwt"), texts.get("client_seed")) {
        (Some(_), None) => "client_seed",
        (None, Some(_)) => "client_jwt",
        _ => return Ok(()),
    };
    Err(format!("`{missing}` is missing: client_jwt and client_seed come together"))
}

/// Takes the servers, in our form of them or upstream's.
pub(super) fn address(o: &mut Taken) -> Result<String, String> {
    match (o.text("url"), o.text("cluster_uri")) {
        (Some(_), Some(_)) => Err("`url` and `cluster_uri` are both given".into()),
        (Some(url), None) => Ok(url),
        (None, Some(list)) => cluster(&list),
        (None, None) => Ok("nats://0.0.0.0:4222".to_owned()),
    }
}

/// A list of servers as NATS clients take it, as one URL: who signs in is said once, or each time alike.
fn cluster(list: &str) -> Result<String, String> {
    let (mut scheme, mut user, mut hosts) = ("nats", "", Vec::new());
    for server in list.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        let rest = match server.split_once("://") {
            Some((given, rest)) => {
                if given != "nats" {
                    scheme = given;
                }
                rest
            }
            None => server,
        };
        let rest = rest.trim_end_matches('/');
        let (first, host) = rest.rsplit_once('@').unwrap_or(("", rest));
        if !user.is_empty() && !first.is_empty() && user != first {
            return Err("setting `cluster_uri`: its servers name different users".into());
        }
        if user.is_empty() {
            user = first;
        }
        hosts.push(host);
    }
    let at = if user.is_empty() { "" } else { "@" };
    Ok(format!("{scheme}://{user}{at}{}", hosts.join(",")))
}

/// The text of the certificates wins over their file.
pub(super) fn certificates(o: &mut Taken) {
    if o.has("tls_ca") {
        o.text("tls_ca_file");
    }
}

/// How a missing bucket is met, where that is said in upstream's words.
pub(super) fn auto_create(o: &mut Taken) -> Result<Option<Create>, String> {
    let create = o.flag("enable_bucket_auto_create")?;
    Ok(create.map(|create| if create { Create::Try } else { Create::Never }))
}
