//! What `cons` says that a connection was answered last, as Apache ZooKeeper 3.9.5 says it of the same requests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use interop::four_letter::ask;
use interop::jute::{Acl, Writer};
use interop::raw::{Session, create_record, flag, op};
use support::{Folder, Server};

/// `sent`, `lop`, `lcxid` and `lzxid` of the one session.
fn last(port: u16) -> String {
    let text = ask(port, "cons").unwrap();
    let line = text.lines().find(|line| line.contains("sid=")).unwrap();
    let kept = |part: &&str| ["sent=", "lop=", "lcxid=", "lzxid="].iter().any(|key| part.starts_with(key));
    line.split(',').filter(kept).collect::<Vec<_>>().join(" ")
}

#[test]
fn refused_writes_leave_no_operation() {
    let folder = Folder::new("cons");
    let data = folder.path().join("data");
    let server = Server::start(folder.path(), "", |port| {
        format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\n4lw.commands.whitelist=*\n",
            data.display()
        )
    });
    let port = server.address.port();
    let mut session = Session::open(port, 30_000).unwrap();
    assert_eq!(last(port), "sent=1 lop=SESS lcxid=0x0 lzxid=0x1");
    let create = create_record("/a", Some(b""), &[Acl::open()], flag::PERSISTENT);
    let missing = |writer: Writer| writer.string("/nope");
    let set = missing(Writer::default()).buffer(Some(b"")).int(-1).bytes;
    let read = missing(Writer::default()).boolean(false).bytes;
    for (operation, body, error, said) in [
        (op::CREATE, &create, 0, "sent=2 lop=CREA lcxid=0x1 lzxid=0x2"),
        (op::CREATE, &create, -110, "sent=3 lop=NA lcxid=0x2 lzxid=0x3"),
        (op::GET_DATA, &read, -101, "sent=4 lop=GETD lcxid=0x3 lzxid=0x3"),
        (op::SET_DATA, &set, -101, "sent=5 lop=NA lcxid=0x4 lzxid=0x4"),
        // Undecodable: no transaction.
        (op::CREATE, &vec![0], -5, "sent=6 lop=NA lcxid=0x5 lzxid=0x4"),
    ] {
        assert_eq!(session.call(operation, body).unwrap().error, error);
        assert_eq!(last(port), said);
    }
    assert_eq!(ask(port, "crst").unwrap(), "Connection stats reset.\n");
    assert_eq!(last(port), "sent=0 lop=NA lzxid=0xffffffffffffffff");
    session.close().unwrap();
    server.stop();
}
