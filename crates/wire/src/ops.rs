//! The one table of operations: number, name, how it is answered, since which release, and its short tag.
//!
//! Every place that needs to know something about an operation asks this table or matches on [`OpCode`]
//! without a wildcard arm, so that a new operation cannot be forgotten anywhere.

/// How a request of this kind is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpClass {
    /// From the local tree, on the connection's own thread.
    Read,
    /// By a transaction: ordered by the leader, logged, applied everywhere.
    Write,
    /// By a round trip to the leader without a transaction.
    Sync,
    /// By the connection itself (authentication).
    Connection,
    /// Only as part of something else; refused as a request of its own.
    Internal,
}

macro_rules! operations {
    ($($name:ident = $code:literal, $class:ident, $text:literal, $tag:literal, $since:literal;)*) => {
        /// A request type.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum OpCode { $($name = $code),* }

        impl OpCode {
            pub const ALL: &'static [OpCode] = &[$(OpCode::$name),*];

            pub fn from_code(code: i32) -> Option<OpCode> {
                match code { $($code => Some(OpCode::$name),)* _ => None }
            }

            pub fn class(self) -> OpClass {
                match self { $(OpCode::$name => OpClass::$class),* }
            }

            /// The name in ZooKeeper's documentation.
            pub fn name(self) -> &'static str {
                match self { $(OpCode::$name => $text),* }
            }

            /// The tag that `cons` shows as `lop=`.
            pub fn tag(self) -> &'static str {
                match self { $(OpCode::$name => $tag),* }
            }

            /// The first release that knows the operation.
            pub fn since(self) -> &'static str {
                match self { $(OpCode::$name => $since),* }
            }
        }
    };
}

operations! {
    Notification = 0, Internal, "notification", "NOTI", "3.0";
    Create = 1, Write, "create", "CREA", "3.0";
    Delete = 2, Write, "delete", "DELE", "3.0";
    Exists = 3, Read, "exists", "EXIS", "3.0";
    GetData = 4, Read, "getData", "GETD", "3.0";
    SetData = 5, Write, "setData", "SETD", "3.0";
    GetAcl = 6, Read, "getACL", "GETA", "3.0";
    SetAcl = 7, Write, "setACL", "SETA", "3.0";
    GetChildren = 8, Read, "getChildren", "GETC", "3.0";
    Sync = 9, Sync, "sync", "SYNC", "3.0";
    Ping = 11, Read, "ping", "PING", "3.0";
    GetChildren2 = 12, Read, "getChildren2", "GETC", "3.3";
    Check = 13, Internal, "check", "CHEC", "3.4";
    Multi = 14, Write, "multi", "MULT", "3.4";
    Create2 = 15, Write, "create2", "CREA", "3.5.0";
    Reconfig = 16, Write, "reconfig", "RECO", "3.5.0";
    CheckWatches = 17, Read, "checkWatches", "CHKW", "3.5.0";
    RemoveWatches = 18, Read, "removeWatches", "REMW", "3.5.0";
    CreateContainer = 19, Write, "createContainer", "CREA", "3.5.1";
    DeleteContainer = 20, Write, "deleteContainer", "DELE", "3.5.1";
    CreateTtl = 21, Write, "createTTL", "CREA", "3.5.3";
    MultiRead = 22, Read, "multiRead", "MLTR", "3.6.0";
    Auth = 100, Connection, "auth", "AUTH", "3.0";
    SetWatches = 101, Read, "setWatches", "SETW", "3.0";
    Sasl = 102, Connection, "sasl", "SASL", "3.4";
    GetEphemerals = 103, Read, "getEphemerals", "GETE", "3.6.0";
    GetAllChildrenNumber = 104, Read, "getAllChildrenNumber", "GETACN", "3.6.0";
    SetWatches2 = 105, Read, "setWatches2", "STW2", "3.6.0";
    AddWatch = 106, Read, "addWatch", "ADDW", "3.6.0";
    WhoAmI = 107, Read, "whoAmI", "HOMI", "3.7.0";
    CreateSession = -10, Internal, "createSession", "SESS", "3.0";
    CloseSession = -11, Write, "closeSession", "CLOS", "3.0";
    Error = -1, Internal, "error", "ERR", "3.0";
}

impl OpCode {
    pub fn code(self) -> i32 {
        self as i32
    }
}

/// xids with a fixed meaning (client-surface §2.3).
pub mod xid {
    pub const NOTIFICATION: i32 = -1;
    pub const PING: i32 = -2;
    pub const AUTH: i32 = -4;
    pub const SET_WATCHES: i32 = -8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_survive() {
        for op in OpCode::ALL {
            assert_eq!(OpCode::from_code(op.code()), Some(*op));
        }
        assert_eq!(OpCode::from_code(10), None);
    }
}
