//! What a kernel does when a program sends, and whether unisend keeps its contract there.
//!
//! The suite is a [table of cases](suite). Each case runs twice, in a new child process: through raw libc,
//! which shows what the kernel does, and through unisend, which must show what `docs/contract.md` promises. So
//! the suite checks two things separately: that the statements about the kernel are true, and that the library
//! keeps its contract.

mod case;
mod cases;
mod child;
pub mod emulation;
mod expected;
pub mod explore;
pub mod machine;
mod network;
mod raw;
pub mod report;
pub mod run;
mod scene;
pub mod soak;
mod trial;

pub use case::{Case, PerSystem, Promise, Topic};
pub use cases::suite;
pub use expected::{Answer, Expected, Release, Right};
pub use trial::Route;
