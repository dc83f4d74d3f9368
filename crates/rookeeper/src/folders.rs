//! The subcommands that look into data folders: arguments and printing; the work is in the tools crate.
//!
//! Exit codes: 0 if all is well, 1 if what was looked for was found (damage, differences, something unreadable), 2 if
//! the question could not be answered.

use journal::names;
use server::Disk;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tools::compat::{Verdict, check};
use tools::{DumpOptions, Release, ToolError};

const FOUND: u8 = 1;
const FAILED: u8 = 2;

pub(crate) enum Command {
    Verify(Folder),
    Dump { file: PathBuf, options: DumpOptions },
    Compare { first: Folder, second: Folder },
    Compat { target: Release, folder: Folder },
    Snapshot(Folder),
}

/// One server's data.
pub(crate) struct Folder {
    data_dir: PathBuf,
    log_dir: Option<PathBuf>,
}

impl Folder {
    fn log_dir(&self) -> &Path {
        self.log_dir.as_ref().unwrap_or(&self.data_dir)
    }

    fn disk(&self) -> io::Result<Disk> {
        let disk = Disk::read_only(&self.data_dir, self.log_dir());
        for (dir, given) in
            [(&disk.dirs().snapshots, self.data_dir.as_path()), (&disk.dirs().logs, self.log_dir())]
        {
            dir.read_dir().map_err(|e| io::Error::new(e.kind(), no_database(dir, given, &e)))?;
        }
        Ok(disk)
    }
}

/// Why `dir`, the version-2 of a folder that somebody named, cannot be listed.
fn no_database(dir: &Path, given: &Path, error: &io::Error) -> String {
    let (dir, shown) = (dir.display(), given.display());
    const WANTED: &str = "Name a dataDir: the folder that holds version-2";
    match error.kind() {
        ErrorKind::NotFound if !given.exists() => format!("there is no folder {shown}. {WANTED}"),
        ErrorKind::NotFound if given.file_name().is_some_and(|name| name == "version-2") => {
            format!("{shown} holds the files themselves. {WANTED}, which is the one above it")
        }
        ErrorKind::NotFound => format!("{shown} holds no version-2, so no database. {WANTED}"),
        ErrorKind::NotADirectory if given.is_dir() => format!("{dir} is a file, not a folder. {WANTED}"),
        ErrorKind::NotADirectory => format!("{shown} is a file, not a folder. {WANTED}"),
        ErrorKind::PermissionDenied => {
            format!("{dir} may not be read ({error}). Run this as the user who runs the server")
        }
        _ => format!("{dir} cannot be read: {error}"),
    }
}

/// The words behind the command's name.
pub(crate) fn parse(name: &str, words: &[String]) -> Result<Command, String> {
    let mut words = words.iter();
    let (mut plain, mut target, mut options) = (Vec::new(), None, DumpOptions::default());
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match (name, word.as_str()) {
            (_, "--log-dir") if name != "dump" => {
                let dir = PathBuf::from(value()?);
                let folder: &mut Folder = plain.last_mut().ok_or("--log-dir stands behind its DIR")?;
                folder.log_dir = Some(dir);
            }
            ("compat", "--target") => target = Some(value()?.parse().map_err(|e| format!("{e}"))?),
            ("dump", "--data") => options.data = true,
            (_, flag) if flag.starts_with('-') => return Err(format!("there is no flag {flag}")),
            (_, dir) => plain.push(Folder { data_dir: dir.into(), log_dir: None }),
        }
    }
    let wanted = if name == "compare" { 2 } else { 1 };
    let count = plain.len();
    let mut plain = plain.into_iter();
    let (Some(first), second, true) = (plain.next(), plain.next(), count == wanted) else {
        return Err(format!("it takes {wanted} {}", if name == "dump" { "FILE" } else { "DIR" }));
    };
    Ok(match (name, second) {
        ("dump", _) => Command::Dump { file: first.data_dir, options },
        ("compare", Some(second)) => Command::Compare { first, second },
        ("compat", _) => {
            let target = target.ok_or("say for which release: --target 3.5.10")?;
            Command::Compat { target, folder: first }
        }
        ("snapshot", _) => Command::Snapshot(first),
        _ => Command::Verify(first),
    })
}

/// Damage is an answer, not a failure to answer: scripts tell the two apart by the exit code.
fn verify(disk: &server::Disk, out: &mut dyn Write) -> Result<bool, ToolError> {
    match tools::verify(disk, false) {
        Ok(seen) => {
            if seen.report.snapshot.is_none() {
                writeln!(out, "not sound: there is no snapshot here, so no database that could be restored")?;
                return Ok(false);
            }
            seen.write(out)?;
            Ok(seen.is_sound())
        }
        Err(ToolError::Recover(journal::RecoverError::Io(error))) => Err(error.into()),
        Err(error) => {
            writeln!(out, "not sound: {error}")?;
            Ok(false)
        }
    }
}

impl Command {
    pub(crate) fn run(self) -> ExitCode {
        let mut out = BufWriter::new(io::stdout().lock());
        let answered = self.answer(&mut out).and_then(|well| Ok(out.flush().map(|()| well)?));
        match answered {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FOUND),
            Err(ToolError::Io(e)) if e.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                crate::logging::complain!("rookeeper: {error}");
                ExitCode::from(FAILED)
            }
        }
    }

    /// Whether all is well.
    fn answer(&self, out: &mut dyn Write) -> Result<bool, ToolError> {
        match self {
            Command::Verify(folder) => verify(&folder.disk()?, out),
            Command::Dump { file, options } => dump(file, *options, out).map(|()| true),
            Command::Compare { first, second } => compare(first, second, out),
            Command::Compat { target, folder } => {
                let seen = check(&folder.disk()?, *target)?;
                seen.write(out)?;
                Ok(seen.verdict() == Verdict::Readable)
            }
            Command::Snapshot(folder) => snapshot(folder, out).map(|()| true),
        }
    }
}

fn dump(file: &Path, options: DumpOptions, out: &mut dyn Write) -> Result<(), ToolError> {
    is_file(file)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // A file may lie anywhere; the folder called version-2 is only where servers look for it.
    let disk = Disk::of_folder(file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")));
    if names::snapshot_zxid(&name).is_some() {
        tools::dump_snapshot(&disk, &name, options, out)?;
    } else {
        tools::dump_log(&disk, &name, options, out)?;
    }
    Ok(())
}

fn is_file(file: &Path) -> io::Result<()> {
    const WANTED: &str =
        "Name a log (log.HEX) or a snapshot (snapshot.HEX); servers keep them in dataDir/version-2";
    let shown = file.display();
    match file.metadata() {
        Ok(meta) if meta.is_dir() => {
            let told = format!("{shown} is a folder, not a file. {WANTED}");
            Err(io::Error::new(ErrorKind::IsADirectory, told))
        }
        Ok(_) => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            Err(io::Error::new(e.kind(), format!("there is no file {shown}. {WANTED}")))
        }
        Err(e) => Err(io::Error::new(e.kind(), format!("{shown} cannot be read: {e}"))),
    }
}

fn compare(first: &Folder, second: &Folder, out: &mut dyn Write) -> Result<bool, ToolError> {
    let recover =
        |folder: &Folder| Ok::<_, ToolError>(journal::recover(&folder.disk()?, &tools::reading())?.tree);
    let (first, second) = (recover(first)?, recover(second)?);
    let mut written = Ok(());
    let compared = tools::compare(&first, &second, &mut |difference| {
        if written.is_ok() {
            written = writeln!(out, "{difference}");
        }
    });
    written?;
    writeln!(out, "{} znodes compared, {} differences", compared.znodes, compared.differences)?;
    Ok(compared.differences == 0)
}

fn snapshot(folder: &Folder, out: &mut dyn Write) -> Result<(), ToolError> {
    folder.disk()?;
    let disk = Disk::claim(&folder.data_dir, folder.log_dir(), false)
        .map_err(|error| ToolError::Io(io::Error::other(error.to_string())))?;
    let written = tools::write_snapshot(&disk, false)?;
    writeln!(out, "{} holds everything up to zxid {:#x}.", written.snapshot, written.zxid)?;
    if !written.unneeded_logs.is_empty() {
        writeln!(out, "Not needed any more: {}", written.unneeded_logs.join(" "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Command, String> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        parse(&words[0], &words[1..])
    }

    #[test]
    fn folders_carry_their_log_folders() {
        let Ok(Command::Compare { first, second }) = parsed("compare a --log-dir b c") else { panic!() };
        assert_eq!((first.data_dir.as_path(), first.log_dir()), (Path::new("a"), Path::new("b")));
        assert_eq!((second.data_dir.as_path(), second.log_dir()), (Path::new("c"), Path::new("c")));
        assert!(matches!(
            parsed("dump --data x/log.1"),
            Ok(Command::Dump { options: DumpOptions { data: true }, .. })
        ));
        assert!(matches!(parsed("compat a --target 3.5.10"), Ok(Command::Compat { .. })));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refused = |words| parsed(words).err().unwrap_or_default();
        assert_eq!(refused("verify a b"), "it takes 1 DIR");
        assert_eq!(refused("compare a"), "it takes 2 DIR");
        assert_eq!(refused("compat a"), "say for which release: --target 3.5.10");
        assert!(refused("compat --target 2.0 a").contains("\"2.0\" is no release of ZooKeeper"));
        assert_eq!(refused("verify a --log-dir"), "--log-dir needs a value");
        assert_eq!(refused("verify --data a"), "there is no flag --data");
        assert_eq!(refused("verify --log-dir b a"), "--log-dir stands behind its DIR");
    }
}
