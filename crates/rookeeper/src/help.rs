//! What the command line says about itself.

pub(crate) const USAGE: &str = "\
Rookeeper: ZooKeeper, rebuilt in Rust.

  rookeeper                                   serve on port 2181 with data in ./rookeeper-data
  rookeeper server [-Dname=value ...] ZOO_CFG serve as an Apache zoo.cfg says
  rookeeper server [-Dname=value ...] PORT DATA_DIR [TICK_MS [MAX_CLIENT_CNXNS]]
  rookeeper print-config [-Dname=value ...] [ZOO_CFG]
                                              every option in force, and where it comes from
  rookeeper config-reference                  the page about every option
  rookeeper version
  rookeeper help [COMMAND]                    more about one of them, as COMMAND --help does

Folders that no server is using; DIR is a dataDir, to be followed by --log-dir DIR if dataLogDir is another:
  rookeeper verify DIR                        what a start would find, and whether it is sound
  rookeeper dump [--data] FILE                a log or a snapshot as lines of text
  rookeeper compare DIR DIR                   in what two databases differ
  rookeeper compat --target 3.5.10 DIR        what that release of ZooKeeper could not read
  rookeeper snapshot DIR                      write a fresh snapshot that every release can read

SERVER_JVMFLAGS and JVMFLAGS are read for -Dname=value words. RUST_LOG chooses the level of the logs.";

const SERVER: &str = "\
rookeeper server [-Dname=value ...] [ZOO_CFG]
rookeeper server [-Dname=value ...] PORT DATA_DIR [TICK_MS [MAX_CLIENT_CNXNS]]

Serves until Ctrl-C or SIGTERM. Without other words: on port 2181 with its data in ./rookeeper-data.

  ZOO_CFG        a configuration file of Apache ZooKeeper, unchanged
  -Dname=value   a system property, as Java takes it; SERVER_JVMFLAGS and JVMFLAGS are read for such words too

`rookeeper print-config` shows what a configuration comes to, `rookeeper config-reference` every option.

Exit codes: 0 stopped because asked to; 1 the port, the disk or the data made it impossible to go on; 2 the
configuration has errors; 3 the data folder cannot be used; 10 a snapshot could not be written.";

const PRINT_CONFIG: &str = "\
rookeeper print-config [-Dname=value ...] [ZOO_CFG]
rookeeper print-config [-Dname=value ...] PORT DATA_DIR [TICK_MS [MAX_CLIENT_CNXNS]]

Prints every option in force and where its value comes from, for the words that `rookeeper server` would be given.
Nothing is started and nothing is written. What is wrong with the configuration goes to stderr.

Exit codes: 0 a server could start with it; 2 it has errors.";

const CONFIG_REFERENCE: &str = "\
rookeeper config-reference

Prints the page about every option as Markdown: its default, its limits, since when it exists, and what it does.";

const VERIFY: &str = "\
rookeeper verify DIR [--log-dir DIR]

Recovers the database as a start would, but writes nothing, and says what it found.

  DIR             a dataDir: the folder that holds version-2
  --log-dir DIR   the dataLogDir, if it is another folder

Exit codes: 0 sound; 1 not sound; 2 the question could not be answered.";

const DUMP: &str = "\
rookeeper dump [--data] FILE

Prints a transaction log or a snapshot, a line for each record.

  FILE     a file called log.HEX or snapshot.HEX; servers keep them in dataDir/version-2
  --data   show the data of znodes too

Exit codes: 0 printed; 2 the file cannot be read.";

const COMPARE: &str = "\
rookeeper compare DIR [--log-dir DIR] DIR [--log-dir DIR]

Recovers two databases as a start would, writes nothing, and prints in what they differ.

  DIR             a dataDir: the folder that holds version-2
  --log-dir DIR   the dataLogDir of the DIR before it, if it is another folder

Exit codes: 0 the same; 1 they differ; 2 the question could not be answered.";

const COMPAT: &str = "\
rookeeper compat --target RELEASE DIR [--log-dir DIR]

Says what in a database a release of Apache ZooKeeper could not read, and what to do about it. Nothing is written.

  --target RELEASE   the release that is to read it, such as 3.5.10
  DIR                a dataDir: the folder that holds version-2
  --log-dir DIR      the dataLogDir, if it is another folder

Exit codes: 0 all of it can be read; 1 something cannot; 2 the question could not be answered.";

const SNAPSHOT: &str = "\
rookeeper snapshot DIR [--log-dir DIR]

Recovers the database and writes a fresh snapshot that every release can read. No server may be using the folder.

  DIR             a dataDir: the folder that holds version-2
  --log-dir DIR   the dataLogDir, if it is another folder

Exit codes: 0 written; 2 it could not be.";

const VERSION: &str = "\
rookeeper version

Prints the version, and the release of Apache ZooKeeper that it is compatible with.";

/// The text about one command.
pub(crate) fn about(command: &str) -> Option<&'static str> {
    Some(match command {
        "server" => SERVER,
        "print-config" => PRINT_CONFIG,
        "config-reference" => CONFIG_REFERENCE,
        "verify" => VERIFY,
        "dump" => DUMP,
        "compare" => COMPARE,
        "compat" => COMPAT,
        "snapshot" => SNAPSHOT,
        "version" => VERSION,
        "help" => USAGE,
        _ => return None,
    })
}

pub(crate) fn is_asked_for(words: &[String]) -> bool {
    words.iter().any(|word| matches!(word.as_str(), "--help" | "-h"))
}
