//! Where a table lies in the server.
//!
//! | key | type | content |
//! |---|---|---|
//! | `{db/table}:<key>` | string | the value; its existence is the truth |
//! | `{db/table}#i` | sorted set | the keys, in byte order |
//! | `{db/table}#m` | hash | key -> `revision expiry metadata` |
//! | `{db/table}#x` | sorted set | key -> expiry in ms |
//! | `{db/table}#l` | stream | the latest changes, while somebody watches |
//! | `{db/table}#h` | hash | `g`: the last removal that is not in the log; `d`: the last one that is in it, or in one before it; `run`: the server's run that the revision is of |
//! | `{db/table}#v` | string | the version of the database's configuration |
//! | `{db/table}#r<version>` | string | the last revision |
//! | `{db/table}~<id>` | string | a large value on its way, for a minute |
//! | `{db}#t` | set | the tables of a database |
//! | `{#}databases` | hash | database -> `version created configuration` |
//!
//! The braces make a table one slot of a cluster. What follows them tells records and structures apart, so that no record's key can
//! name a structure; names are percent-escaped, keys are not.

use std::fmt::Write as _;

use store_core::{Name, Namespace};

/// The keys of one table.
#[derive(Debug)]
pub(crate) struct Keys {
    /// What all of them begin with.
    pub(crate) tag: String,
    pub(crate) index: String,
    pub(crate) meta: String,
    pub(crate) expiries: String,
    pub(crate) log: String,
    pub(crate) version: String,
    pub(crate) head: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str, ns: &Namespace) -> Self {
        let mut tag = format!("{prefix}{{{}/", ns.database());
        escape(ns.table(), &mut tag);
        tag.push('}');
        let part = |name: &str| format!("{tag}#{name}");
        Self {
            index: part("i"),
            meta: part("m"),
            expiries: part("x"),
            log: part("l"),
            version: part("v"),
            head: part("h"),
            tag,
        }
    }

    pub(crate) fn value(&self, key: &str) -> String {
        let mut value = String::with_capacity(self.tag.len() + 1 + key.len());
        value.push_str(&self.tag);
        value.push(':');
        value.push_str(key);
        value
    }

    pub(crate) fn counter(&self, version: u64) -> String {
        format!("{}#r{version}", self.tag)
    }

    /// Index, metadata, expiries, log, version and head: what most scripts take.
    pub(crate) fn all(&self) -> [&str; 6] {
        [&self.index, &self.meta, &self.expiries, &self.log, &self.version, &self.head]
    }
}

/// The names of a database's tables.
pub(crate) fn tables(prefix: &str, database: &Name) -> String {
    format!("{prefix}{{{database}}}#t")
}

/// The configurations of all databases.
pub(crate) fn databases(prefix: &str) -> String {
    format!("{prefix}{{#}}databases")
}

/// Everything but `A-Z a-z 0-9 . _ -` as `%XX`.
fn escape(name: &str, to: &mut String) {
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            to.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_addresses_meet() {
        let mut seen = std::collections::HashSet::new();
        for database in ["a", "a-b", "t"] {
            for table in ["", "a", "a/b", "a%2Fb", "a}:x", "a#i", "é", "%", "a:"] {
                let name = Name::new(database).unwrap();
                let ns = match table {
                    "" => Namespace::root(name),
                    _ => Namespace::new(name, table).unwrap(),
                };
                let keys = Keys::new("p:", &ns);
                assert_eq!(keys.tag.matches(['{', '}']).count(), 2, "{}", keys.tag);
                for structure in keys.all() {
                    assert!(seen.insert(structure.to_owned()), "{structure}");
                }
                for key in ["a", "#i", "}", ":a", "~1", "{x}"] {
                    assert!(seen.insert(keys.value(key)), "{key}");
                }
            }
        }
    }
}
