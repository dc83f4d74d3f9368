//! Every record that crosses a socket or lands in a file.
