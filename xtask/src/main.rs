//! The project's chores, as commands.

mod compare;

use std::process::exit;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((chore, rest)) if chore == "compare" => exit(compare::run(rest)),
        _ => {
            eprintln!("usage: cargo xtask compare [--help]");
            exit(2)
        }
    }
}
