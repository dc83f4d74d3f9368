//! The project's chores, as commands.
fn main() {}
