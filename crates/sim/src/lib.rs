//! Trying the server's deterministic parts against a world that fails on purpose.
//!
//! * [`disk`]: a disk in memory that forgets what was not synced, tears, fills, stalls and lies.
//! * [`script`]: random but valid transactions, with the state that must be there after each.
//! * [`run`]: a small server loop over tree and journal that runs a script on such a disk.
//! * [`fuzz`]: what may be done with bytes that anybody sends or leaves.
//! * [`world`]: a server with clients, crashes and a failing disk, in virtual time; [`check`]: what must hold of it.
//! * [`java`]: reads a folder by the rules of Apache ZooKeeper, to see whether it could start there.
//!
//! Everything follows from a seed: the same seed gives the same run, on every machine.

pub mod check;
pub mod disk;
pub mod fuzz;
pub mod java;
pub mod rng;
pub mod run;
pub mod script;
pub mod world;

pub use disk::SimDisk;
pub use rng::Rng;
