use std::fmt;
use std::time::{Duration, SystemTime};

/// What a store is set to; see [`Store::options`](crate::micro::Store::options).
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Where the backend is. For the record: the backend was opened before, with its own configuration.
    pub nodes: Vec<String>,
    /// The database of calls that name none.
    pub database: String,
    /// The table of calls that name none.
    pub table: String,
}

impl Options {
    pub(super) fn apply(&mut self, option: StoreOption) {
        match option {
            StoreOption::Nodes(nodes) => self.nodes = nodes,
            StoreOption::Database(database) => self.database = database,
            StoreOption::Table(table) => self.table = table,
        }
    }
}

impl fmt::Debug for Options {
    /// Nodes can hold passwords: only how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("nodes", &self.nodes.len())
            .field("database", &self.database)
            .field("table", &self.table)
            .finish()
    }
}

/// An option of a store; the last of a kind counts.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreOption {
    /// See [`nodes`].
    Nodes(Vec<String>),
    /// See [`database`].
    Database(String),
    /// See [`table`].
    Table(String),
}

impl fmt::Debug for StoreOption {
    /// Nodes can hold passwords: only how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(nodes) => write!(f, "Nodes({})", nodes.len()),
            Self::Database(name) => write!(f, "Database({name:?})"),
            Self::Table(name) => write!(f, "Table({name:?})"),
        }
    }
}

/// `Nodes`: where the backend is. Kept for [`Store::options`](crate::micro::Store::options) and else without effect: the backend was
/// opened with its own configuration.
pub fn nodes<N: Into<String>>(nodes: impl IntoIterator<Item = N>) -> StoreOption {
    StoreOption::Nodes(nodes.into_iter().map(Into::into).collect())
}

/// `Database`: the database of calls that name none.
pub fn database(name: impl Into<String>) -> StoreOption {
    StoreOption::Database(name.into())
}

/// `Table`: the table of calls that name none.
pub fn table(name: impl Into<String>) -> StoreOption {
    StoreOption::Table(name.into())
}

/// A database and a table; `""` is the store's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) database: String,
    pub(super) table: String,
}

/// An option of a read; the last of a kind counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadOption {
    /// See [`read_from`].
    From {
        /// The database.
        database: String,
        /// The table.
        table: String,
    },
    /// See [`read_prefix`].
    Prefix,
    /// See [`read_suffix`].
    Suffix,
    /// See [`read_limit`].
    Limit(usize),
    /// See [`read_offset`].
    Offset(usize),
}

/// `ReadFrom`: this database and table; `""` is the store's default.
pub fn read_from(database: impl Into<String>, table: impl Into<String>) -> ReadOption {
    ReadOption::From { database: database.into(), table: table.into() }
}

/// `ReadPrefix`: all records whose keys begin with the key that is read.
pub fn read_prefix() -> ReadOption {
    ReadOption::Prefix
}

/// `ReadSuffix`: all records whose keys end with the key that is read.
pub fn read_suffix() -> ReadOption {
    ReadOption::Suffix
}

/// `ReadLimit`: at most so many; 0 is no limit.
pub fn read_limit(limit: usize) -> ReadOption {
    ReadOption::Limit(limit)
}

/// `ReadOffset`: without the first so many.
pub fn read_offset(offset: usize) -> ReadOption {
    ReadOption::Offset(offset)
}

/// An option of a write; the last of a kind counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteOption {
    /// See [`write_to`].
    To {
        /// The database.
        database: String,
        /// The table.
        table: String,
    },
    /// See [`write_ttl`].
    Ttl(Duration),
    /// See [`write_expiry`].
    Expiry(SystemTime),
}

/// `WriteTo`: this database and table; `""` is the store's default.
pub fn write_to(database: impl Into<String>, table: impl Into<String>) -> WriteOption {
    WriteOption::To { database: database.into(), table: table.into() }
}

/// `WriteTTL`: the record lives so long; zero is not set. Comes before `WriteExpiry` and the record's own expiry.
pub fn write_ttl(ttl: Duration) -> WriteOption {
    WriteOption::Ttl(ttl)
}

/// `WriteExpiry`: the record lives until then; a past instant is expired at once. Comes before the record's own expiry.
pub fn write_expiry(at: SystemTime) -> WriteOption {
    WriteOption::Expiry(at)
}

/// An option of a delete; the last of a kind counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeleteOption {
    /// See [`delete_from`].
    From {
        /// The database.
        database: String,
        /// The table.
        table: String,
    },
    /// See [`delete_bucket`].
    Bucket,
}

/// `DeleteFrom`: this database and table; `""` is the store's default.
pub fn delete_from(database: impl Into<String>, table: impl Into<String>) -> DeleteOption {
    DeleteOption::From { database: database.into(), table: table.into() }
}

/// `DeleteBucket`: destroys the database that the key names, with all in it. Fine when there is none.
///
/// Refused together with [`delete_from`], on a [scope](crate::micro::Store::scope), and on a store that was made from a plain
/// [`Store`](crate::Store), which cannot. No table name means this: in Go, a table called `DELETE_BUCKET` does.
pub fn delete_bucket() -> DeleteOption {
    DeleteOption::Bucket
}

/// An option of a list; the last of a kind counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListOption {
    /// See [`list_from`].
    From {
        /// The database.
        database: String,
        /// The table.
        table: String,
    },
    /// See [`list_prefix`].
    Prefix(String),
    /// See [`list_suffix`].
    Suffix(String),
    /// See [`list_limit`].
    Limit(usize),
    /// See [`list_offset`].
    Offset(usize),
}

/// `ListFrom`: this database and table; `""` is the store's default.
pub fn list_from(database: impl Into<String>, table: impl Into<String>) -> ListOption {
    ListOption::From { database: database.into(), table: table.into() }
}

/// `ListPrefix`: only keys that begin with this.
pub fn list_prefix(prefix: impl Into<String>) -> ListOption {
    ListOption::Prefix(prefix.into())
}

/// `ListSuffix`: only keys that end with this.
pub fn list_suffix(suffix: impl Into<String>) -> ListOption {
    ListOption::Suffix(suffix.into())
}

/// `ListLimit`: at most so many; 0 is no limit.
pub fn list_limit(limit: usize) -> ListOption {
    ListOption::Limit(limit)
}

/// `ListOffset`: without the first so many.
pub fn list_offset(offset: usize) -> ListOption {
    ListOption::Offset(offset)
}

/// What a read or list selects, once its options are applied.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) from: Address,
    pub(super) prefix: Option<String>,
    pub(super) suffix: Option<String>,
    pub(super) limit: usize,
    pub(super) offset: usize,
}

impl Selection {
    pub(super) fn read(key: &str, options: impl IntoIterator<Item = ReadOption>) -> Self {
        let mut selection = Self::default();
        for option in options {
            match option {
                ReadOption::From { database, table } => {
                    selection.from = Address { database, table }
                }
                ReadOption::Prefix => selection.prefix = Some(key.to_owned()),
                ReadOption::Suffix => selection.suffix = Some(key.to_owned()),
                ReadOption::Limit(limit) => selection.limit = limit,
                ReadOption::Offset(offset) => selection.offset = offset,
            }
        }
        selection
    }

    pub(super) fn list(options: impl IntoIterator<Item = ListOption>) -> Self {
        let mut selection = Self::default();
        for option in options {
            match option {
                ListOption::From { database, table } => {
                    selection.from = Address { database, table }
                }
                ListOption::Prefix(prefix) => selection.prefix = Some(prefix),
                ListOption::Suffix(suffix) => selection.suffix = Some(suffix),
                ListOption::Limit(limit) => selection.limit = limit,
                ListOption::Offset(offset) => selection.offset = offset,
            }
        }
        selection
    }
}
