//! The conformance suite: every sentence of the contract as a case, for any driver.
