//! Starts that must not succeed. Each ends by itself with its exit code and a message that names the place, the
//! trouble and the way out; and a refused folder is left as it was.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::support::{Folder, Server, command, free_port};
use crate::{printed, zoo_cfg};
use interop::jute::Acl;
use interop::raw::{Session, flag};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BAD_CONFIG: i32 = 2;
const NO_DATA_DIR: i32 = 3;
const UNEXPECTED: i32 = 1;

/// Runs to the end what must not start, and looks for each of `parts` in what it says.
fn refused(mut command: Command, folder: &Path, code: i32, parts: &[&str]) {
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if !line.is_empty() {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    assert!(line.is_empty(), "it started: {line}");
    let said = printed(folder);
    assert_eq!(status.code(), Some(code), "{status}: {said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
}

fn refused_cfg(folder: &Path, cfg: &str, code: i32, parts: &[&str]) {
    refused(command(folder, cfg), folder, code, parts);
}

/// `BINARY server CFG`, with stderr in the file of that name in `folder`.
fn direct(binary: &Path, cfg: &Path, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    command.arg("server").arg(cfg).stdout(Stdio::piped());
    command.stderr(fs::File::create(folder.join("stderr")).unwrap());
    command
}

#[test]
fn all_errors_of_a_configuration_are_told_at_once_with_their_lines() {
    let folder = Folder::new("config-errors");
    let cfg = "tickTime=abc\nclientPort=99999\n\nmaxClientCnxns=-x\nautopurge.snapRetainCount=two\n";
    let parts = [
        "zoo.cfg:1: error: tickTime=abc is not a whole number; write ms as digits only",
        "zoo.cfg:2: error: clientPort=99999 is not a port; write a number from 0 to 65535",
        "zoo.cfg:4: error: maxClientCnxns=-x is not a whole number",
        "zoo.cfg:5: error: autopurge.snapRetainCount=two is not a whole number",
        "dataDir is not set; name the folder for the data",
        "Invalid config, exiting abnormally",
    ];
    refused_cfg(folder.path(), cfg, BAD_CONFIG, &parts);
}

/// A warning may be about what caused the error.
#[test]
fn warnings_are_told_beside_errors() {
    let folder = Folder::new("config-warnings");
    let data = folder.path().join("data");
    let cfg = format!("datadir={}\nclientPort=2181\nsnapCount=many\n", data.display());
    let parts = [
        "zoo.cfg:1: warning: datadir is not a known option; did you mean dataDir?",
        "zoo.cfg:3: warning: snapCount=many is not a whole number",
        "error: dataDir is not set",
    ];
    refused_cfg(folder.path(), &cfg, BAD_CONFIG, &parts);
}

#[test]
fn a_member_without_myid_is_told_which_numbers_there_are() {
    let folder = Folder::new("ensemble-without-myid");
    let data = folder.path().join("data");
    let members = "initLimit=5\nsyncLimit=3\nserver.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    let parts = ["myid is missing", "write this server's number into it, one of: 1, 2, 3"];
    refused_cfg(folder.path(), &(zoo_cfg(&data, free_port()) + members), BAD_CONFIG, &parts);
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let folder = Folder::new("config-unreadable");
    let missing = |path: PathBuf, why: &str| {
        let parts = [&path.display().to_string(), why, "Usage: rookeeper server ZOO_CFG"];
        refused(
            direct(env!("CARGO_BIN_EXE_rookeeper").as_ref(), &path, folder.path()),
            folder.path(),
            BAD_CONFIG,
            &parts,
        );
    };
    missing(folder.path().join("no-such.cfg"), "No such file");
    missing(folder.path().to_path_buf(), "Is a directory");
}

/// A configuration for TLS only must not become an open port.
#[test]
fn a_configuration_without_a_client_port_is_refused() {
    let folder = Folder::new("no-client-port");
    let data = folder.path().join("data");
    let cfg = format!("dataDir={}\nsecureClientPort={}\n", data.display(), free_port());
    refused_cfg(folder.path(), &cfg, BAD_CONFIG, &["no clientPort", "never in plain text"]);
    assert!(!data.exists(), "a refused configuration leaves the data alone");
}

#[test]
fn a_folder_in_use_is_refused() {
    let (first, second) = (Folder::new("in-use-1"), Folder::new("in-use-2"));
    let data = first.path().join("data");
    let server = Server::start(first.path(), "", |port| zoo_cfg(&data, port));
    let parts = ["in use by another process", "dataDir of its own", &data.display().to_string()];
    refused_cfg(second.path(), &zoo_cfg(&data, free_port()), NO_DATA_DIR, &parts);
    Session::open(server.address.port(), 5000).unwrap().close().unwrap();
    server.stop();
}

#[test]
fn a_file_in_the_place_of_the_data_folder_is_refused() {
    let folder = Folder::new("data-is-file");
    let data = folder.path().join("data");
    fs::write(&data, "a file").unwrap();
    let parts =
        ["cannot use the data folder", &data.display().to_string(), "Something on this path is a file"];
    refused_cfg(folder.path(), &zoo_cfg(&data, free_port()), NO_DATA_DIR, &parts);
    assert_eq!(fs::read(&data).unwrap(), b"a file");
}

#[test]
fn a_file_in_the_place_of_version_2_is_refused() {
    let folder = Folder::new("version-2-is-file");
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let file = data.join("version-2");
    fs::write(&file, "a file").unwrap();
    let parts =
        ["cannot use the data folder", &file.display().to_string(), "Something on this path is a file"];
    refused_cfg(folder.path(), &zoo_cfg(&data, free_port()), NO_DATA_DIR, &parts);
    assert_eq!(fs::read(&file).unwrap(), b"a file");
}

#[test]
fn a_missing_folder_is_not_created_against_the_operators_wish() {
    let folder = Folder::new("no-autocreate");
    let data = folder.path().join("mounted-later");
    let mut run = command(folder.path(), &zoo_cfg(&data, free_port()));
    run.env("SERVER_JVMFLAGS", "-Dzookeeper.datadir.autocreate=false");
    let parts = ["does not exist", "datadir.autocreate is false", &data.display().to_string()];
    refused(run, folder.path(), NO_DATA_DIR, &parts);
    assert!(!data.exists());
}

/// Starts on a data folder with this mode. Root may do everything, so the server is then run by somebody else, from a
/// copy that everybody may run.
fn forbidden(name: &str, mode: u32, code: i32, parts: &[&str]) {
    const NOBODY: u32 = 65534;
    let dir = std::env::temp_dir().join(format!("rookeeper-{name}-{}", std::process::id()));
    let data = dir.join("data");
    fs::create_dir_all(&data).unwrap();
    fs::write(dir.join("zoo.cfg"), zoo_cfg(&data, free_port())).unwrap();
    let copy = dir.join("rookeeper");
    fs::copy(env!("CARGO_BIN_EXE_rookeeper"), &copy).unwrap();
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    allow(&dir, 0o755);
    allow(&copy, 0o755);
    allow(&data, mode);
    let mut run = direct(&copy, &dir.join("zoo.cfg"), &dir);
    if rustix::process::geteuid().is_root() {
        run.uid(NOBODY);
    }
    refused(run, &dir, code, parts);
    allow(&data, 0o755);
    fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_unreadable_folder_is_refused() {
    let parts =
        ["data/myid: error: cannot be read: Permission denied", "make it readable for the user who runs"];
    forbidden("unreadable", 0o000, BAD_CONFIG, &parts);
}

#[test]
fn an_unwritable_folder_is_refused() {
    let parts = ["cannot use the data folder", "Permission denied", "Give the server's user the right"];
    forbidden("unwritable", 0o555, NO_DATA_DIR, &parts);
}

#[test]
fn a_port_in_use_is_refused() {
    let folder = Folder::new("port-in-use");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let data = folder.path().join("data");
    let parts = [
        &format!("cannot listen on 127.0.0.1:{port}"),
        "Another process has this port",
        "another clientPort",
    ];
    refused_cfg(folder.path(), &zoo_cfg(&data, port), UNEXPECTED, &parts);
    assert!(!data.exists(), "a start in vain leaves nothing behind");
}

/// Runs that leave a log each.
const RUNS: usize = 3;
const WRITES: usize = 20;

/// A data folder with a snapshot and several logs, and its files in the order of their names.
fn history(folder: &Path) -> (PathBuf, Vec<String>) {
    let data = folder.join("data");
    for run in 0..RUNS {
        let server = Server::start(folder, "", |port| zoo_cfg(&data, port));
        let mut session = Session::open(server.address.port(), 5000).unwrap();
        for n in 0..WRITES {
            session
                .create(&format!("/n{run}-{n}"), Some(&[7; 100]), &[Acl::open()], flag::PERSISTENT)
                .unwrap();
        }
        session.close().unwrap();
        server.stop();
    }
    let files: Vec<String> = contents(&data.join("version-2")).into_keys().collect();
    let logs = files.iter().filter(|name| name.starts_with("log.")).count();
    assert!(logs == RUNS && files.contains(&"snapshot.0".to_owned()), "{files:?}");
    (data, files)
}

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

/// The logs, oldest first: `log.HEX`.
fn logs(files: &[String]) -> Vec<String> {
    let mut logs: Vec<(u64, String)> = files
        .iter()
        .filter_map(|name| Some((u64::from_str_radix(name.strip_prefix("log.")?, 16).unwrap(), name.clone())))
        .collect();
    logs.sort();
    logs.into_iter().map(|(_, name)| name).collect()
}

/// Spoils a sound folder; the start must be refused and change nothing; with the spoilt file back as it was, the
/// server starts with everything that was acknowledged.
fn damaged(name: &str, spoil: impl Fn(&Path, &[String]), parts: &[&str]) {
    let folder = Folder::new(name);
    let (data, files) = history(folder.path());
    let version_2 = data.join("version-2");
    let sound = contents(&version_2);
    spoil(&version_2, &files);
    let spoilt = contents(&version_2);
    assert_ne!(sound, spoilt);
    refused_cfg(folder.path(), &zoo_cfg(&data, free_port()), UNEXPECTED, parts);
    assert!(contents(&version_2) == spoilt, "a refused start changed the folder");
    for (file, bytes) in &sound {
        fs::write(version_2.join(file), bytes).unwrap();
    }
    let server = Server::start(folder.path(), "", |port| zoo_cfg(&data, port));
    let mut session = Session::open(server.address.port(), 5000).unwrap();
    let present = session.children("/").unwrap();
    assert_eq!(present.iter().filter(|child| child.starts_with('n')).count(), RUNS * WRITES);
    session.close().unwrap();
    server.stop();
}

fn change(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_log_that_is_none_is_refused() {
    let spoil = |dir: &Path, files: &[String]| {
        change(&dir.join(&logs(files)[1]), |bytes| bytes[..4].copy_from_slice(b"GIF8"));
    };
    let parts =
        ["the data in ", "log.", "does not begin with ZKLG", "it is no transaction log", "from a backup"];
    damaged("wrong-magic", spoil, &parts);
}

#[test]
fn a_log_damaged_in_the_middle_is_refused() {
    let spoil = |dir: &Path, files: &[String]| {
        change(&dir.join(&logs(files)[1]), |bytes| bytes[1000] ^= 0x10);
    };
    let parts = ["the record at byte ", "is damaged", "from a backup", "Nothing was changed"];
    damaged("damaged-middle", spoil, &parts);
}

#[test]
fn the_last_log_damaged_in_the_middle_is_refused() {
    let spoil = |dir: &Path, files: &[String]| {
        change(&dir.join(logs(files).last().unwrap()), |bytes| bytes[1000] ^= 0x10);
    };
    damaged("damaged-last", spoil, &["the record at byte ", "is damaged", "Nothing was changed"]);
}

#[test]
fn a_missing_log_is_refused() {
    let spoil = |dir: &Path, files: &[String]| fs::remove_file(dir.join(&logs(files)[1])).unwrap();
    let parts =
        ["transactions are missing between", "begins behind the gap", "Bring the missing log file back"];
    damaged("missing-log", spoil, &parts);
}

#[test]
fn damaged_snapshots_are_refused() {
    let spoil = |dir: &Path, _: &[String]| {
        change(&dir.join("snapshot.0"), |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
        });
    };
    let parts = ["none of the 1 snapshots in", "can be read", "snapshot.0: ", "Restore one from a backup"];
    damaged("damaged-snapshot", spoil, &parts);
}

#[test]
fn a_missing_snapshot_is_refused() {
    let spoil = |dir: &Path, _: &[String]| fs::remove_file(dir.join("snapshot.0")).unwrap();
    let parts = ["transaction logs in", "but no snapshot", "-Dzookeeper.snapshot.trust.empty=true"];
    damaged("missing-snapshot", spoil, &parts);
}
