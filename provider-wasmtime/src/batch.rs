//! The batches of all drafts: a module of each, over bindings of its own. In which shape they answer is its parent's to say.

use provider::Bucket;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::generated::wasi::keyvalue::batch::{Error, Host};
use super::{Found, found};
use crate::KvCtx;
use crate::ctx::items;

impl Host for KvCtx {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Result<Vec<Found>, Error>> {
        let values = self.bucket(&bucket)?.get_many(&keys).await;
        Ok(values.map(|values| found(keys, values)).map_err(Error::from))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Bucket>,
        pairs: Vec<(String, Vec<u8>)>,
    ) -> Result<Result<(), Error>> {
        Ok(self.bucket(&bucket)?.set_many(items(pairs)).await.map_err(Error::from))
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Result<(), Error>> {
        Ok(self.bucket(&bucket)?.delete_many(&keys).await.map_err(Error::from))
    }
}
