//! The bodies of the fuzz targets, one function each, named like its target.
//!
//! `cargo +nightly fuzz run greeting`, from the root of the checkout, runs one. It adds what it
//! finds to `corpus/greeting`; `cargo +nightly fuzz run greeting FINDS fuzz/corpus/greeting` adds it
//! to the folder FINDS instead and leaves the seeds alone.
//!
//! The tests of the crate in question replay the same corpora through the same functions: the files
//! below have no dependency on this crate, so that a test includes them by path.
//!
//! A new target takes a function in a file per crate under test (`protocol` and `security` are those of
//! the protocol crate, `endpoint` and `socks` those of the sockets, `calls` that of the C interface, `titanic`
//! that of the patterns), three lines in `fuzz_targets`, a `[[bin]]` in `Cargo.toml`, and a corpus.

pub mod calls;
pub mod endpoint;
pub mod protocol;
pub mod socks;
pub mod security;
pub mod titanic;
