//! A small microservice that embeds the store.

fn main() {}
