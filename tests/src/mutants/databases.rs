//! Broken addresses and administration.

use store_core::{
    DatabaseConfig, Deleted, Key, ListOptions, Name, Namespace, Page, Put, ReadOptions, Record,
    Remove, Result, Written, async_trait,
};

use super::Wrapper;
use super::kinds::{broken, inner};

broken!(MixesTables, JoinsNames, DropsAlike, CreateEmpties, ExistsWithRecords, NeverCloses);

#[async_trait]
impl Wrapper for MixesTables {
    inner!();

    /// Table names are not told apart by case.
    fn place(&self, ns: &Namespace) -> Namespace {
        let folded = Namespace::new(ns.database().clone(), ns.table().to_lowercase());
        folded.unwrap_or_else(|_| ns.clone())
    }
}

impl JoinsNames {
    /// Go-Micro's layout: all tables in one, with an underscore between table and key.
    fn join(ns: &Namespace, key: &str) -> String {
        if ns.table().is_empty() { key.to_owned() } else { format!("{}_{key}", ns.table()) }
    }

    fn root(ns: &Namespace) -> Namespace {
        Namespace::root(ns.database().clone())
    }
}

#[async_trait]
impl Wrapper for JoinsNames {
    inner!();

    async fn read(&self, ns: &Namespace, key: Key<'_>, o: ReadOptions) -> Result<Option<Record>> {
        let joined = Self::join(ns, key.as_str());
        let found = self.inner.read(&Self::root(ns), Key::new(&joined)?, o).await?;
        Ok(found.map(|record| {
            Record::builder(key, record.bytes())
                .metadata(record.metadata().clone())
                .revision(record.revision())
                .expires(record.expires())
                .build()
        }))
    }

    async fn write(&self, ns: &Namespace, put: Put<'_>) -> Result<Written> {
        let joined = Self::join(ns, put.key.as_str());
        let put = Put::new(Key::new(&joined)?, put.value.into_owned())
            .with_metadata(put.metadata)
            .with_expiry(put.expiry)
            .with_condition(put.condition.into_owned());
        self.inner.write(&Self::root(ns), put).await
    }

    async fn delete(&self, ns: &Namespace, remove: Remove<'_>) -> Result<Deleted> {
        let joined = Self::join(ns, remove.key.as_str());
        let remove = Remove::new(Key::new(&joined)?).with_condition(remove.condition.into_owned());
        self.inner.delete(&Self::root(ns), remove).await
    }

    async fn list(&self, ns: &Namespace, o: &ListOptions) -> Result<Page<String>> {
        let own = Self::join(ns, "");
        let mut joined = o.clone();
        joined.prefix = Self::join(ns, &o.prefix);
        joined.start_after = o.start_after.as_deref().map(|key| Self::join(ns, key));
        let page = self.inner.list(&Self::root(ns), &joined).await?;
        Ok(page.map(|key| key.strip_prefix(&*own).unwrap_or(&key).to_owned()))
    }
}

#[async_trait]
impl Wrapper for DropsAlike {
    inner!();

    async fn delete_database(&self, name: &Name) -> Result<()> {
        for other in self.inner.list_databases().await? {
            if other.as_str().starts_with(name.as_str()) {
                self.inner.delete_database(&other).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Wrapper for CreateEmpties {
    inner!();

    async fn create_database(&self, name: &Name, config: &DatabaseConfig) -> Result<()> {
        self.inner.create_database(name, config).await?;
        self.inner.empty_database(name).await
    }
}

#[async_trait]
impl Wrapper for ExistsWithRecords {
    inner!();

    async fn database_exists(&self, name: &Name) -> Result<bool> {
        Ok(!self.inner.list_tables(name).await?.is_empty())
    }
}

#[async_trait]
impl Wrapper for NeverCloses {
    inner!();

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
