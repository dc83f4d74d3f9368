//! Small configurations whose verdict by Apache ZooKeeper 3.9.5 (`QuorumPeerConfig.parse`) was recorded, and ours.
//! `MYID@TEXT`, with `~` for the end of a line.

mod common;

use common::Start;

const ACCEPTED_BY_BOTH: &[&str] = &[
    "@dataDir=/d~clientPort=2181",
    "@dataDir=/d",
    "@dataDir=/d~clientPort=+2181",
    "@dataDir=/d~clientPort=2181~clientPortAddress=",
    "@dataDir=/d~minSessionTimeout=0",
    "@dataDir=/d~autopurge.snapRetainCount=1~autopurge.purgeInterval=-1",
    "@dataDir=/d~peerType=OBSERVER",
    "@dataDir=/d~server.1=a:1:2",
    "@dataDir=/d~server.1=a:1:2;2181",
    "1@dataDir=/d~server.1=a:1:2;2181",
    "1@dataDir=/d~server.1=a:1:2:",
    "1@dataDir=/d~initLimit=1~syncLimit=1~server.1=a:1:2~server.2=b:1:2",
    "1@dataDir=/d~initLimit=1~syncLimit=1~server.1=a:1:2~server.2=b:1:2~group.1=1:2",
    "@dataDir=/d~observerMasterPort=-1",
    "@dataDir=/d~jvm.pause.sleep.time.ms=-1",
];

const REFUSED_BY_BOTH: &[&str] = &[
    "@clientPort=2181",
    "@dataDir=/d~clientPort=",
    "@dataDir=/d~clientPort=2181 # c",
    "@dataDir=/d~clientPortAddress=127.0.0.1",
    "@dataDir=/d~clientPort=70000",
    "@dataDir=/d~clientPort=-1",
    "@dataDir=/d~tickTime=0",
    "@dataDir=/d~tickTime=-5",
    "@dataDir=/d~minSessionTimeout=99999",
    "@dataDir=/d~electionAlg=1",
    "@dataDir=/d~peerType=x",
    "@dataDir=/d~standaloneEnabled=yes",
    "@dataDir=/d~standaloneEnabled=false",
    "1@dataDir=/d~clientPort=2182~server.1=a:1:2;2181",
    "1@dataDir=/d~server.1=a:1:1",
    "1@dataDir=/d~server.1=a:1:2|b:1:2",
    "1@dataDir=/d~server.1=[::1]:1:2:observer",
    "1@dataDir=/d~server.1=a:1:2~server.2=b:1:2",
    "@dataDir=/d~initLimit=1~syncLimit=1~server.1=a:1:2~server.2=b:1:2",
    "x@dataDir=/d~clientPort=1",
    "1@dataDir=/d~initLimit=1~syncLimit=1~server.1=a:1:2~server.2=b:1:2~group.1=1",
    "1@dataDir=/d~initLimit=1~syncLimit=1~server.1=a:1:2~server.2=b:1:2~weight.1=1",
    "1@dataDir=/d~initLimit=1~syncLimit=1~server.1=a:1:2~server.2=b:1:2~groupless=1",
    "1@dataDir=/d~groupless=1",
    "@dataDir=/d~quorum.auth.serverRequireSasl=true",
    "@dataDir=/d~metricsProvider.className=x.Y",
    "@dataDir=/d~clientPortListenBacklog=x",
    "@dataDir=/d~dataLogDir=",
    "@dataDir=/d~server.x=a:1:2",
];

/// Nonsense that Apache takes and trips over later: negative limits, a member without a host, a `myid` that is not listed.
const ONLY_APACHE_ACCEPTS: &[&str] = &[
    "@dataDir=/d~minSessionTimeout=-2",
    "@dataDir=/d~initLimit=-1",
    "1@dataDir=/d~server.1=:1:2",
    "9@dataDir=/d~initLimit=1~syncLimit=1~server.1=a:1:2~server.2=b:1:2",
    "@dataDir=/d~connectToLearnerMasterLimit=-1",
];

/// Blanks at the end of server lines and round `myid`, units of intervals, a third part in server lines, and several
/// addresses enabled in the file itself, each harmless.
const ONLY_WE_ACCEPT: &[&str] = &[
    "@dataDir=/d~autopurge.purgeInterval=1h",
    "1@dataDir=/d~server.1=a:1:2 ",
    "1@dataDir=/d~server.1=a:1:2;2181 ",
    "1@dataDir=/d~server.1=a:1:2;;2281",
    "1@dataDir=/d~multiAddress.enabled=true~server.1=a:1:2|b:1:2",
    " 1@dataDir=/d~initLimit=1~syncLimit=1~server.1=a:1:2~server.2=b:1:2",
];

fn accepted(case: &str) -> bool {
    let (my_id, text) = case.split_once('@').expect("MYID@TEXT");
    let start = Start::file(text.replace('~', "\n"));
    let start = if my_id.is_empty() { start } else { start.with("/d/myid", my_id) };
    start.load().is_ok()
}

#[test]
fn verdicts() {
    let all = [
        (ACCEPTED_BY_BOTH, true),
        (REFUSED_BY_BOTH, false),
        (ONLY_APACHE_ACCEPTS, false),
        (ONLY_WE_ACCEPT, true),
    ];
    for (cases, expected) in all {
        for case in cases {
            assert_eq!(accepted(case), expected, "{case}");
        }
    }
}
