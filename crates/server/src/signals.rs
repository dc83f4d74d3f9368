//! SIGINT and SIGTERM ask the server to stop.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;

/// Calls `stop` at the first signal; a second one ends the process at once.
pub fn stop_on_signals(stop: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            if asked {
                // Emulating the default is to end here; it cannot return.
                let _ended = signal_hook::low_level::emulate_default_handler(signal);
            }
            asked = true;
            stop();
        }
    })?;
    Ok(())
}
