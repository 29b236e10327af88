use std::fmt;
use std::future::Future;

use bytes::Bytes;

use crate::admin::DatabaseStatus;
use crate::call::Call;
use crate::capability::Capability;
use crate::error::{Error, Result};
use crate::name::{Key, Name};
use crate::options::{Counter, Deleted, Page, U64Page, Written};
use crate::record::Record;
use crate::store::EventStream;

/// **For authors of layers.** What happens around every call of a store: the whole of a layer that changes neither keys nor values.
/// [`Layered`](crate::layer::Layered) makes a store of it.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use store_core::layer::{Answer, Around, Items, Layered, Run};
/// use store_core::{Call, Store};
///
/// /// Counts calls.
/// #[derive(Debug, Default)]
/// struct Count(AtomicUsize);
///
/// impl Around for Count {
///     async fn around<'a, T: Answer, R: Run<'a, T>>(
///         &'a self,
///         _driver: &'static str,
///         _call: Call<'a>,
///         mut run: R,
///     ) -> T {
///         self.0.fetch_add(1, Ordering::Relaxed);
///         run.run(Items::All).await
///     }
/// }
///
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// # let memory: Arc<dyn Store> = Arc::new(store_memory::Memory::new());
/// let counted = Arc::new(Layered::new(Count::default(), memory));
/// let store: Arc<dyn Store> = counted.clone();
/// store.database("app")?.table("t")?.read("k").await?;
/// assert_eq!(counted.around().0.load(Ordering::Relaxed), 1);
/// # Ok::<(), store_core::Error>(())
/// # }).unwrap();
/// ```
pub trait Around: fmt::Debug + Send + Sync + 'static {
    /// Makes the call by [`run`](Run::run)ning it, once, several times, or not at all. Errors that `run` gives carry their address,
    /// so that [`Error::is_retryable`] is right for each.
    fn around<'a, T: Answer, R: Run<'a, T>>(
        &'a self,
        driver: &'static str,
        call: Call<'a>,
        run: R,
    ) -> impl Future<Output = T> + Send + 'a;

    /// What the store can do with this layer around it.
    fn capability(&self, inner: Capability) -> Capability {
        inner
    }

    /// Whether a record of this key and so many bytes of value may be sent: asked for every record of a call before it is made. In
    /// a batch the others go on, as the contract says; of an atomic one nothing happens.
    ///
    /// # Errors
    /// Why not.
    #[inline]
    fn admit(&self, key: Key<'_>, bytes: usize) -> Result<()> {
        let _ = (key, bytes);
        Ok(())
    }

    /// How many items of a page to ask for, where so many are asked for.
    fn page(&self, limit: usize) -> usize {
        limit
    }

    /// The events of a watch that was opened.
    fn events(&self, events: EventStream) -> EventStream {
        events
    }
}

/// A call that can be made. Dropping its future gives it up.
pub trait Run<'a, T>: Send + 'a {
    /// Makes it, for all its items or for some of them. What is a single call ignores `items`.
    fn run(&mut self, items: Items) -> impl Future<Output = T> + Send + 'a;

    /// Leaves of these places, in ascending order, the ones that can be sent again by themselves. An item whose record the batch
    /// changes again later cannot: it would undo that change.
    fn retain_repeatable(&self, places: &mut Vec<usize>) {
        let _ = places;
    }
}

/// Which items of a batch to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Items {
    /// All.
    All,
    /// The ones at these places, in this order.
    These(Vec<usize>),
}

/// What a call answers: one result, or one for each item of a batch.
pub trait Answer: Send + Sized + 'static {
    /// This error, for each of so many items.
    fn refused(items: usize, error: Error) -> Self;

    /// How each item went: the [`found`](Payload::found) of a success, or the error.
    fn each(&self) -> impl Iterator<Item = Result<Option<bool>, &Error>>;

    /// How many records came back, for a listing.
    fn returned(&self) -> Option<usize>;

    /// Puts the answers of a later attempt into their places.
    fn put(&mut self, places: &[usize], again: Self);

    /// Says that an earlier attempt of the item at this place may have had an effect.
    fn doubt(&mut self, place: usize);
}

/// What a successful call gives.
pub trait Payload: Send + 'static {
    /// For a read: whether there was a record.
    fn found(&self) -> Option<bool> {
        None
    }

    /// For a listing: how many items came back.
    fn returned(&self) -> Option<usize> {
        None
    }

    /// Takes back what cannot be known after an earlier attempt that may have had an effect.
    fn doubt(&mut self) {}
}

impl<T: Payload> Answer for Result<T> {
    fn refused(_: usize, error: Error) -> Self {
        Err(error)
    }

    fn each(&self) -> impl Iterator<Item = Result<Option<bool>, &Error>> {
        std::iter::once(self.as_ref().map(Payload::found))
    }

    fn returned(&self) -> Option<usize> {
        self.as_ref().ok().and_then(Payload::returned)
    }

    fn put(&mut self, _: &[usize], again: Self) {
        *self = again;
    }

    fn doubt(&mut self, _: usize) {
        doubt(self);
    }
}

impl<T: Payload> Answer for Vec<Result<T>> {
    fn refused(items: usize, error: Error) -> Self {
        (0..items).map(|_| Err(error.clone())).collect()
    }

    fn each(&self) -> impl Iterator<Item = Result<Option<bool>, &Error>> {
        self.iter().map(|answer| answer.as_ref().map(Payload::found))
    }

    fn returned(&self) -> Option<usize> {
        None
    }

    fn put(&mut self, places: &[usize], again: Self) {
        for (&place, answer) in places.iter().zip(again) {
            if let Some(slot) = self.get_mut(place) {
                *slot = answer;
            }
        }
    }

    fn doubt(&mut self, place: usize) {
        if let Some(answer) = self.get_mut(place) {
            doubt(answer);
        }
    }
}

fn doubt<T: Payload>(answer: &mut Result<T>) {
    match answer {
        Ok(payload) => payload.doubt(),
        Err(error) => *error = error.clone().outcome_unknown(),
    }
}

impl Payload for () {}
impl Payload for Capability {}
impl Payload for Counter {}
impl Payload for DatabaseStatus {}
impl Payload for EventStream {}
impl Payload for Option<Written> {}
impl Payload for Vec<Written> {}
impl Payload for Written {}

impl Payload for Deleted {
    fn doubt(&mut self) {
        // The earlier attempt may be what deleted it.
        self.existed = None;
    }
}

impl Payload for bool {
    fn found(&self) -> Option<bool> {
        Some(*self)
    }
}

impl Payload for Option<Record> {
    fn found(&self) -> Option<bool> {
        Some(self.is_some())
    }
}

impl Payload for Option<Bytes> {
    fn found(&self) -> Option<bool> {
        Some(self.is_some())
    }
}

macro_rules! lists {
    ($($list:ty: $items:ident),*) => {$(
        impl Payload for $list {
            fn returned(&self) -> Option<usize> {
                Some(self.$items().len())
            }
        }
    )*};
}

lists!(Vec<Record>: as_slice, Vec<Name>: as_slice, Vec<String>: as_slice);

impl<T: Send + 'static> Payload for Page<T> {
    fn returned(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

impl Payload for U64Page {
    fn returned(&self) -> Option<usize> {
        Some(self.keys.len())
    }
}
