//! Go-Micro's store calls, one for one, over any store: for code ported from Go.
