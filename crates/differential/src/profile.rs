//! The configurations under which two servers are compared. Both get the same zoo.cfg.

use crate::step::Request;
use wire::OpCode;
use wire::jute::Put;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Profile {
    /// Everything that can be switched on: TTL nodes, hard quotas, reconfig.
    Full,
    /// The defaults.
    Plain,
    /// No ACL is checked.
    SkipAcl,
    /// Nothing is done before a digest authentication.
    EnforceAuth,
}

/// `super:` and the hash of the password `admin`, so that the tree can be read and removed whatever its ACLs.
const SUPER_DIGEST: &str = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=";

/// A system property that is not read from zoo.cfg: no reaping of containers and TTL nodes during a run.
pub const NO_REAPING: &str = "-Dznode.container.checkIntervalMs=86400000";

/// Lines of every profile. Nothing needs the disk, and answers come from the tree: Apache's cache of answers would show a stale
/// `zookeeper_stats`, whose data changes without its stat.
const COMMON: &str = "\
tickTime=500
minSessionTimeout=1000
maxSessionTimeout=40000
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=*
forceSync=no
snapCount=100000000
autopurge.purgeInterval=0
maxResponseCacheSize=0
maxGetChildrenResponseCacheSize=0
";

impl Profile {
    pub const ALL: [Profile; 4] = [Profile::Full, Profile::Plain, Profile::SkipAcl, Profile::EnforceAuth];

    pub fn name(self) -> &'static str {
        match self {
            Profile::Full => "full",
            Profile::Plain => "plain",
            Profile::SkipAcl => "skip-acl",
            Profile::EnforceAuth => "enforce-auth",
        }
    }

    pub fn by_name(name: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|p| p.name() == name)
    }

    fn own_lines(self) -> &'static str {
        match self {
            Profile::Full => "extendedTypesEnabled=true\nenforceQuota=true\nreconfigEnabled=true\n",
            Profile::Plain => "",
            Profile::SkipAcl => "skipACL=yes\nextendedTypesEnabled=true\nenforceQuota=true\n",
            Profile::EnforceAuth => "enforce.auth.enabled=true\nenforce.auth.schemes=digest\n",
        }
    }

    /// The whole zoo.cfg.
    pub fn zoo_cfg(self, data_dir: &std::path::Path, port: u16) -> String {
        format!(
            "{COMMON}{}DigestAuthenticationProvider.superDigest={SUPER_DIGEST}\ndataDir={}\nclientPort={port}\n\
             clientPortAddress=127.0.0.1\n",
            self.own_lines(),
            data_dir.display(),
        )
    }

    /// What a client must send before anything else.
    pub fn opening(self) -> Option<Request> {
        match self {
            Profile::EnforceAuth => Some(auth("digest", Some(b"alice:pw"))),
            Profile::Full | Profile::Plain | Profile::SkipAcl => None,
        }
    }

    /// The super user.
    pub fn super_user() -> Request {
        auth("digest", Some(b"super:admin"))
    }
}

pub fn auth(scheme: &str, given: Option<&[u8]>) -> Request {
    let mut body = Vec::new();
    body.put_i32(0);
    body.put_ustring(scheme);
    body.put_buffer(given);
    Request::new(wire::ops::xid::AUTH, OpCode::Auth, body)
}
