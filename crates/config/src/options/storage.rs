//! What is kept on disk, what znodes can be, and how the tree is watched and answered from.

use super::{Kind, Outside, Spec, file, flag, property};
use crate::convert::{count, kibibytes, millis};
use crate::model::Compression;

pub(super) static STORAGE: &[Spec] = &[
    file("dataDir", "3.3.0")
        .path()
        .default_is("none: must be set")
        .word(|d, v| d.data_dir = Some(v.into()))
        .doc("Folder for snapshots, epoch files and `myid`."),
    file("dataLogDir", "3.3.0")
        .path()
        .default_is("dataDir")
        .word(|d, v| d.data_log_dir = Some(v.into()))
        .doc("Folder for transaction logs. A disk of its own makes writes faster."),
    property("snapCount", "3.3.0")
        .int("100000")
        .at_least(2, Outside::Clamped)
        .number(|d, v| d.config.storage.snap_count = count(v))
        .doc("Transactions between snapshots; the real number is drawn between half of it and all of it."),
    property("snapSizeLimitInKb", "3.6.0")
        .long("4194304")
        .unit("KiB")
        .number(|d, v| d.config.storage.snap_size_limit_bytes = kibibytes(v))
        .doc("Log bytes between snapshots, drawn in the same way; 0 or less turns this reason for a snapshot off."),
    property("txnLogSizeLimitInKb", "3.6.0")
        .long("-1")
        .unit("KiB")
        .number(|d, v| d.config.storage.txn_log_size_limit_bytes = kibibytes(v))
        .doc("Size at which a new log file is begun without a snapshot; 0 or less: never."),
    property("preAllocSize", "3.3.0")
        .long("65536")
        .unit("KiB")
        .number(|d, v| d.config.storage.pre_alloc_bytes = kibibytes(v).unwrap_or(0))
        .doc("Steps in which a log file is enlarged ahead of its contents; 0 or less: not at all."),
    property("forceSync", "3.3.0")
        .yes_no("yes", "no")
        .truth(|d, v| d.config.storage.force_sync = v)
        .doc("`no` answers writes before they are on the disk: a power cut then loses acknowledged writes."),
    property("fsync.warningthresholdms", "3.3.4")
        .long("1000")
        .unit("ms")
        .old_property("fsync.warningthresholdms")
        .number(|d, v| d.config.storage.fsync_warning_threshold_ms = millis(v))
        .doc("A sync of the log that takes longer is warned about."),
    property("flushDelay", "3.6.0")
        .long("0")
        .unit("ms")
        .ignored(GROUPS)
        .doc("How long a write may wait for others before the log is synced; 0: only while a sync runs."),
    property("maxWriteQueuePollTime", "3.6.0")
        .long("")
        .default_is("flushDelay ÷ 3")
        .unit("ms")
        .ignored(GROUPS)
        .doc("With `flushDelay`, how long to wait for the next write before syncing what is there."),
    property("maxBatchSize", "3.6.0")
        .int("1000")
        .at_least(1, Outside::Default)
        .ignored(GROUPS)
        .doc("Transactions at which the log is synced without more waiting."),
    property("snapshot.compression.method", "3.6.0")
        .lenient_choice(&["", "gz", "snappy"], "")
        .default_is("not compressed")
        .word(|d, v| d.config.storage.snapshot_compression = Compression::from_word(v))
        .doc("How new snapshots are compressed. Snapshots of every kind are read."),
    property("snapshot.trust.empty", "3.5.6")
        .bool("false")
        .truth(|d, v| d.config.storage.trust_empty_snapshot = v)
        .doc("Starts from logs alone when there is no snapshot, as left by releases before 3.5. Set it for one start."),
    property("datadir.autocreate", "3.5.0")
        .bool("true")
        .truth(|d, v| d.config.storage.autocreate_dirs = v)
        .doc("Creates missing data folders. `false` makes a missing one an error, which tells of a disk not mounted."),
    property("db.autocreate", "3.6.0")
        .bool("true")
        .truth(|d, v| d.config.storage.autocreate_db = v)
        .doc("An empty folder counts as an empty database. `false` wants the file `initialize` for that, and otherwise does not vote before it has data. No effect without an ensemble."),
    property("digest.enabled", "3.6.0")
        .bool("true")
        .truth(|d, v| d.config.storage.digest_enabled = v)
        .doc("Keeps a checksum of the whole tree with transactions and snapshots, and compares."),
    property("serializeLastProcessedZxid.enabled", "3.9.0")
        .bool("true")
        .truth(|d, v| d.config.storage.serialize_last_processed_zxid = v)
        .doc("Ends a snapshot with the last transaction it holds."),
    property("closeSessionTxn.enabled", "3.6.0")
        .bool("true")
        .truth(|d, v| d.config.storage.close_session_txn_enabled = v)
        .doc("Lists the ephemeral znodes in the transaction that closes a session."),
    file("autopurge.purgeInterval", "3.4.0")
        .of(Kind::Interval, "0")
        .unit("hours")
        .number(|d, v| d.config.storage.purge_interval_ms = u64::try_from(v).ok().filter(|&ms| ms > 0))
        .doc("Time between removals of old snapshots and logs; 0 keeps all. A suffix `ms`, `s`, `m`, `h` or `d` is taken too (Apache: from 3.10)."),
    file("autopurge.snapRetainCount", "3.4.0")
        .int("3")
        .at_least(3, Outside::Clamped)
        .number(|d, v| d.config.storage.snap_retain_count = count(v))
        .doc("Snapshots that stay, with the logs since the oldest of them."),
];

pub(super) static ZNODES: &[Spec] = &[
    property("extendedTypesEnabled", "3.5.4")
        .bool("false")
        .truth(|d, v| d.config.features.extended_types_enabled = v)
        .doc("Allows znodes with a time to live. Set the same on every server."),
    property("emulate353TTLNodes", "3.5.4")
        .bool("false")
        .truth(|d, v| d.config.features.emulate_353_ttl_nodes = v)
        .doc("Reads znodes with a time to live as release 3.5.3 wrote them."),
    flag("znode.container.checkIntervalMs", "3.5.1")
        .int("60000")
        .unit("ms")
        .at_least(1, Outside::Default)
        .number(|d, v| d.config.features.container_check_interval_ms = millis(v))
        .doc("Time between searches for empty containers and outlived znodes."),
    flag("znode.container.maxPerMinute", "3.5.1")
        .int("10000")
        .at_least(1, Outside::Default)
        .number(|d, v| d.config.features.container_max_per_minute = count(v))
        .doc("How many of them are deleted in a minute at most."),
    flag("znode.container.maxNeverUsedIntervalMs", "3.6.0")
        .long("0")
        .unit("ms")
        .number(|d, v| {
            d.config.features.container_max_never_used_ms = u64::try_from(v).ok().filter(|&ms| ms > 0)
        })
        .doc("Age at which a container that never had a child is deleted; 0: never."),
    property("enforceQuota", "3.7.0")
        .bool("false")
        .truth(|d, v| d.config.features.enforce_quota = v)
        .doc("Refuses writes beyond a hard quota and warns about soft ones."),
    property("watchManagerName", "3.6.0")
        .class(
            &[
                ("org.apache.zookeeper.server.watch.WatchManager", "the built-in watch tables"),
                ("org.apache.zookeeper.server.watch.WatchManagerOptimized", "the built-in watch tables"),
            ],
            "org.apache.zookeeper.server.watch.WatchManager",
        )
        .ignored("there is one kind of watch table, small and sharded")
        .doc("Apache's choice between two watch tables."),
    property("watcherCleanThreadsNum", "3.6.0")
        .int("2")
        .ignored(WATCHES)
        .doc("Threads that clean up after closed watchers."),
    property("watcherCleanThreshold", "3.6.0")
        .int("1000")
        .ignored(WATCHES)
        .doc("Closed watchers that start a clean-up."),
    property("watcherCleanIntervalInSeconds", "3.6.0")
        .int("600")
        .unit("s")
        .ignored(WATCHES)
        .doc("Time that starts a clean-up."),
    property("maxInProcessingDeadWatchers", "3.6.0")
        .int("-1")
        .ignored(WATCHES)
        .doc("Closed watchers that may wait for clean-up."),
    property("bitHashCacheSize", "3.6.0")
        .int("10")
        .ignored(WATCHES)
        .doc("Cache of the optimised watch table."),
    property("maxResponseCacheSize", "3.6.0")
        .int("400")
        .ignored(ANSWERS)
        .doc("Answers to getData that are kept."),
    property("maxGetChildrenResponseCacheSize", "3.6.0")
        .int("400")
        .ignored(ANSWERS)
        .doc("Answers to getChildren that are kept."),
    property("pathStats.enabled", "3.6.0")
        .bool("false")
        .ignored(PATHS)
        .doc("Logs which paths are used most."),
    property("pathStats.slotCapacity", "3.6.0").int("60").ignored(PATHS).doc("Slots in the window."),
    property("pathStats.slotDuration", "3.6.0").int("15").unit("s").ignored(PATHS).doc("Length of a slot."),
    property("pathStats.maxDepth", "3.6.0").int("6").ignored(PATHS).doc("Depth at which paths are cut."),
    property("pathStats.sampleRate", "3.6.0")
        .float("0.1")
        .ignored(PATHS)
        .doc("Share of requests that is counted."),
    property("pathStats.initialDelay", "3.6.0")
        .long("5")
        .unit("s")
        .ignored(PATHS)
        .doc("Time to the first line."),
    property("pathStats.delay", "3.6.0").long("5").unit("s").ignored(PATHS).doc("Time between lines."),
    property("pathStats.topPathMax", "3.6.0").int("20").ignored(PATHS).doc("Paths in a line."),
];

const GROUPS: &str =
    "the log is synced as soon as the sync before it has ended, with all that came meanwhile";
const WATCHES: &str = "closed watchers are removed at once";
const ANSWERS: &str = "answers are written straight from the tree, so there is nothing to keep";
const PATHS: &str = "the log of hot paths does not exist here";
