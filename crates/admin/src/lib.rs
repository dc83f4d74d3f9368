//! What operators ask a running server, and the text they get: the four-letter words (client-surface §10, §11).
//!
//! Everything here is a function from one plain [`Status`] value to text. The server fills the parts of it that a word
//! needs ([`parts`]), carries out what the word orders ([`command`]), and sends what [`render`] gives.
//!
//! What always holds: the text has the form of Apache ZooKeeper 3.9.5, byte for byte, since scripts and monitoring
//! agents parse it; and no number is invented: what this server does not measure has no line.

mod lists;
mod metrics;
mod render;
mod status;
mod text;
mod words;

pub use metrics::{Measured, Percentiles, Summary, Value};
pub use render::render;
pub use status::*;
pub use wire::Word;
pub use words::{Asked, Command, Part, command, parts, word};
