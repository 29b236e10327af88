//! Databases and tables as a whole.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::Value;
use store_core::{
    Clock as _, DatabaseConfig, DatabaseStatus, Error, ErrorKind, Expiry, Key, ListOptions, Name,
    Namespace, Result, SystemClock,
};

use super::{STEP, Table, Tables, eval, keys, missing};
use crate::fault::{Effect, corrupt, unexpected};
use crate::reply;
use crate::script::{ADOPT, DATABASE, DROP, OPEN};

/// A database as the server has it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) version: u64,
    pub(super) config: DatabaseConfig,
    created: Option<SystemTime>,
}

impl Stored {
    pub(super) fn parse(entry: &[u8]) -> Result<Self> {
        let wrong = || corrupt("a database's configuration is not what this layout writes");
        let mut parts = entry.splitn(3, |&byte| byte == b' ');
        let mut next = || parts.next().ok_or_else(wrong);
        let (version, created, config) = (next()?, next()?, next()?);
        let created: u64 = reply::number(created).ok_or_else(wrong)?;
        Ok(Self {
            version: reply::number(version).ok_or_else(wrong)?,
            created: UNIX_EPOCH.checked_add(Duration::from_millis(created)),
            config: serde_json::from_slice(config).map_err(|error| wrong().with_source(error))?,
        })
    }
}

impl Tables {
    /// A database's configuration, fresh from the server.
    pub(super) async fn stored(&self, database: &Name) -> Result<Option<Stored>> {
        let mut command = redis::cmd("HGET");
        command.arg(keys::databases(&self.connector.config().key_prefix)).arg(database.as_str());
        let entry = reply::optional(self.connector.command(&command, Effect::Read).await?)?;
        entry.map(|entry| Stored::parse(&entry)).transpose()
    }

    /// What there is then, and whether it was made just now.
    pub(super) async fn create_or_find(
        &self,
        database: &Name,
        config: &DatabaseConfig,
    ) -> Result<(Stored, bool)> {
        let (stored, made) =
            self.configure("create", database, config).await?.ok_or_else(unexpected)?;
        Ok((stored, made))
    }

    async fn configure(
        &self,
        verb: &str,
        database: &Name,
        config: &DatabaseConfig,
    ) -> Result<Option<(Stored, bool)>> {
        let text = serde_json::to_string(config).map_err(|error| {
            Error::invalid("the configuration cannot be written as JSON").with_source(error)
        })?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let databases = keys::databases(&self.connector.config().key_prefix);
        let mut command = eval(&DATABASE, [&*databases]);
        command.arg(verb).arg(database.as_str()).arg(text).arg(since.as_millis() as u64);
        match self.connector.script(&DATABASE, &command, Effect::Change).await? {
            Value::Nil | Value::Boolean(false) => Ok(None),
            answer => {
                let answer = reply::array(answer)?;
                let [held, made] = &answer[..] else {
                    return Err(unexpected());
                };
                Ok(Some((Stored::parse(reply::bytes(held)?)?, reply::int(made)? == 1)))
            }
        }
    }

    pub(crate) async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        check_config(config)?;
        let (stored, made) = self.create_or_find(name, config).await?;
        if made || stored.config == *config {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::AlreadyExists,
            "the database exists with another configuration; update it instead",
        ))
    }

    pub(crate) async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        check_config(config)?;
        let (stored, _) = self.configure("update", name, config).await?.ok_or_else(missing)?;
        // Who writes to a table that was opened with the old configuration no longer finds its counter.
        for table in self.tables_of(name).await? {
            let open = self.open_call(&table, &stored).await?;
            self.connector.script(&OPEN, &open, Effect::Change).await?;
        }
        Ok(())
    }

    pub(crate) async fn delete_database(&self, name: &Name) -> Result<()> {
        let prefix = &self.connector.config().key_prefix;
        let mut forget = redis::cmd("HDEL");
        forget.arg(keys::databases(prefix)).arg(name.as_str());
        self.connector.command(&forget, Effect::Change).await?;
        for table in self.tables_of(name).await? {
            // First the name, then the table: who opens the table in between adds the name again.
            let mut forget = redis::cmd("SREM");
            forget.arg(keys::tables(prefix, name)).arg(table.ns.table());
            self.connector.command(&forget, Effect::Change).await?;
            self.drop_records(&table, true).await?;
        }
        Ok(())
    }

    pub(crate) async fn empty_database(&self, name: &Name) -> Result<()> {
        for table in self.tables_of(name).await? {
            self.drop_records(&table, false).await?;
        }
        Ok(())
    }

    pub(crate) async fn delete_table(&self, ns: &Namespace) -> Result<()> {
        self.drop_records(&self.table(ns), false).await
    }

    async fn drop_records(&self, table: &Table, close: bool) -> Result<()> {
        let mut command = eval(&DROP, table.keys.all());
        command.arg(2 * STEP).arg(&table.keys.tag).arg(if close { "1" } else { "" });
        while reply::int(&self.connector.script(&DROP, &command, Effect::Change).await?)? > 0 {}
        Ok(())
    }

    pub(crate) async fn list_databases(&self) -> Result<Vec<Name>> {
        let mut command = redis::cmd("HKEYS");
        command.arg(keys::databases(&self.connector.config().key_prefix));
        let answer = reply::array(self.connector.command(&command, Effect::Read).await?)?;
        let mut names = Vec::with_capacity(answer.len());
        for name in answer {
            let name = Name::new(reply::text(name)?);
            names.push(name.map_err(|e| corrupt("a database's name is none").with_source(e))?);
        }
        names.sort();
        Ok(names)
    }

    pub(crate) async fn database_status(&self, name: &Name) -> Result<DatabaseStatus> {
        let stored = self.stored(name).await?.ok_or_else(missing)?;
        let mut records = 0;
        for table in self.tables_of(name).await? {
            while self.reap(&table, STEP).await? {}
            let mut count = redis::cmd("ZCARD");
            count.arg(&table.keys.index);
            let count = reply::int(&self.connector.command(&count, Effect::Read).await?)?;
            records += u64::try_from(count).unwrap_or_default();
        }
        let mut status = DatabaseStatus::new(name, stored.config);
        status.records = Some(records);
        status.created = stored.created;
        Ok(status)
    }

    pub(crate) async fn database_exists(&self, name: &Name) -> Result<bool> {
        Ok(self.stored(name).await?.is_some())
    }

    pub(crate) async fn list_tables(&self, name: &Name) -> Result<Vec<String>> {
        let mut names = Vec::new();
        let mut first = ListOptions::default();
        first.limit = 1;
        for table in self.tables_of(name).await? {
            if !self.list(&table.ns, &first).await?.items.is_empty() {
                names.push(table.ns.table().to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The tables that were ever written, as far as the database was not deleted since.
    async fn tables_of(&self, name: &Name) -> Result<Vec<std::sync::Arc<Table>>> {
        let set = keys::tables(&self.connector.config().key_prefix, name);
        let mut tables = std::collections::BTreeMap::new();
        let mut cursor = 0;
        loop {
            let mut command = redis::cmd("SSCAN");
            command.arg(&set).arg(cursor).arg("COUNT").arg(1000);
            let answer = reply::array(self.connector.command(&command, Effect::Read).await?)?;
            let [next, items] = <[Value; 2]>::try_from(answer).map_err(|_| unexpected())?;
            for item in reply::array(items)? {
                let table = reply::text(item)?;
                let ns = match &*table {
                    "" => Namespace::root(name.clone()),
                    _ => Namespace::new(name.clone(), &table)
                        .map_err(|e| corrupt("a table's name is none").with_source(e))?,
                };
                tables.insert(table, self.table(&ns));
            }
            cursor = reply::number(reply::bytes(&next)?).ok_or_else(unexpected)?;
            if cursor == 0u64 {
                return Ok(tables.into_values().collect());
            }
        }
    }

    /// Takes values that others wrote at a table's keys into the table. Returns how many there were. Looks at every key of the
    /// server.
    pub(crate) async fn reindex(&self, ns: &Namespace) -> Result<u64> {
        let table = self.table(ns);
        self.open(&table, true).await?;
        let values = table.keys.value("");
        let pattern = format!("{}*", escape_glob(&values));
        let mut cursor = 0u64;
        let mut adopted = 0;
        loop {
            let mut command = redis::cmd("SCAN");
            command.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(2 * STEP);
            let answer = self.connector.command_at(&table.keys.tag, &command, Effect::Read).await?;
            let answer = reply::array(answer)?;
            let [next, items] = <[Value; 2]>::try_from(answer).map_err(|_| unexpected())?;
            let mut call = eval(&ADOPT, table.keys.all());
            call.arg(&table.keys.tag);
            let mut found = false;
            for item in reply::array(items)? {
                // What is no key of ours by its length or letters cannot be read as a record.
                let Ok(name) = reply::text(item) else { continue };
                let Some(key) = name.strip_prefix(&*values) else { continue };
                if Key::new(key).is_ok() {
                    call.arg(key);
                    found = true;
                }
            }
            if found {
                let new = self.connector.script(&ADOPT, &call, Effect::Change).await?;
                adopted += u64::try_from(reply::int(&new)?).map_err(|_| missing())?;
            }
            cursor = reply::number(reply::bytes(&next)?).ok_or_else(unexpected)?;
            if cursor == 0 {
                return Ok(adopted);
            }
        }
    }
}

/// Text that a glob takes as it is.
pub(crate) fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Refuses what this driver cannot honour.
pub(crate) fn check_config(config: &DatabaseConfig) -> Result<()> {
    let refuse = |what: &str| Err(Error::unsupported(format!("this driver cannot: {what}")));
    if config.history == Some(0) {
        return Err(Error::invalid("history counts the present version: at least 1"));
    }
    if config.history.is_some_and(|versions| versions > 1) {
        return refuse("keep versions of a record (history)");
    }
    if config.max_records.is_some() || config.max_bytes.is_some() || config.when_full.is_some() {
        return refuse(
            "limit a database (max_records, max_bytes, when_full); the server has maxmemory",
        );
    }
    if config.storage.is_some() {
        return refuse("choose where the server keeps data (storage)");
    }
    if config.replicas.is_some() {
        return refuse("choose how many replicas the server has (replicas)");
    }
    if let Some(name) = config.driver.keys().next() {
        return Err(Error::unsupported(format!("this driver has no setting `{name}`")));
    }
    // Else no write of the database could succeed.
    Expiry::Database.resolve(SystemClock.now(), config.default_ttl).map(drop)
}
