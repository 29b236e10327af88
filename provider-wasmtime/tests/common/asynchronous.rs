//! The guest of `wasmcloud:keyvalue`, which is asynchronous.

use provider_wasmtime::{KvCtx, wasmcloud};
use wasmtime::Store;

use super::{Answer, Host, Made, guest, linker, pair, store};
use ops::Ops;

mod ops {
    #![allow(missing_docs, unreachable_pub)]
    wasmtime::component::bindgen!({
        path: "guests/wit/async.wit",
        inline: "package test:host; world ops { export guest:async-ops/async-ops; }",
        world: "test:host/ops",
        exports: { default: async | store },
    });
}

pub(crate) struct AsyncGuest {
    pub(crate) store: Store<Host>,
    ops: Ops,
    pub(crate) watcher: wasmcloud::Watcher,
}

impl AsyncGuest {
    pub(crate) async fn start(made: Made, kv: KvCtx) -> Self {
        let mut store = store(kv);
        let linker = linker(wasmcloud::add_to_linker::<Host>);
        let component = guest("wasmcloud", made);
        let instance = linker.instantiate_async(&mut store, &component).await.unwrap();
        let ops = Ops::new(&mut store, &instance).unwrap();
        let watcher = wasmcloud::Watcher::new(&mut store, &instance).unwrap();
        Self { store, ops, watcher }
    }
}

macro_rules! calls {
    ($($name:ident / $call:ident ($($arg:ident: $type:ty => $owned:expr),*) -> $answer:ty;)*) => {
        impl AsyncGuest {$(
            pub(crate) async fn $name(&mut self, bucket: &str, $($arg: $type),*) -> Answer<$answer> {
                let (ops, bucket) = (&self.ops, bucket.to_owned());
                self.store
                    .run_concurrent(async move |accessor| {
                        ops.guest_async_ops_async_ops().$call(accessor, bucket, $($owned),*).await
                    })
                    .await
                    .expect("no trap")
                    .expect("no trap")
            }
        )*}
    };
}

calls! {
    get / call_get (key: &str => key.to_owned()) -> Option<Vec<u8>>;
    set / call_set (key: &str => key.to_owned(), value: &[u8] => value.to_vec(), ttl: Option<u64> => ttl, create: bool => create) -> ();
    delete / call_delete (key: &str => key.to_owned()) -> ();
    exists / call_exists (key: &str => key.to_owned()) -> bool;
    list_keys / call_list_keys (prefix: Option<&str> => prefix.map(str::to_owned), cursor: Option<String> => cursor) -> (Vec<String>, Option<String>);
    increment / call_increment (key: &str => key.to_owned(), delta: i64 => delta) -> i64;
    get_many / call_get_many (keys: &[&str] => keys.iter().map(|key| (*key).to_owned()).collect()) -> Vec<Option<(String, Vec<u8>)>>;
    set_many / call_set_many (pairs: &[(&str, &str)] => pairs.iter().map(|(key, value)| pair(key, value)).collect()) -> ();
    delete_many / call_delete_many (keys: &[&str] => keys.iter().map(|key| (*key).to_owned()).collect()) -> ();
    current / call_current (key: &str => key.to_owned()) -> Option<(Vec<u8>, String)>;
    swap / call_swap (key: &str => key.to_owned(), value: &[u8] => value.to_vec(), version: Option<&str> => version.map(str::to_owned), expected: Option<&[u8]> => expected.map(<[u8]>::to_vec)) -> Option<Option<Vec<u8>>>;
    leak / call_leak (times: u32 => times) -> ();
}
