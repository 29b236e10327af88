//! The guests of the drafts, which speak one interface outwards.

use provider_wasmtime::{KvCtx, draft, draft2, spin};
use wasmtime::Store;
use wasmtime::component::{Instance, Linker};

use super::{Answer, Host, Made, guest, linker, made, store};
use ops::Ops;

pub(crate) mod ops {
    #![allow(missing_docs, unreachable_pub)]
    wasmtime::component::bindgen!({
        path: "guests/wit/ops.wit",
        inline: "package test:host; world ops { export guest:ops/ops; }",
        world: "test:host/ops",
        exports: { default: async },
    });
}

pub(crate) struct Guest {
    pub(crate) store: Store<Host>,
    pub(crate) instance: Instance,
    pub(crate) ops: Ops,
}

/// A draft, and how its guest is made.
#[derive(Clone, Copy)]
pub(crate) struct Draft {
    pub(crate) name: &'static str,
    pub(crate) made: Made,
    pub(crate) add: fn(&mut Linker<Host>) -> wasmtime::Result<()>,
}

/// All drafts, from text and, where that can be had, from Rust.
pub(crate) fn drafts() -> Vec<Draft> {
    made().into_iter().flat_map(|made| [first(made), second(made), spin(made)]).collect()
}

pub(crate) fn first(made: Made) -> Draft {
    Draft { name: "draft", made, add: draft::add_to_linker::<Host> }
}

pub(crate) fn second(made: Made) -> Draft {
    Draft { name: "draft2", made, add: draft2::add_to_linker::<Host> }
}

pub(crate) fn spin(made: Made) -> Draft {
    Draft { name: "spin", made, add: spin::add_to_linker::<Host> }
}

impl Draft {
    /// Whether it is one of the two forms of the second draft.
    pub(crate) fn is_second(self) -> bool {
        self.name != "draft"
    }
}

impl Guest {
    pub(crate) async fn start(draft: Draft, kv: KvCtx) -> Self {
        let mut store = store(kv);
        let component = guest(draft.name, draft.made);
        let linker = linker(draft.add);
        let instance = linker.instantiate_async(&mut store, &component).await.unwrap();
        let ops = Ops::new(&mut store, &instance).unwrap();
        Self { store, instance, ops }
    }
}

macro_rules! calls {
    ($($name:ident / $call:ident ($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Guest {$(
            pub(crate) async fn $name(&mut self, $($arg: $type),*) -> Answer<$answer> {
                self.ops.guest_ops_ops().$call(&mut self.store, $($arg),*).await.expect("no trap")
            }
        )*}
    };
}

calls! {
    get / call_get (bucket: &str, key: &str) -> Option<Vec<u8>>;
    set / call_set (bucket: &str, key: &str, value: &[u8]) -> ();
    delete / call_delete (bucket: &str, key: &str) -> ();
    exists / call_exists (bucket: &str, key: &str) -> bool;
    list_keys / call_list_keys (bucket: &str, cursor: Option<&str>) -> (Vec<String>, Option<String>);
    increment / call_increment (bucket: &str, key: &str, delta: i64) -> String;
    get_many / call_get_many (bucket: &str, keys: &[String]) -> Vec<Option<(String, Vec<u8>)>>;
    set_many / call_set_many (bucket: &str, pairs: &[(String, Vec<u8>)]) -> ();
    delete_many / call_delete_many (bucket: &str, keys: &[String]) -> ();
    leak / call_leak (bucket: &str, times: u32) -> ();
    spin / call_spin (bucket: &str, key: &str, times: u32) -> ();
}
