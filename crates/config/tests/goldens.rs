//! What people see: the whole story of a start, for deliberately bad files and for files as they are found in the
//! wild, as goldens. Beside each `NAME.cfg` stands `NAME.txt` with what came of it.
#![allow(clippy::disallowed_methods, reason = "goldens are files")]

mod common;

use common::{Start, crate_file, golden, story};

fn told(name: &str, prepare: impl Fn(Start) -> Start) {
    let input = crate_file(&format!("tests/goldens/{name}.cfg"));
    let text = std::fs::read(&input).unwrap_or_else(|error| panic!("{}: {error}", input.display()));
    golden(&crate_file(&format!("tests/goldens/{name}.txt")), &story(&prepare(Start::file(text))));
}

#[test]
fn a_bad_file_is_told_all_at_once() {
    told("bad", |start| {
        start.jvm_flags("-Xmx1g -Djute.maxbufer=1 -Dzookeeper.tickTime=2000 -Dzookeeper.maxCnxns=many")
    });
}

#[test]
fn apache_sample() {
    told("sample", |start| start);
}

#[test]
fn three_hosts() {
    told("three_hosts", |start| start.with("/usr/apps/zookeeper/zkdatas/myid", " 2 \n"));
}

#[test]
fn three_hosts_with_an_empty_myid() {
    told("three_hosts_empty_myid", |start| start.with("/usr/apps/zookeeper/zkdatas/myid", ""));
}

#[test]
fn comments_behind_values() {
    told("comments_behind_values", |start| start);
}

#[test]
fn kubernetes_config_map() {
    told("config_map", |start| start.with("/data/myid", "3\n"));
}

#[test]
fn official_image_alone() {
    told("official_image", |start| start.with("/data/myid", "1\n"));
}

#[test]
fn kubernetes_image_with_its_misspelt_key() {
    told("kubernetes_image", |start| {
        start.with("/var/lib/zookeeper/data/myid", "1").jvm_flags("-Xmx512M -Xms512M")
    });
}

#[test]
fn operator_with_a_dynamic_file() {
    let members = "server.1=zk-0.zk-headless.default.svc.cluster.local:2888:3888:participant;0.0.0.0:2181\n\
                   server.2=zk-1.zk-headless.default.svc.cluster.local:2888:3888:participant;0.0.0.0:2181\n\
                   server.3=zk-2.zk-headless.default.svc.cluster.local:2888:3888:observer;0.0.0.0:2181\n";
    told("operator", |start| {
        start
            .with("/data/zoo.cfg.dynamic.100000000", members)
            .with("/data/myid", "3")
            .jvm_flags("-Djute.maxbuffer=4194304")
    });
}

#[test]
fn tls_and_sasl() {
    told("tls_and_sasl", |start| start.with("/data/myid", "1"));
}
