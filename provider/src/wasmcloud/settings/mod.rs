//! The settings of a link: upstream's under their own names, and ours, made into one plan.

mod backend;
mod database;
mod given;
mod nats;
mod redis;
mod taken;
#[cfg(test)]
mod tests;
mod url;

use std::time::Duration;

use store_core::config::Registry;
use store_core::{DatabaseConfig, Name};

use self::backend::Backend;
use self::given::Texts;
pub(crate) use self::redis::Reconnect;
use self::taken::Taken;
use crate::wasmcloud::host::Given;
use crate::{Create, Filter, Limits};

/// What a link's settings come to. Equal plans need nothing done.
#[derive(Clone, PartialEq)]
pub(crate) struct Plan {
    /// With all credentials: never shown.
    pub(crate) url: String,
    pub(crate) database: Name,
    pub(crate) table: String,
    pub(crate) prefix: String,
    pub(crate) identifier: Identifier,
    /// What identifiers are put behind to be databases.
    pub(crate) bucket_prefix: String,
    pub(crate) granted: Option<Vec<String>>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) create: Create,
    pub(crate) config: DatabaseConfig,
    pub(crate) watch: Option<Filter>,
    /// How calls wait for a connection that is being made anew.
    pub(crate) reconnect: Reconnect,
    /// Settings whose secret value came in plain configuration.
    pub(crate) exposed: Vec<String>,
}

/// What the `bucket` of a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Identifier {
    /// The name of a link of the component, as with wasmCloud's NATS provider.
    Link,
    /// Anything, as with wasmCloud's Redis provider.
    Any,
    /// A table.
    Table,
    /// A database.
    Database,
}

/// Accepted from both of upstream's providers and without effect here: there is no such tracing.
const IGNORED: &str = "flamegraph_path";

/// Makes a plan of a link's settings over the provider's own.
///
/// # Errors
/// What is wrong, naming the setting and never showing a value.
pub(crate) fn plan(
    link: &Given,
    provider: &Given,
    component: &str,
    registry: &Registry,
) -> Result<Plan, String> {
    let (own, shared) = (Texts::of(link)?, Texts::of(provider)?);
    let chosen = match Backend::chosen(&own)? {
        None => Backend::chosen(&shared)?,
        own => own,
    };
    let backend =
        chosen.ok_or("no backend: set `backend` to nats, redis or memory, or set `url`")?;
    let driver = registry
        .drivers()
        .find(|driver| driver.schemes().contains(&backend.scheme()))
        .ok_or_else(|| format!("this provider was built without {}", backend.scheme()))?;
    let texts = own.over(shared, backend, driver)?;
    if backend == Backend::Nats {
        nats::credentials(&texts)?;
    }
    let only_upstream = only_upstream(&texts, backend);

    let mut o = Taken::new(&texts)?;
    o.text("backend");
    o.text(IGNORED);
    let reconnect = Reconnect::of(&mut o)?;
    let create = create(&mut o, backend, only_upstream)?;
    let config = o.config()?;
    let first_write_makes = create == Create::Missing && config == DatabaseConfig::new();
    let target = url::url(&mut o, backend, driver, only_upstream, first_write_makes)?;
    let url::Target { url, path, has_databases } = target;
    let identifier = identifier(&mut o, backend)?;
    let names_one = path.is_some() || o.has("database") || o.has("bucket");
    if !has_databases && (names_one || identifier == Identifier::Database) {
        return Err("a database is named, and layout plain keeps none apart from others: set `template` to {bucket}:{key}, or \
                    `layout` to table"
            .to_owned());
    }
    let database = database::database(&mut o, backend, component, path)?;
    let plan = Plan {
        url,
        database,
        table: o.text("table").unwrap_or_default(),
        prefix: o.text("prefix").unwrap_or_default(),
        identifier,
        bucket_prefix: o.text("bucket_prefix").unwrap_or_default(),
        granted: o.text("buckets").map(|list| {
            list.split(',').map(str::trim).filter(|b| !b.is_empty()).map(str::to_owned).collect()
        }),
        ttl: o.duration("ttl")?,
        limits: o.limits()?,
        create,
        config,
        watch: o
            .text("watch")
            .map(|text| Filter::parse(&text).map_err(|e| format!("setting `watch`: {e}")))
            .transpose()?,
        reconnect,
        exposed: texts.exposed(backend, driver),
    };
    o.finish()?;
    Ok(plan)
}

/// What the bucket of a call is by settings that may be wrong otherwise; `None` where that cannot be told.
pub(crate) fn meant(link: &Given, provider: &Given) -> Option<Identifier> {
    let (own, shared) = (Texts::of(link).ok()?, Texts::of(provider).ok()?);
    let chosen = Backend::chosen(&own).ok()?.or(Backend::chosen(&shared).ok()?)?;
    let named = own.get("identifier").or_else(|| shared.get("identifier"));
    match named {
        None => Some(usual_identifier(chosen)),
        Some(named) => IDENTIFIERS.iter().find(|(name, _)| *name == named).map(|(_, one)| *one),
    }
}

/// Whether nothing is said that upstream does not know: then its layout is meant. A link that is watched is the same data as others.
fn only_upstream(texts: &Texts, backend: Backend) -> bool {
    let upstream = backend.upstream();
    let known = |name: &str| {
        matches!(name, "backend" | "watch" | IGNORED)
            || upstream.iter().any(|(known, _)| *known == name)
    };
    let has_options = texts.get("url").is_some_and(|url| url::url_options(url).next().is_some());
    !upstream.is_empty() && !has_options && texts.names().all(known)
}

/// How a missing database is met.
fn create(o: &mut Taken, backend: Backend, only_upstream: bool) -> Result<Create, String> {
    let theirs = nats::auto_create(o)?;
    let ours = o.choice("create", &[("never", Create::Never), ("missing", Create::Missing)])?;
    match (ours, theirs) {
        (Some(_), Some(_)) => {
            Err("`create` and `enable_bucket_auto_create` contradict each other".into())
        }
        (None, None) if backend == Backend::Nats && only_upstream => Ok(Create::Never),
        (ours, theirs) => Ok(ours.or(theirs).unwrap_or(Create::Missing)),
    }
}

fn identifier(o: &mut Taken, backend: Backend) -> Result<Identifier, String> {
    Ok(o.choice("identifier", &IDENTIFIERS)?.unwrap_or(usual_identifier(backend)))
}

const IDENTIFIERS: [(&str, Identifier); 4] = [
    ("link", Identifier::Link),
    ("any", Identifier::Any),
    ("table", Identifier::Table),
    ("database", Identifier::Database),
];

fn usual_identifier(backend: Backend) -> Identifier {
    match backend {
        Backend::Nats => Identifier::Link,
        Backend::Redis => Identifier::Any,
        Backend::Memory => Identifier::Table,
    }
}
