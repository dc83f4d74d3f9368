//! Who may do what, SASL, and what administrators look at.

use super::{JVM, Part, Spec, file, flag, property};
use crate::convert::comma_list;

/// Names under which digests are known to Java.
pub(crate) const DIGEST_ALGORITHMS: &[&str] = &[
    "MD5", "SHA", "SHA1", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512", "SHA3-224", "SHA3-256",
    "SHA3-384", "SHA3-512",
];

pub(super) static ACCESS: &[Spec] = &[
    property("skipACL", "3.3.0")
        .yes_no("no", "yes")
        .truth(|d, v| d.config.auth.skip_acl = v)
        .doc("`yes`: access control lists are not looked at."),
    property("enableEagerACLCheck", "3.6.0")
        .bool("false")
        .truth(|d, v| d.config.auth.eager_acl_check = v)
        .doc("Refuses writes without permission before they go to the leader. No effect without an ensemble."),
    property("authProvider.*", "3.3.0")
        .family()
        .doc("Class name of a further authentication scheme, one key for each: `SASLAuthenticationProvider`, `X509AuthenticationProvider`, `EnsembleAuthenticationProvider`, `KeyAuthenticationProvider`, `DigestAuthenticationProvider` or `IPAuthenticationProvider`, with `org.apache.zookeeper.server.auth.` in front. Classes of your own cannot be loaded."),
    property("DigestAuthenticationProvider.enabled", "3.7.0")
        .bool("true")
        .truth(|d, v| d.config.auth.digest_enabled = v)
        .doc("Offers the scheme `digest`."),
    property("DigestAuthenticationProvider.digestAlg", "3.7.0")
        .choice(DIGEST_ALGORITHMS, "SHA1")
        .word(|d, v| d.digest_algorithm = v.to_owned())
        .doc("Hash of `digest` identities. Set the same on every server, and make existing lists anew when you change it."),
    property("DigestAuthenticationProvider.superDigest", "3.3.0")
        .text("")
        .secret()
        .word(|d, v| d.config.auth.super_digest = Some(v.into()))
        .doc("`name:hash` of the user who may do all."),
    property("X509AuthenticationProvider.superUser", "3.5.1")
        .text("")
        .later(Part::Tls)
        .doc("Distinguished name of the user who may do all."),
    property("IPAuthenticationProvider.usexforwardedfor", "3.9.3")
        .bool("false")
        .later(Part::AdminServer)
        .doc("The admin server takes a client's address from the header X-Forwarded-For."),
    property("ensembleAuthName", "3.6.0")
        .text("")
        .word(|d, v| d.config.auth.ensemble_names = comma_list(v))
        .doc("Names, separated by commas, of which a client with the scheme `ensemble` must give one."),
    property("enforce.auth.enabled", "3.7.0")
        .bool("false")
        .truth(|d, v| d.enforce_auth = v)
        .doc("Closes connections that ask for something before they have authenticated."),
    property("enforce.auth.schemes", "3.7.0")
        .text("")
        .word(|d, v| d.enforce_auth_schemes = comma_list(v))
        .doc("Schemes, separated by commas, of which one must have succeeded."),
    property("sessionRequireClientSASLAuth", "3.5.9")
        .bool("false")
        .truth(|d, v| d.require_sasl = v)
        .doc("The same as enforcing the scheme `sasl`."),
];

pub(super) static SASL: &[Spec] = &[
    flag("java.security.auth.login.config", "3.4.0")
        .path()
        .later(Part::Sasl)
        .doc("JAAS file with users or Kerberos settings."),
    property("sasl.serverconfig", "3.4.4")
        .text("Server")
        .later(Part::Sasl)
        .doc("Section of it that the server uses."),
    property("allowSaslFailedClients", "3.4.0")
        .bool("false")
        .later(Part::Sasl)
        .doc("A client whose SASL fails stays connected without an identity."),
    property("letAnySaslUserDoX", "3.5.0")
        .text("")
        .later(Part::Sasl)
        .doc("Identity in lists that stands for every SASL user."),
    property("SASLAuthenticationProvider.superPassword", "3.4.0")
        .text("")
        .secret()
        .later(Part::Sasl)
        .doc("Password of the SASL user `super`."),
    property("superUser", "3.4.0").text("").later(Part::Sasl).doc("SASL identity that may do all."),
    property("superUser.*", "3.7.0").family().later(Part::Sasl).doc("Further ones, one key for each."),
    property("security.auth_to_local", "3.4.0")
        .text("DEFAULT")
        .later(Part::Sasl)
        .doc("Rules that turn Kerberos principals into short names."),
    property("requireKerberosConfig", "3.4.0")
        .bool("false")
        .later(Part::Sasl)
        .doc("Refuses to start without a Kerberos configuration."),
    property("kerberos.removeHostFromPrincipal", "3.4.0")
        .bool("false")
        .later(Part::Sasl)
        .doc("Leaves the host out of the identity."),
    property("kerberos.removeRealmFromPrincipal", "3.4.0")
        .bool("false")
        .later(Part::Sasl)
        .doc("Leaves the realm out of the identity."),
    property("kerberos.minReLoginTimeMs", "3.5.10")
        .long("60000")
        .unit("ms")
        .later(Part::Sasl)
        .doc("Shortest time between logins."),
    property("kinit", "3.4.0")
        .path()
        .default_is("kinit")
        .ignored(JVM)
        .doc("Program that Apache calls to renew a ticket."),
    file("quorum.auth.enableSasl", "3.4.10")
        .bool("false")
        .later(Part::Sasl)
        .truth(|d, v| d.quorum_sasl.enabled = v)
        .doc("Servers authenticate each other."),
    file("quorum.auth.learnerRequireSasl", "3.4.10")
        .bool("false")
        .later(Part::Sasl)
        .truth(|d, v| d.quorum_sasl.learner_required = v)
        .doc("As a client of another server, insists on it."),
    file("quorum.auth.serverRequireSasl", "3.4.10")
        .bool("false")
        .later(Part::Sasl)
        .truth(|d, v| d.quorum_sasl.server_required = v)
        .doc("Takes no connection without it."),
    file("quorum.auth.learner.saslLoginContext", "3.4.10")
        .text("QuorumLearner")
        .later(Part::Sasl)
        .doc("JAAS section for outgoing connections."),
    file("quorum.auth.server.saslLoginContext", "3.4.10")
        .text("QuorumServer")
        .later(Part::Sasl)
        .doc("JAAS section for incoming ones."),
    file("quorum.auth.kerberos.servicePrincipal", "3.4.10")
        .text("zkquorum/localhost")
        .later(Part::Sasl)
        .doc("Principal of the servers; `_HOST` stands for the host name."),
    file("quorum.cnxn.threads.size", "3.4.10").int("20").ignored(JVM).doc("Threads for these handshakes."),
];

const METRICS_PROVIDERS: &[(&str, &str)] = &[
    ("org.apache.zookeeper.metrics.impl.DefaultMetricsProvider", "metrics in `mntr` and the admin server"),
    ("org.apache.zookeeper.metrics.impl.NullMetricsProvider", "no metrics"),
    ("org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider", "metrics for Prometheus over HTTP"),
];

const AUDIT_LOGGERS: &[(&str, &str)] = &[
    ("org.apache.zookeeper.audit.Slf4jAuditLogger", "the built-in audit log"),
    ("org.apache.zookeeper.audit.Log4jAuditLogger", "the built-in audit log"),
];

pub(super) static ADMINISTRATION: &[Spec] = &[
    property("admin.enableServer", "3.5.0")
        .bool("true")
        .later(Part::AdminServer)
        .doc("Offers commands over HTTP."),
    property("admin.serverAddress", "3.5.1").text("0.0.0.0").later(Part::AdminServer).doc("Its address."),
    property("admin.serverPort", "3.5.0").port("8080").later(Part::AdminServer).doc("Its port."),
    property("admin.idleTimeout", "3.5.3")
        .int("30000")
        .unit("ms")
        .later(Part::AdminServer)
        .doc("How long its connections may be idle."),
    property("admin.commandURL", "3.5.0")
        .text("/commands")
        .later(Part::AdminServer)
        .doc("Path below which the commands are."),
    property("admin.httpVersion", "3.6.0")
        .int("11")
        .ignored("the HTTP version is agreed with each client")
        .doc("HTTP version of Apache's answers."),
    property("admin.portUnification", "3.6.0")
        .bool("false")
        .later(Part::AdminServer)
        .doc("Takes HTTP and HTTPS on one port."),
    property("admin.forceHttps", "3.6.3").bool("false").later(Part::AdminServer).doc("Takes HTTPS only."),
    property("admin.needClientAuth", "3.9.0")
        .bool("false")
        .later(Part::AdminServer)
        .doc("Wants a client certificate."),
    property("admin.snapshot.enabled", "3.9.0")
        .bool("true")
        .later(Part::AdminServer)
        .doc("Offers the command that takes a snapshot."),
    property("admin.restore.enabled", "3.9.0")
        .bool("true")
        .later(Part::AdminServer)
        .doc("Offers the command that restores one."),
    property("admin.rateLimiterIntervalInMS", "3.9.0")
        .long("300000")
        .unit("ms")
        .later(Part::AdminServer)
        .doc("Shortest time between two of those."),
    file("metricsProvider.className", "3.6.0")
        .class(METRICS_PROVIDERS, "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider")
        .later(Part::Metrics)
        .doc("Where metrics go."),
    file("metricsProvider.*", "3.6.0")
        .family()
        .later(Part::Metrics)
        .doc("Settings of it, such as `metricsProvider.httpPort`."),
    property("audit.enable", "3.6.0").bool("false").later(Part::Audit).doc("Logs who changed what."),
    property("audit.impl.class", "3.6.0")
        .class(AUDIT_LOGGERS, "org.apache.zookeeper.audit.Slf4jAuditLogger")
        .later(Part::Audit)
        .doc("How it is logged."),
    file("jvm.pause.monitor", "3.5.10")
        .bool("false")
        .ignored(PAUSES)
        .doc("Watches for pauses of the Java machine."),
    file("jvm.pause.sleep.time.ms", "3.5.10").long("500").unit("ms").ignored(PAUSES).doc("How often."),
    file("jvm.pause.info-threshold.ms", "3.5.10")
        .long("1000")
        .unit("ms")
        .ignored(PAUSES)
        .doc("Pause that is noted."),
    file("jvm.pause.warn-threshold.ms", "3.5.10")
        .long("10000")
        .unit("ms")
        .ignored(PAUSES)
        .doc("Pause that is warned about."),
    property("jmx.log4j.disable", "3.3.0").bool("false").ignored(JMX).doc("Keeps logging out of JMX."),
    property("jmx.log4j.mbean", "3.5.5").text("log4j:hierarchy=default").ignored(JMX).doc("Its name there."),
    property("log.dir", "3.3.0").path().ignored(LOGS).doc("Folder of Apache's log files."),
    property("log.file", "3.5.1").text("").ignored(LOGS).doc("Name of Apache's log file."),
];

const PAUSES: &str = "there is no Java machine that could pause";
const JMX: &str = "there is no JMX";
const LOGS: &str = "the log goes to the standard output, and the start script puts it into a file";
