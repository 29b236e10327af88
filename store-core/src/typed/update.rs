use crate::error::Result;
use crate::handle;
use crate::options::Expiry;
use crate::record::Metadata;

/// What an [`update`](crate::typed::TypedTable::update) makes of a record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change<V> {
    /// Leave it as it is, present or absent.
    Nothing,
    /// Delete it.
    Remove,
    /// Write this; see [`Change::write`].
    #[non_exhaustive]
    Write {
        /// The new value.
        value: V,
        /// The new metadata; `None` keeps what there is.
        metadata: Option<Metadata>,
        /// The new expiry; [`Expiry::Keep`] unless said otherwise.
        expiry: Expiry,
    },
}

impl<V> Change<V> {
    /// A new value; metadata and expiry stay as they are.
    pub fn write(value: V) -> Self {
        Self::Write { value, metadata: None, expiry: Expiry::Keep }
    }

    /// With this expiry instead of the present one.
    pub fn with_expiry(mut self, new: Expiry) -> Self {
        if let Self::Write { expiry, .. } = &mut self {
            *expiry = new;
        }
        self
    }

    /// With this metadata instead of the present.
    pub fn with_metadata(mut self, new: Metadata) -> Self {
        if let Self::Write { metadata, .. } = &mut self {
            *metadata = Some(new);
        }
        self
    }

    /// The same change of bytes.
    pub(super) fn encode(
        self,
        encode: impl FnOnce(&V) -> Result<Vec<u8>>,
    ) -> Result<handle::Change> {
        Ok(match self {
            Self::Nothing => handle::Change::Nothing,
            Self::Remove => handle::Change::Remove,
            Self::Write { value, metadata, expiry } => {
                handle::Change::Write { value: encode(&value)?.into(), metadata, expiry }
            }
        })
    }
}
