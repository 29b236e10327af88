//! Names and keys, checked once at the edge.
//!
//! A driver that is handed a [`Database name`](Name), a [`Namespace`] or a [`Key`] need not check it again: it only maps
//! it, injectively, to what its backend calls a key.

use std::any::Any;
use std::borrow::Borrow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};

/// The longest database name, in bytes.
pub const MAX_DATABASE_LEN: usize = 128;
/// The longest table name, in bytes of UTF-8.
pub const MAX_TABLE_LEN: usize = 128;
/// The longest key, in bytes of UTF-8.
pub const MAX_KEY_LEN: usize = 1024;

/// The name of a database: 1 to [`MAX_DATABASE_LEN`] of `A-Z a-z 0-9 _ -`, on every driver.
///
/// ```
/// # use store_core::Name;
/// assert_eq!(Name::new("users")?.as_str(), "users");
/// assert!(Name::new("my.db").is_err());
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks a database name.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the rule, for an empty or too long name or another character.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        if name.is_empty() {
            return Err(Error::invalid("a database name must not be empty"));
        }
        if name.len() > MAX_DATABASE_LEN {
            return Err(Error::invalid(format!(
                "a database name has at most {MAX_DATABASE_LEN} bytes, this one has {}",
                name.len()
            )));
        }
        if let Some(c) =
            name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
        {
            return Err(Error::invalid(format!(
                "a database name consists of A-Z a-z 0-9 _ - only, not {c:?}"
            )));
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The key of a record: 1 to [`MAX_KEY_LEN`] bytes of UTF-8. Any character is allowed, NUL, `/`, `.`, `*` and space too; keys
/// are compared as bytes, without any normalisation.
///
/// ```
/// # use store_core::Key;
/// assert_eq!(Key::new("a/b.c d\0é")?.as_str(), "a/b.c d\0é");
/// assert!(Key::new("").is_err());
/// # Ok::<(), store_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key<'a>(&'a str);

impl<'a> Key<'a> {
    /// Checks a key.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty key, `TooLarge` for one over [`MAX_KEY_LEN`].
    #[inline]
    pub fn new<S: AsRef<str> + ?Sized>(key: &'a S) -> Result<Self> {
        let key = key.as_ref();
        if key.is_empty() || key.len() > MAX_KEY_LEN {
            return Err(Self::refuse(key));
        }
        Ok(Self(key))
    }

    #[cold]
    fn refuse(key: &str) -> Error {
        if key.is_empty() {
            Error::invalid("a key must not be empty")
        } else {
            Error::too_large(format!(
                "a key has at most {MAX_KEY_LEN} bytes, this one has {}",
                key.len()
            ))
        }
    }

    /// A key that was checked before.
    pub(crate) fn trusted(key: &'a str) -> Self {
        Self(key)
    }

    /// The key as text.
    #[inline]
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// The key's bytes.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0.as_bytes()
    }
}

impl AsRef<str> for Key<'_> {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

/// A table of a database: what every record operation is addressed to. Cheap to clone.
///
/// A table name is 1 to [`MAX_TABLE_LEN`] bytes of UTF-8. Every database also has one table without a name, its
/// [root](Namespace::root): it is what Go-Micro calls the table `""`, and the only one in layouts that know no tables.
#[derive(Clone)]
pub struct Namespace(Arc<Inner>);

struct Inner {
    database: Name,
    table: Box<str>,
    resolved: OnceLock<Resolved>,
}

struct Resolved {
    owner: u64,
    state: Arc<dyn Any + Send + Sync>,
}

impl Namespace {
    /// Checks a table name.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty name, `TooLarge` for one over [`MAX_TABLE_LEN`].
    pub fn new(database: Name, table: impl AsRef<str>) -> Result<Self> {
        let table = table.as_ref();
        if table.is_empty() {
            return Err(Error::invalid(
                "a table name must not be empty; the table without a name is the database's root",
            ));
        }
        if table.len() > MAX_TABLE_LEN {
            return Err(Error::too_large(format!(
                "a table name has at most {MAX_TABLE_LEN} bytes, this one has {}",
                table.len()
            )));
        }
        Ok(Self::checked(database, table))
    }

    /// The table without a name.
    pub fn root(database: Name) -> Self {
        Self::checked(database, "")
    }

    fn checked(database: Name, table: &str) -> Self {
        Self(Arc::new(Inner { database, table: table.into(), resolved: OnceLock::new() }))
    }

    /// The database.
    pub fn database(&self) -> &Name {
        &self.0.database
    }

    /// The table's name; empty for the [root](Self::root).
    pub fn table(&self) -> &str {
        &self.0.table
    }

    /// For drivers: what the driver once resolved this namespace to, so that a hot path does not look it up per call.
    ///
    /// The first driver that asks keeps its state here; `owner` (see [`unique_owner`](Self::unique_owner)) tells one store from
    /// another. `None` means that another store was first: look it up as if there were no such place. The state must stay
    /// valid for as long as the store lives; what can become stale must say so itself.
    #[inline]
    pub fn resolved<T: Any + Send + Sync>(
        &self,
        owner: u64,
        resolve: impl FnOnce() -> Arc<T>,
    ) -> Option<&T> {
        let held = self.0.resolved.get_or_init(|| Resolved { owner, state: resolve() });
        if held.owner == owner { held.state.downcast_ref() } else { None }
    }

    /// For drivers: a number that no other store of this process has.
    pub fn unique_owner() -> u64 {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        self.0.database == other.0.database && self.0.table == other.0.table
    }
}

impl Eq for Namespace {}

impl std::hash::Hash for Namespace {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.database.hash(state);
        self.0.table.hash(state);
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:?}", self.0.database, self.0.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabet_and_length() {
        for good in ["a", "A-b_9", &"x".repeat(MAX_DATABASE_LEN)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a.b", "a b", "é", "a/b", "a\0", "*", &"x".repeat(MAX_DATABASE_LEN + 1)] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_namespace_keeps_the_state_of_the_first_store_only() {
        let ns = Namespace::new(Name::new("d").unwrap(), "t").unwrap();
        let (one, two) = (Namespace::unique_owner(), Namespace::unique_owner());
        assert_eq!(ns.resolved(one, || Arc::new(1u8)), Some(&1));
        assert_eq!(ns.resolved(one, || Arc::new(9u8)), Some(&1));
        assert_eq!(ns.resolved(two, || Arc::new(2u8)), None);
    }
}
