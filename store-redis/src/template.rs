//! Where the layout `plain` puts a record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use store_core::{Error, Namespace, Result};

/// How the layout [`Plain`](crate::Layout::Plain) makes the server's key of a record: text in which `{database}` (or `{bucket}`),
/// `{table}` and, at the end, `{key}` stand for the record's address.
///
/// | template | whose keys these are |
/// |---|---|
/// | `{table}{key}` | Go-Micro's Redis store |
/// | `{bucket}:{key}` | wasmCloud's `wasi:keyvalue` plugin for Redis |
/// | `{key}` | wasmCloud's Redis provider, most other programs |
///
/// ```
/// # use store_redis::Template;
/// let template: Template = "{table}{key}".parse()?;
/// assert_eq!(template, Template::go_micro());
/// assert!("{key}/{table}".parse::<Template>().is_err(), "the key comes last");
/// assert!("{keys}".parse::<Template>().is_err());
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Database,
    Table,
}

impl Template {
    /// `{table}{key}`.
    pub fn go_micro() -> Self {
        Self(vec![Part::Table])
    }

    /// `{bucket}:{key}`.
    pub fn bucket() -> Self {
        Self(vec![Part::Database, Part::Text(":".to_owned())])
    }

    /// `{key}`.
    pub fn key() -> Self {
        Self(Vec::new())
    }

    /// What comes before the key.
    pub(crate) fn prefix(&self, ns: &Namespace) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Database => ns.database().as_str().to_owned(),
            Part::Table => ns.table().to_owned(),
        };
        self.0.iter().map(part).collect()
    }

    /// Whether two different addresses never have the same key.
    pub(crate) fn is_injective(&self) -> bool {
        // A database's name ends where another letter than those of such names comes; a table's may be anything.
        let ends = |text: &str| {
            text.starts_with(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
        };
        let names = self.0.iter().enumerate().all(|(at, part)| match part {
            Part::Text(_) => true,
            Part::Database => matches!(self.0.get(at + 1), Some(Part::Text(text)) if ends(text)),
            Part::Table => false,
        });
        names && self.0.contains(&Part::Database)
    }

    /// Whether a database has tables.
    pub(crate) fn has_table(&self) -> bool {
        self.0.contains(&Part::Table)
    }
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const RULE: &str =
            "a template is text with {database} or {bucket}, {table}, and {key} at its end";
        let rest = text.strip_suffix("{key}").ok_or_else(|| Error::config(RULE))?;
        let mut parts = Vec::new();
        let mut rest = rest;
        while !rest.is_empty() {
            let (part, after) = if let Some(inner) = rest.strip_prefix('{') {
                let (name, after) = inner.split_once('}').ok_or_else(|| Error::config(RULE))?;
                let part = match name {
                    "database" | "bucket" => Part::Database,
                    "table" => Part::Table,
                    _ => return Err(Error::config(RULE)),
                };
                (part, after)
            } else {
                let end = rest.find('{').unwrap_or(rest.len());
                (Part::Text(rest[..end].to_owned()), &rest[end..])
            };
            if !matches!(part, Part::Text(_)) && parts.contains(&part) {
                return Err(Error::config(RULE));
            }
            parts.push(part);
            rest = after;
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Database => f.write_str("{database}")?,
                Part::Table => f.write_str("{table}")?,
            }
        }
        f.write_str("{key}")
    }
}

impl TryFrom<String> for Template {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.to_string()
    }
}
