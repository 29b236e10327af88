//! What goes over the wire: requests and replies, JetStream's API, stored messages, ordered consumers.

pub(crate) mod api;
pub(crate) mod fault;
pub(crate) mod feed;
pub(crate) mod mux;
pub(crate) mod stored;
