//! What this suite needs weighs too much for all the others to be built with it.

use crate::Result;
use crate::args::Args;
use crate::report::Report;

const HOW: &str = "this suite is built on demand, as it brings wasmtime and wRPC:
  cargo run --release -p tests --features provider --bin bench -- provider";

pub(crate) fn run(_: &Args, _: &mut Report<'_>) -> Result<()> {
    Err(HOW.into())
}

pub(crate) fn serve(_: &str) -> Result<()> {
    Err(HOW.into())
}
