//! Error codes of the client protocol: the values that can stand in a reply header.
//!
//! The Java client throws on codes it does not know, so this set is closed.

macro_rules! error_codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        /// A refusal, as the client sees it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum ErrorCode { $($name = $code),* }

        impl ErrorCode {
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name),*];

            pub fn from_code(code: i32) -> Option<ErrorCode> {
                match code { $($code => Some(ErrorCode::$name),)* _ => None }
            }

            /// The word ZooKeeper's documentation uses.
            pub fn text(self) -> &'static str {
                match self { $(ErrorCode::$name => $text),* }
            }
        }
    };
}

error_codes! {
    RuntimeInconsistency = -2, "RuntimeInconsistency";
    MarshallingError = -5, "MarshallingError";
    Unimplemented = -6, "Unimplemented";
    BadArguments = -8, "BadArguments";
    UnknownSession = -12, "UnknownSession";
    NewConfigNoQuorum = -13, "NewConfigNoQuorum";
    ReconfigInProgress = -14, "ReconfigInProgress";
    NoNode = -101, "NoNode";
    NoAuth = -102, "NoAuth";
    BadVersion = -103, "BadVersion";
    NoChildrenForEphemerals = -108, "NoChildrenForEphemerals";
    NodeExists = -110, "NodeExists";
    NotEmpty = -111, "NotEmpty";
    SessionExpired = -112, "SessionExpired";
    InvalidAcl = -114, "InvalidACL";
    AuthFailed = -115, "AuthFailed";
    SessionMoved = -118, "SessionMoved";
    NotReadOnly = -119, "NotReadOnly";
    EphemeralOnLocalSession = -120, "EphemeralOnLocalSession";
    NoWatcher = -121, "NoWatcher";
    ReconfigDisabled = -123, "ReconfigDisabled";
    SessionClosedRequireSaslAuth = -124, "SessionClosedRequireSaslAuth";
    QuotaExceeded = -125, "QuotaExceeded";
    ThrottledOp = -127, "ThrottledOp";
}

impl ErrorCode {
    pub fn code(self) -> i32 {
        self as i32
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.text(), self.code())
    }
}
