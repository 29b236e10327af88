use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use store_core::Name;

use crate::{Bucket, Error, Place, Result};

/// What one caller may open, and where it leads.
///
/// A bucket's identifier is looked up among the [named](Self::named) ones first. The identifiers `""` and `default` mean one and
/// the same bucket. What the rest mean is the registry's rule: one of the constructors. Where something was [granted](Self::grant),
/// everything else is [`Error::AccessDenied`], whether it exists or not.
#[derive(Clone, Debug)]
pub struct Buckets {
    rule: Rule,
    named: BTreeMap<String, Place>,
    granted: Option<BTreeSet<String>>,
}

#[derive(Clone, Debug)]
enum Rule {
    Named,
    Any(Place),
    Tables(Place),
    Databases { place: Place, prefix: String },
}

/// The identifier of the bucket that is meant where nobody thought of a name.
const DEFAULT: &str = "default";

impl Buckets {
    /// Only buckets that are named, one by one.
    pub fn none() -> Self {
        Self::new(Rule::Named)
    }

    /// Every identifier means the same place.
    pub fn any(place: Place) -> Self {
        Self::new(Rule::Any(place))
    }

    /// An identifier is a table, below the place's own one if that has a name.
    pub fn tables(place: Place) -> Self {
        Self::new(Rule::Tables(place))
    }

    /// An identifier, with this prefix before it, is a database; the default bucket is the place itself.
    pub fn databases(place: Place, prefix: impl Into<String>) -> Self {
        Self::new(Rule::Databases { place, prefix: prefix.into() })
    }

    fn new(rule: Rule) -> Self {
        Self { rule, named: BTreeMap::new(), granted: None }
    }

    /// With a bucket at a place of its own; `""` is `default`.
    pub fn named(mut self, identifier: impl Into<String>, place: Place) -> Self {
        let identifier = identifier.into();
        let identifier = if identifier.is_empty() { DEFAULT.to_owned() } else { identifier };
        self.named.insert(identifier, place);
        self
    }

    /// Grants these, and from now on nothing else.
    pub fn grant<S: Into<String>>(mut self, identifiers: impl IntoIterator<Item = S>) -> Self {
        self.granted.get_or_insert_default().extend(identifiers.into_iter().map(Into::into));
        self
    }

    /// Opens a bucket.
    ///
    /// # Errors
    /// `AccessDenied` when it was not granted, `NoSuchStore` when there is none, else why the backend cannot be used.
    pub async fn open(&self, identifier: &str) -> Result<Bucket> {
        let place = self.find(identifier)?;
        let table = place.open().await?;
        Ok(Bucket::new(identifier, table, place))
    }

    /// Writes these into a bucket that may be opened, so that its guests find them there when they start.
    ///
    /// ```
    /// # let runtime = tokio::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// # let store = std::sync::Arc::new(store_memory::Memory::new());
    /// # let place = provider::Place::new(store, store_core::Name::new("app")?);
    /// let buckets = provider::Buckets::tables(place).grant(["default"]);
    /// buckets.seed("default", [("greeting", "hello")]).await?;
    /// assert_eq!(buckets.open("").await?.get("greeting").await?.unwrap(), "hello");
    /// # Ok::<(), provider::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`Bucket::set_many`].
    pub async fn seed<K: Into<String>, V: Into<Bytes>>(
        &self,
        identifier: &str,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<()> {
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        self.open(identifier).await?.set_many(pairs).await
    }

    /// Where an identifier leads.
    ///
    /// # Errors
    /// As [`open`](Self::open), without asking the backend.
    pub fn find(&self, identifier: &str) -> Result<Place> {
        let identifier = if identifier.is_empty() { DEFAULT } else { identifier };
        if self.granted.as_ref().is_some_and(|granted| !granted.contains(identifier)) {
            return Err(Error::AccessDenied);
        }
        if let Some(place) = self.named.get(identifier) {
            return Ok(place.clone());
        }
        let is_default = identifier == DEFAULT;
        match &self.rule {
            Rule::Named => Err(Error::NoSuchStore),
            Rule::Any(place) => Ok(place.clone()),
            Rule::Tables(place) | Rule::Databases { place, .. } if is_default => Ok(place.clone()),
            Rule::Tables(place) => {
                let place = place.clone();
                let table = match place.table.as_str() {
                    "" => identifier.to_owned(),
                    parent => format!("{parent}/{identifier}"),
                };
                Ok(place.table(table))
            }
            Rule::Databases { place, prefix } => {
                // A name that no database can have is one that does not exist.
                let name =
                    Name::new(format!("{prefix}{identifier}")).map_err(|_| Error::NoSuchStore)?;
                Ok(place.clone().database(name))
            }
        }
    }

    /// The places that this registry leads to by itself.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let home = match &self.rule {
            Rule::Named => None,
            Rule::Any(place) | Rule::Tables(place) | Rule::Databases { place, .. } => Some(place),
        };
        home.into_iter().chain(self.named.values())
    }
}
