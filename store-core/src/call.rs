//! What is being called, for errors, layers, spans and metrics.

use std::fmt;

use crate::name::{Name, Namespace};

/// The operations of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "each is named as the method of `Store` or `StoreAdmin` it stands for"
)]
pub enum Operation {
    Capability,
    Read,
    Exists,
    ReadMany,
    History,
    Write,
    WriteMany,
    Delete,
    DeleteMany,
    SetExpiry,
    Increment,
    Atomic,
    List,
    Scan,
    ScanU64,
    Watch,
    Ping,
    Close,
    CreateDatabase,
    UpdateDatabase,
    DeleteDatabase,
    EmptyDatabase,
    ListDatabases,
    DatabaseStatus,
    ListTables,
    DeleteTable,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 26] = [
        Self::Capability,
        Self::Read,
        Self::Exists,
        Self::ReadMany,
        Self::History,
        Self::Write,
        Self::WriteMany,
        Self::Delete,
        Self::DeleteMany,
        Self::SetExpiry,
        Self::Increment,
        Self::Atomic,
        Self::List,
        Self::Scan,
        Self::ScanU64,
        Self::Watch,
        Self::Ping,
        Self::Close,
        Self::CreateDatabase,
        Self::UpdateDatabase,
        Self::DeleteDatabase,
        Self::EmptyDatabase,
        Self::ListDatabases,
        Self::DatabaseStatus,
        Self::ListTables,
        Self::DeleteTable,
    ];

    /// A stable name such as `read_many`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Capability => "capability",
            Self::Read => "read",
            Self::Exists => "exists",
            Self::ReadMany => "read_many",
            Self::History => "history",
            Self::Write => "write",
            Self::WriteMany => "write_many",
            Self::Delete => "delete",
            Self::DeleteMany => "delete_many",
            Self::SetExpiry => "set_expiry",
            Self::Increment => "increment",
            Self::Atomic => "atomic",
            Self::List => "list",
            Self::Scan => "scan",
            Self::ScanU64 => "scan_u64",
            Self::Watch => "watch",
            Self::Ping => "ping",
            Self::Close => "close",
            Self::CreateDatabase => "create_database",
            Self::UpdateDatabase => "update_database",
            Self::DeleteDatabase => "delete_database",
            Self::EmptyDatabase => "empty_database",
            Self::ListDatabases => "list_databases",
            Self::DatabaseStatus => "database_status",
            Self::ListTables => "list_tables",
            Self::DeleteTable => "delete_table",
        }
    }

    /// Whether it may change what is stored.
    pub fn is_mutation(self) -> bool {
        matches!(
            self,
            Self::Write
                | Self::WriteMany
                | Self::Delete
                | Self::DeleteMany
                | Self::SetExpiry
                | Self::Increment
                | Self::Atomic
                | Self::CreateDatabase
                | Self::UpdateDatabase
                | Self::DeleteDatabase
                | Self::EmptyDatabase
                | Self::DeleteTable
        )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One call of a store: its operation, its address, and what a layer may want to know. Never a value.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Call<'a> {
    /// What is called.
    pub operation: Operation,
    /// The table, for record operations.
    pub namespace: Option<&'a Namespace>,
    /// The database, for operations on a whole database.
    pub name: Option<&'a Name>,
    /// The key, for operations on one record.
    pub key: Option<&'a str>,
    /// How many records it is about; 1 for a listing.
    pub items: usize,
    /// How many bytes of values it brings.
    pub bytes: usize,
    /// The largest single value it brings, in bytes.
    pub largest: usize,
    /// Whether doing it twice changes no more than doing it once: reads, unconditional writes and deletes.
    pub repeatable: bool,
}

impl<'a> Call<'a> {
    /// A call of `operation` on nothing yet, and not repeatable until it is said to be.
    pub const fn new(operation: Operation) -> Self {
        Self {
            operation,
            namespace: None,
            name: None,
            key: None,
            items: 1,
            bytes: 0,
            largest: 0,
            repeatable: false,
        }
    }

    /// In this table.
    pub const fn at(mut self, namespace: &'a Namespace) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// On this database.
    pub const fn on(mut self, name: &'a Name) -> Self {
        self.name = Some(name);
        self
    }

    /// On this record.
    pub const fn key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }

    /// With these values, given by their lengths.
    pub fn values(mut self, lengths: impl IntoIterator<Item = usize>) -> Self {
        for length in lengths {
            self.bytes = self.bytes.saturating_add(length);
            self.largest = self.largest.max(length);
        }
        self
    }

    /// About so many records.
    pub const fn items(mut self, items: usize) -> Self {
        self.items = items;
        self
    }

    /// Says whether it may be done twice.
    pub const fn repeatable(mut self, repeatable: bool) -> Self {
        self.repeatable = repeatable;
        self
    }

    /// The database, by either address.
    pub fn database(&self) -> Option<&'a str> {
        self.name.or(self.namespace.map(Namespace::database)).map(Name::as_str)
    }
}
