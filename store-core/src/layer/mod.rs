//! Layers: stores around stores that keep the whole contract.
