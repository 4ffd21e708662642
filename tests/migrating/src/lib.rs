//! The examples of docs/migrating.md, as doctests.

/// Each compiles, and runs what stood before beside what stands now.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/migrating.md")]
struct Migrating;
