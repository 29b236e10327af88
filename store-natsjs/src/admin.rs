//! Databases and tables as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value as Json, json};
use store_core::{
    Capability, DatabaseConfig, DatabaseStatus, Error, ErrorKind, Feature, Name, Remove, Result,
};

use crate::layout::{Layout, Opened};
use crate::many::{MAX_ATOMIC, WINDOW};
use crate::publish::Refusal;
use crate::settings::{self, Known, normal};
use crate::shared::Shared;
use crate::table::{Fail, Table};
use crate::wire::fault::STREAM_NOT_FOUND;
use crate::wire::stored::Stored;

/// Up to so many subjects, a status counts the live records.
const COUNTED: u64 = 10_000;

impl Shared {
    pub(crate) async fn capability(&self, name: &Name) -> Result<Capability> {
        let bucket = self.bucket(name);
        let known = match self.known(&bucket, self.deadline()).await? {
            Some(known) => known,
            None => Arc::new(self.imagined(name)?),
        };
        let mut capability = Capability::all();
        if !known.atomic || known.layout != Layout::Native {
            capability = capability.without(Feature::AtomicBatch);
        } else {
            capability.max_atomic = Some(MAX_ATOMIC);
        }
        if known.layout != Layout::Native {
            for feature in [
                Feature::Expiry,
                Feature::SetExpiry,
                Feature::KeepExpiry,
                Feature::OutliveDefault,
                Feature::ExpiryEvents,
            ] {
                capability = capability.without(feature);
            }
        }
        if known.layout == Layout::Plain {
            capability = capability.without(Feature::Tables).without(Feature::Metadata);
        }
        capability.max_value_len = Some(known.max_value);
        capability.alphabet = known.layout.alphabet();
        Ok(capability)
    }

    /// What a bucket would be like if a write made it now.
    fn imagined(&self, name: &Name) -> Result<Known> {
        let (layout, server) = (self.rules.layout_of(name), self.server()?);
        let none = DatabaseConfig::new();
        let config = self.rules.on_demand.as_ref().unwrap_or(&none);
        let config = settings::stream_config(name.as_str(), layout, config, &server)?;
        Known::read(&json!({ "config": config }), layout, &server)
    }

    pub(crate) async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        let bucket = self.bucket(name);
        let deadline = self.deadline();
        if self.look(&bucket, deadline).await?.is_none() {
            match self.create(&bucket, config, deadline).await {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                done => return done,
            }
        }
        // It exists, perhaps since just now.
        let same = self.look(&bucket, deadline).await?;
        if same.is_some_and(|known| normal(&known.database_config()) == normal(config)) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::AlreadyExists,
            "the database exists with another configuration; update it instead",
        ))
    }

    pub(crate) async fn update_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        let bucket = self.bucket(name);
        let deadline = self.deadline();
        let known = self.look(&bucket, deadline).await?.ok_or_else(missing)?;
        let mut stream = known.config.clone();
        settings::apply(&mut stream, known.layout, config, &self.server()?)?;
        let rest = format!("STREAM.UPDATE.{}", bucket.stream);
        match self.js.api(&rest, &stream, deadline).await {
            Ok(_) => {}
            Err(fault) if fault.is_api(STREAM_NOT_FOUND) => return Err(missing()),
            Err(fault) => return Err(fault.into_error(true)),
        }
        self.look(&bucket, deadline).await?;
        Ok(())
    }

    pub(crate) async fn delete_database(&self, name: &Name) -> Result<()> {
        let bucket = self.bucket(name);
        let rest = format!("STREAM.DELETE.{}", bucket.stream);
        let done = self.js.api(&rest, &Json::Null, self.deadline()).await;
        bucket.learn(None);
        match done {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_api(STREAM_NOT_FOUND) => Ok(()),
            Err(fault) => Err(fault.into_error(true)),
        }
    }

    pub(crate) async fn list_databases(&self) -> Result<Vec<Name>> {
        let deadline = self.deadline();
        let (mut names, mut offset) = (BTreeSet::new(), 0);
        loop {
            // By name, not by subject: a copy of other buckets may have no subjects.
            let answer = self.js.api("STREAM.NAMES", &json!({ "offset": offset }), deadline).await;
            let answer = answer.map_err(|fault| fault.into_error(false))?;
            let page = answer.get("streams").and_then(Json::as_array);
            let found = page.map_or(0, Vec::len);
            let buckets = page.into_iter().flatten().filter_map(Json::as_str);
            names.extend(buckets.filter_map(|s| Name::new(s.strip_prefix("KV_")?).ok()));
            offset += found;
            let total = answer.get("total").and_then(Json::as_u64).unwrap_or(0);
            if found == 0 || offset as u64 >= total {
                return Ok(names.into_iter().collect());
            }
        }
    }

    pub(crate) async fn database_status(self: &Arc<Self>, name: &Name) -> Result<DatabaseStatus> {
        let bucket = self.bucket(name);
        let deadline = self.deadline();
        let known = self.look(&bucket, deadline).await?.ok_or_else(missing)?;
        let info = self.js.stream_info(&bucket.stream, &Json::Null, deadline).await;
        let info = info.map_err(|fault| fault.into_error(false))?.ok_or_else(missing)?;
        let state = |field: &str| info.pointer(&format!("/state/{field}")).and_then(Json::as_u64);
        let mut status = DatabaseStatus::new(name, known.database_config());
        status.bytes = state("bytes");
        status.created =
            std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_nanos(known.created));
        if state("num_subjects").unwrap_or(0) <= COUNTED {
            let table = self.whole(name, Arc::clone(&known));
            let live = match table.live().await {
                Ok(live) => live.len(),
                Err(Fail::Gone) => return Err(missing()),
                Err(Fail::Error(error)) => return Err(error),
            };
            status.records = Some(live as u64);
        }
        let mut detail = |name: &str, value: Json| status.details.insert(name.to_owned(), value);
        detail("layout", known.layout.as_str().into());
        detail("server", self.server()?.version().into());
        for part in ["config", "state", "cluster", "mirror", "sources"] {
            if let Some(value) = info.get(part) {
                detail(part, value.clone());
            }
        }
        Ok(status)
    }

    pub(crate) async fn database_exists(&self, name: &Name) -> Result<bool> {
        Ok(self.look(&self.bucket(name), self.deadline()).await?.is_some())
    }

    /// All of a bucket, whatever table.
    fn whole(self: &Arc<Self>, name: &Name, known: Arc<Known>) -> Table {
        Table {
            shared: Arc::clone(self),
            bucket: self.bucket(name),
            known,
            name: "".into(),
            deadline: self.deadline(),
        }
    }

    async fn if_there(self: &Arc<Self>, name: &Name) -> Result<Option<Table>> {
        let bucket = self.bucket(name);
        let known = self.look(&bucket, self.deadline()).await?;
        Ok(known.map(|known| self.whole(name, known)))
    }

    pub(crate) async fn list_tables(self: &Arc<Self>, name: &Name) -> Result<Vec<String>> {
        let Some(table) = self.if_there(name).await? else { return Ok(Vec::new()) };
        let live = match table.live().await {
            Ok(live) => live,
            Err(Fail::Gone) => return Ok(Vec::new()),
            Err(Fail::Error(error)) => return Err(error),
        };
        let tables: BTreeSet<String> = live
            .iter()
            .filter_map(|stored| {
                let tokens = table.bucket.tokens(&stored.subject);
                table.layout().address_of(tokens, stored).map(|(table, _)| table)
            })
            .collect();
        Ok(tables.into_iter().collect())
    }

    pub(crate) async fn empty_database(self: &Arc<Self>, name: &Name) -> Result<()> {
        let Some(table) = self.if_there(name).await? else { return Ok(()) };
        let all = table.bucket.subject(">");
        done(table.bury_all(&all, |_| true).await)
    }
}

/// Gone is as good as empty.
fn done(result: Result<(), Fail>) -> Result<()> {
    match result {
        Ok(()) | Err(Fail::Gone) => Ok(()),
        Err(Fail::Error(error)) => Err(error),
    }
}

pub(crate) fn missing() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such database")
}

impl Table {
    /// The live messages of the whole bucket.
    async fn live(&self) -> Result<Vec<Stored>, Fail> {
        let mut all = self.everything(&self.bucket.subject(">")).await?;
        all.retain(|stored| self.is_live(stored));
        Ok(all)
    }

    pub(crate) async fn delete_table(&self) -> Result<()> {
        self.layout().check_table(&self.name)?;
        let filter = self.bucket.subject(&self.layout().filter(&self.name, ""));
        let ours = |stored: &Stored| !matches!(self.open(stored), Opened::Foreign);
        done(self.bury_all(&filter, ours).await)
    }

    /// Tombstones, since what a purge removes may come back with a crash.
    async fn bury_all(
        &self,
        filter: &str,
        ours: impl Fn(&Stored) -> bool + Send,
    ) -> Result<(), Fail> {
        let mut all = self.everything(filter).await?;
        all.retain(|stored| self.is_live(stored) && ours(stored));
        let buried = stream::iter(all)
            .map(|stored| async move { self.bury_one(stored).await })
            .buffer_unordered(WINDOW);
        let mut buried = std::pin::pin!(buried);
        while let Some(one) = buried.next().await {
            one?;
        }
        Ok(())
    }

    async fn bury_one(&self, stored: Stored) -> Result<(), Fail> {
        let mut table = self.clone();
        table.deadline = self.shared.deadline();
        let draft = table.tombstone(&stored);
        match table.publish(&stored.subject, &draft, Some(stored.sequence)).await {
            Ok(_) => Ok(()),
            Err(Refusal::Fail(fail)) => Err(fail),
            Err(Refusal::Moved) => {
                // Written meanwhile: that may count as before the deletion, or as after it.
                let tokens = table.bucket.tokens(&stored.subject);
                match table.layout().address_of(tokens, &stored) {
                    Some((name, key)) => {
                        table.name = name.into();
                        let key = store_core::Key::new(&key)?;
                        table.delete(&Remove::new(key)).await.map(drop)
                    }
                    None => Ok(()),
                }
            }
        }
    }
}
