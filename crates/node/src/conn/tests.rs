use super::*;
use crate::session::Sessions;
use crate::settings::ThrottleSettings;
use tree::Rules;
use wire::jute::Put;

const TIMEOUT_MS: i32 = 4000;

/// A connection whose requests wait because others have used up the limit.
struct Waiting {
    conn: Conn,
    tree: Tree,
    watches: Watches,
    inflight: Inflight,
    settings: Settings,
    submission: Submission,
}

impl Waiting {
    fn new(throttle: ThrottleSettings) -> Waiting {
        let mut conn = Conn::new(1, IpAddr::from([127, 0, 0, 1]));
        let session = Sessions::new(1, 2000, 0, 0, std::iter::empty()).track(7, TIMEOUT_MS, 0);
        conn.phase = Phase::Connecting;
        conn.on_welcome(&[], session, 0);
        let inflight = Inflight::default();
        inflight.add_requests(throttle.max_requests);
        Waiting {
            conn,
            tree: Tree::new(Rules::default()),
            watches: Watches::new(1),
            inflight,
            settings: Settings { throttle, ..Settings::default() },
            submission: Submission::default(),
        }
    }

    fn handle(&mut self, bytes: &[u8], now_ms: i64) -> Progress {
        let mut cx = ConnContext {
            tree: &self.tree,
            watches: &self.watches,
            settings: &self.settings,
            inflight: &self.inflight,
            now_ms,
            submission: &mut self.submission,
        };
        self.conn.handle(bytes, &mut cx)
    }
}

fn request(op: OpCode) -> Vec<u8> {
    let mut out = Vec::new();
    let start = frame::begin(&mut out);
    out.put_i32(1);
    out.put_i32(op.code());
    frame::finish(&mut out, start);
    out
}

fn throttle(drop_stale: bool) -> ThrottleSettings {
    ThrottleSettings { max_requests: 10, drop_stale, ..ThrottleSettings::default() }
}

#[test]
fn a_stale_request_closes_its_connection() {
    let mut waiting = Waiting::new(throttle(true));
    let came_ms = 500;
    assert_eq!(waiting.handle(&request(OpCode::Sync), came_ms), Progress::Waiting);
    assert!(waiting.conn.is_stalled(), "it is looked at again");
    let timeout_ms = i64::from(TIMEOUT_MS);
    assert_eq!(waiting.handle(&[], came_ms + timeout_ms), Progress::Waiting);
    // Also when it could go on now.
    waiting.inflight.add_requests(-1);
    assert_eq!(waiting.handle(&[], came_ms + timeout_ms + 1), Progress::Closing);
    assert!(waiting.submission.requests.is_empty() && !waiting.conn.has_outgoing());
    assert_eq!(waiting.inflight.stale_dropped(), 1);
}

#[test]
fn nothing_is_dropped_unless_it_was_asked_for() {
    let mut waiting = Waiting::new(throttle(false));
    assert_eq!(waiting.handle(&request(OpCode::Sync), 0), Progress::Waiting);
    assert_eq!(waiting.handle(&[], 100_000), Progress::Waiting);
    waiting.inflight.add_requests(-1);
    waiting.handle(&[], 100_000);
    assert_eq!(waiting.submission.requests.len(), 1);
}

#[test]
fn the_end_of_a_session_is_never_stale() {
    let mut waiting = Waiting::new(throttle(true));
    assert_eq!(waiting.handle(&request(OpCode::CloseSession), 0), Progress::Waiting);
    assert_eq!(waiting.handle(&[], 100_000), Progress::Waiting);
    waiting.inflight.add_requests(-1);
    waiting.handle(&[], 100_000);
    assert_eq!(waiting.submission.requests.len(), 1);
    assert_eq!(waiting.inflight.stale_dropped(), 0);
}
