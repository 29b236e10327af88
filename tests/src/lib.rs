//! What the suites and benchmarks of this crate share; and the documents whose code is tested.

pub mod fuzz;
pub mod memory;
pub mod servers;

#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;

    #[doc = include_str!("../../docs/recipes.md")]
    struct Recipes;

    #[doc = include_str!("../../docs/adding-a-driver.md")]
    struct AddingADriver;
}
