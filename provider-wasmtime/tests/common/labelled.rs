//! The guests that import `store` several times, and how each is linked.

use provider_wasmtime::{KvCtx, draft, draft2, spin, wasmcloud};
use wasmtime::Store;
use wasmtime::component::{Component, Instance, Linker};

use super::wat::labels;
use super::{Answer, Host, engine, linker, store};

pub(crate) type Add = fn(&mut Linker<Host>) -> wasmtime::Result<()>;
pub(crate) type AddLabels = fn(&mut Linker<Host>, &Component, &KvCtx) -> wasmtime::Result<()>;

/// A guest, and how it is linked.
pub(crate) struct Interface {
    pub(crate) component: Component,
    pub(crate) add: Add,
    pub(crate) add_labels: AddLabels,
}

/// One of each interface.
pub(crate) fn interfaces() -> Vec<Interface> {
    let component =
        |bytes: Result<Vec<u8>, String>| Component::from_binary(engine(), &bytes.unwrap()).unwrap();
    let second = component(labels::draft2());
    let of = |component, add, add_labels| Interface { component, add, add_labels };
    vec![
        of(component(labels::draft()), draft::add_to_linker, draft::add_labels_to_linker),
        of(second.clone(), draft2::add_to_linker, draft2::add_labels_to_linker),
        of(second, spin::add_to_linker, spin::add_labels_to_linker),
        of(
            component(labels::wasmcloud()),
            wasmcloud::add_to_linker,
            wasmcloud::add_labels_to_linker,
        ),
    ]
}

pub(crate) struct Guest {
    pub(crate) store: Store<Host>,
    pub(crate) instance: Instance,
}

impl Guest {
    pub(crate) async fn get(
        &mut self,
        label: &str,
        bucket: &str,
        key: &str,
    ) -> Answer<Option<Vec<u8>>> {
        let name = format!("{label}-get");
        let get = self
            .instance
            .get_typed_func::<(&str, &str), (Answer<Option<Vec<u8>>>,)>(&mut self.store, &name);
        get.unwrap().call_async(&mut self.store, (bucket, key)).await.expect("no trap").0
    }

    pub(crate) async fn set(
        &mut self,
        label: &str,
        bucket: &str,
        key: &str,
        value: &[u8],
    ) -> Answer<()> {
        let name = format!("{label}-set");
        let set = self
            .instance
            .get_typed_func::<(&str, &str, &[u8]), (Answer<()>,)>(&mut self.store, &name);
        set.unwrap().call_async(&mut self.store, (bucket, key, value)).await.expect("no trap").0
    }
}

impl Interface {
    pub(crate) async fn start(&self, kv: KvCtx) -> wasmtime::Result<Guest> {
        let mut linker = linker(self.add);
        (self.add_labels)(&mut linker, &self.component, &kv)?;
        let mut store = store(kv);
        let instance = linker.instantiate_async(&mut store, &self.component).await?;
        Ok(Guest { store, instance })
    }
}
