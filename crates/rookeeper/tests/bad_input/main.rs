//! Whatever the server is given, it says what is wrong and what to do, or it goes on serving everybody else. It never
//! panics: nothing here may make it print a backtrace or end by a signal.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod hostile;
mod refused;

use std::path::Path;

/// Lines of every zoo.cfg here.
fn zoo_cfg(data: &Path, port: u16) -> String {
    format!(
        "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=500\nmaxSessionTimeout=60000\n\
         maxClientCnxns=0\n4lw.commands.whitelist=*\nadmin.enableServer=false\n",
        data.display()
    )
}

/// What a server in this folder has written to stderr.
fn printed(folder: &Path) -> String {
    let stderr = String::from_utf8_lossy(&std::fs::read(folder.join("stderr")).unwrap()).into_owned();
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}
