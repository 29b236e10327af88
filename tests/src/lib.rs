//! What the suites and benchmarks of this crate share; and the documents whose code is tested.

#[cfg(feature = "suites")]
pub mod fuzz;
pub mod go_micro;
#[cfg(feature = "suites")]
pub mod memory;
#[cfg(feature = "suites")]
pub mod mutants;
#[cfg(feature = "suites")]
pub mod nats;
#[cfg(feature = "suites")]
pub mod redis;
pub mod servers;

/// Whether the long runs are asked for, with `STORE_TEST_FULL`.
pub fn is_full() -> bool {
    std::env::var_os("STORE_TEST_FULL").is_some()
}

/// Prints a line that is seen although the test passes, and that the test command shows: the harness holds back only what is
/// printed by macros.
pub fn say(text: &str) {
    use std::io::Write as _;
    // On a line of its own: the harness has begun one with the test's name.
    let _ = writeln!(std::io::stderr(), "\n==> {text}");
}

#[cfg(doctest)]
mod documents {
    // It shows the provider, too: the test command tests it with all features.
    #[cfg(feature = "provider")]
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[cfg(feature = "provider")]
    #[doc = include_str!("../../docs/provider.md")]
    struct Provider;

    #[doc = include_str!("../../docs/recipes.md")]
    struct Recipes;

    #[doc = include_str!("../../docs/redis.md")]
    struct Redis;

    #[doc = include_str!("../../docs/adding-a-driver.md")]
    struct AddingADriver;
}
