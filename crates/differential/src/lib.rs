//! The same sequences of requests to two servers, and every answer compared.
//!
//! A [`conversation::Plan`] is data: the steps of several clients, made by [`generate`] from a seed or written by
//! hand for the [`golden`] files. [`conversation::run`] does it to one server and returns a record of everything that
//! came back, as text in which only what may differ is replaced by symbols ([`text`]). Two records of one plan must
//! be equal ([`compare`]), except for the differences that are meant ([`explained`]).
//!
//! ```text
//! cargo run --release -p differential -- --start apache,rookeeper --profile full --sequences 5000
//! cargo run --release -p differential -- --start rookeeper --replay crates/differential/golden
//! cargo run --release -p differential -- --start apache --record crates/differential/golden --sequences 4
//! ```
//! The first needs Java and Maven; it prints a table of what was covered ([`coverage`], [`required`]). The second needs
//! neither. The third writes the golden files anew. `cargo xtask differential` does the first two under every profile.
//!
//! What cannot be compared, because Apache itself answers by chance, is not sent: see [`generate`].

pub mod compare;
pub mod connection;
pub mod conversation;
pub mod coverage;
pub mod describe;
pub mod explained;
pub mod generate;
pub mod golden;
pub mod profile;
pub mod required;
pub mod run;
pub mod servers;
pub mod shrink;
pub mod step;
pub mod text;
mod tree;
