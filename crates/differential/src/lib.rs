//! The same sequences of requests to two servers, and every answer compared.
//!
//! A [`conversation::Plan`] is data: the steps of several clients, made by [`generate`] from a seed or written by
//! hand for the [`golden`] files. [`conversation::run`] does it to one server and returns a record of everything that
//! came back, as text in which only what may differ is replaced by symbols ([`text`]). Two records of one plan must
//! be equal ([`compare`]), except for the differences that are meant ([`explained`]).

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
