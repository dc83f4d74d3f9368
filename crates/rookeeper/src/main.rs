//! The `rookeeper` binary: subcommands, and nothing that could be tested elsewhere.

mod arguments;
mod folders;
mod help;
mod logging;
mod serve;

fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match arguments::parse(&words) {
        Ok(command) => command.run(),
        Err(message) => {
            logging::complain!("{message}");
            std::process::ExitCode::from(2)
        }
    }
}
