//! What the suites and benchmarks of this crate share; and the documents whose code is tested.

#[cfg(feature = "suites")]
pub mod fuzz;
#[cfg(feature = "suites")]
pub mod memory;
#[cfg(feature = "suites")]
pub mod mutants;
#[cfg(feature = "suites")]
pub mod redis;
pub mod servers;

#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../docs/recipes.md")]
    struct Recipes;

    #[doc = include_str!("../../docs/redis.md")]
    struct Redis;

    #[doc = include_str!("../../docs/adding-a-driver.md")]
    struct AddingADriver;
}
