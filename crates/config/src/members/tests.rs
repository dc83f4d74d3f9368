use super::*;

fn member(value: &str) -> Result<Member, String> {
    parse_member(1, value, true).map_err(|(problem, _)| problem)
}

fn address(host: &str, port: u16) -> Option<Address> {
    Some(Address { host: Some(host.to_owned()), port })
}

#[test]
fn the_usual_forms() {
    let plain = member("zoo1:2888:3888").expect("a member");
    let server = ServerAddress { host: "zoo1".to_owned(), quorum_port: 2888, election_port: 3888 };
    assert_eq!(plain.addresses, [server]);
    assert_eq!((plain.role, plain.client.clone(), plain.secure_client), (Role::Participant, None, None));
    let full = member("zoo1:2888:3888:Observer;10.0.0.1:2181;10.0.0.2:2281").expect("a member");
    assert_eq!(full.role, Role::Observer);
    assert_eq!((full.client, full.secure_client), (address("10.0.0.1", 2181), address("10.0.0.2", 2281)));
    let secure = member("zoo1:2888:3888;;2281").expect("a member");
    assert_eq!((secure.client, secure.secure_client), (None, address("0.0.0.0", 2281)));
    assert_eq!(member("a:1:2;2181").expect("a member").client, address("0.0.0.0", 2181));
    assert_eq!(member("a:1:2;").expect("a member").client, None);
}

#[test]
fn brackets_hold_ipv6() {
    let member = member("[2001:db8::1]:2888:3888;[::]:2181").expect("a member");
    assert_eq!(member.addresses[0].host, "2001:db8::1");
    assert_eq!(member.client, address("::", 2181));
    assert_eq!(member.to_string(), "[2001:db8::1]:2888:3888:participant;[::]:2181");
}

#[test]
fn several_addresses() {
    let both = member("b:1:2|a:3:4:participant").expect("a member");
    assert_eq!(both.to_string(), "a:3:4|b:1:2:participant");
    assert_eq!(
        member("a:1:2:observer|b:1:2:participant"),
        Err("server.1=a:1:2:observer|b:1:2:participant: its addresses have different roles".to_owned())
    );
    assert!(parse_member(1, "a:1:2|b:1:2", false).is_err());
}

#[test]
fn refused_forms() {
    for (value, why) in [
        ("", "this is not the description of a server"),
        (";2181", "there is no host"),
        ("a", "a needs a host, a quorum port and an election port"),
        ("a:1", "a:1 needs a host, a quorum port and an election port"),
        (":1:2", "the host is missing"),
        ("a b:1:2", "a b is not a host name or address"),
        ("a:x:2", "x is not a port from 0 to 65535"),
        ("a:1:70000", "70000 is not a port from 0 to 65535"),
        ("a:1:1", "quorum port and election port are both 1, but must differ"),
        ("a:1:2:boss", "boss is not a role"),
        ("a:1:2:observer:3", "a:1:2:observer:3 has too many parts"),
        ("a:1:2;b:c:3", "b:c:3 is neither a port nor host:port"),
        ("a:1:2;3;4;5", "this is not the description of a server"),
        ("[::1:1:2", "[::1:1:2 has no closing bracket"),
        ("[::1]", "[::1] has no port behind its bracket"),
        ("[::1]2888:3888", "[::1]2888:3888 has no port behind its bracket"),
    ] {
        assert_eq!(member(value), Err(format!("server.1={value}: {why}")));
    }
}

#[test]
fn a_hierarchical_configuration_reads_back() {
    let text = "server.1=a:1:2:participant\nserver.2=b:1:2:participant;0.0.0.0:2181\nserver.3=c:1:2:observer\n\
                group.1=1:2\nweight.1=2\nversion=100000003";
    let membership = parse_membership(text.as_bytes(), "text", false).expect("a configuration");
    assert_eq!(membership.version, 0x1_0000_0003);
    assert_eq!((membership.participants().count(), membership.observers().count()), (2, 1));
    assert_eq!((&membership.groups[&1], membership.weights[&1]), (&vec![1, 2], 2));
    assert_eq!(membership.to_string(), text);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let text = "server.1=a:1:2\nserver.one=b:1:2\nserver.01=c:1:2\ngroup.1=2:x\ngroup.2=3:3\nweight.1=heavy\n\
                groupless=1\ntickTime=3\nversion=-1\nserver.4=\\u12\nserver.5=d:1:2 \n";
    let found = parse_membership(text.as_bytes(), "f", false).expect_err("it is wrong");
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    let expected = [
        "f:1: error: server 1 is in no group; with group or weight lines, put every participant into a group",
        "f:2: error: server.one does not end in a number; write server.N, group.N or weight.N with a number N",
        "f:3: error: server.1 was already given at f:1; keep one of the two lines",
        "f:4: error: group.1=2:x is not a list of server numbers; write them as 1:2:3",
        "f:5: error: server 3 is in two groups; name each server in one group only",
        "f:6: error: weight.1=heavy is not a whole number; write the weight in decimal digits",
        "f:7: error: groupless does not end in a number; write server.N, group.N or weight.N with a number N",
        "f:8: error: unrecognised parameter tickTime; only server.N, group.G and weight.N may stand here: move it to zoo.cfg",
        "f:9: error: version=-1 is not a hexadecimal number",
        "f:10: error: \\u is not followed by four hexadecimal digits; write a backslash as \\\\",
        "f:11: error: server 5 is in no group; with group or weight lines, put every participant into a group",
        "f:11: warning: server.5 has blanks at its end, which Apache ZooKeeper refuses; remove them",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn shared_addresses_are_warned_about() {
    let mut findings = Findings::default();
    let text = b"server.1=Host:1:2\nserver.2=host:3:1\nserver.300=other:1:2";
    let (lines, _) = membership_lines(text, "f", &mut findings);
    read(&lines, false, &mut findings);
    let found: Vec<String> = findings.finish().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "f:2: warning: server.1 and server.2 share the address host:1; give each its own host or ports",
            "f:3: warning: server.300: only the last eight bits of the number tell session ids apart; use numbers from 1 to 255",
        ]
    );
}
