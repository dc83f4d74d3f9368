//! TLS on the client port (`ssl.`) and between servers (`ssl.quorum.`): the same names twice.

use super::{Part, Spec, file, property};

/// One option in both families.
macro_rules! in_both {
    ($($name:literal, $since:literal => |$spec:ident| $body:expr;)*) => {
        [$(
            { let $spec = property(concat!("ssl.", $name), $since).later(Part::Tls); $body },
            { let $spec = property(concat!("ssl.quorum.", $name), $since).later(Part::Tls); $body },
        )*]
    };
}

const STORE_TYPES: &[&str] = &["JKS", "PEM", "PKCS12", "BCFKS"];

const IN_BOTH: [Spec; 38] = in_both! {
    "protocol", "3.5.5" => |spec| spec.text("").default_is("TLSv1.2").doc("Protocol version to prefer.");
    "enabledProtocols", "3.5.5" => |spec| spec.text("").default_is("protocol").doc("Protocol versions, separated by commas.");
    "ciphersuites", "3.5.5" => |spec| spec.text("").default_is("chosen by the library").doc("Cipher suites, separated by commas.");
    "keyStore.location", "3.5.1" => |spec| spec.path().doc("File with our certificate and key.");
    "keyStore.password", "3.5.1" => |spec| spec.text("").secret().doc("Password of it.");
    "keyStore.passwordPath", "3.8.0" => |spec| spec.path().doc("File with that password.");
    "keyStore.type", "3.5.5" => |spec| spec.choice(STORE_TYPES, "").default_is("by the file's suffix").doc("Format of it.");
    "trustStore.location", "3.5.1" => |spec| spec.path().doc("File with the authorities that we trust.");
    "trustStore.password", "3.5.1" => |spec| spec.text("").secret().doc("Password of it.");
    "trustStore.passwordPath", "3.8.0" => |spec| spec.path().doc("File with that password.");
    "trustStore.type", "3.5.5" => |spec| spec.choice(STORE_TYPES, "").default_is("by the file's suffix").doc("Format of it.");
    "context.supplier.class", "3.6.0" => |spec| spec.class(&[], "").doc("Java code that sets TLS up. It cannot be loaded.");
    "hostnameVerification", "3.5.5" => |spec| spec.bool("true").doc("The name in a certificate must fit the host.");
    "clientHostnameVerification", "3.9.4" => |spec| spec.bool("").default_is("`true` between servers, else `false`").doc("The same for whoever connects to us.");
    "allowReverseDnsLookup", "3.8.6" => |spec| spec.bool("false").doc("Looks up the name of an address for that.");
    "crl", "3.5.5" => |spec| spec.bool("false").doc("Checks revocation lists.");
    "ocsp", "3.5.5" => |spec| spec.bool("false").doc("Asks whether a certificate was revoked.");
    "clientAuth", "3.5.5" => |spec| spec.choice(&["none", "want", "need"], "need").doc("Whether whoever connects must show a certificate.");
    "handshakeDetectionTimeoutMillis", "3.5.5" => |spec| spec.int("5000").unit("ms").doc("How long to wait for the first bytes that tell TLS from plain text.");
};

const ELSEWHERE: [Spec; 8] = [
    file("sslQuorum", "3.5.5").bool("false").later(Part::Tls).doc("TLS between servers."),
    file("portUnification", "3.5.5")
        .bool("false")
        .later(Part::Tls)
        .doc("Quorum ports take TLS and plain text."),
    file("sslQuorumReloadCertFiles", "3.5.5")
        .bool("false")
        .later(Part::Tls)
        .doc("Takes changed certificate files without a restart, between servers."),
    property("client.portUnification", "3.5.7")
        .bool("false")
        .later(Part::Tls)
        .doc("The client port takes TLS and plain text."),
    property("client.certReload", "3.7.2")
        .bool("false")
        .later(Part::Tls)
        .doc("Takes changed certificate files without a restart, for clients."),
    property("fips-mode", "3.8.2")
        .bool("true")
        .later(Part::Tls)
        .doc("Keeps to what FIPS allows; then names in certificates are checked by the library."),
    property("ssl.authProvider", "3.5.1")
        .text("x509")
        .later(Part::Tls)
        .doc("Scheme that gets the client's certificate."),
    property("ssl.sslProvider", "3.9.0")
        .text("JDK")
        .ignored("there is one TLS library")
        .doc("Library that Apache uses."),
];

static TABLE: [Spec; ELSEWHERE.len() + IN_BOTH.len()] = {
    let mut table = [ELSEWHERE[0]; ELSEWHERE.len() + IN_BOTH.len()];
    let mut index = 0;
    while index < table.len() {
        table[index] =
            if index < ELSEWHERE.len() { ELSEWHERE[index] } else { IN_BOTH[index - ELSEWHERE.len()] };
        index += 1;
    }
    table
};

pub(super) static TLS: &[Spec] = &TABLE;
