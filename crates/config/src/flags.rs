//! System properties, as Java gets them: `-Dname=value` on the command line and inside `JVMFLAGS` and
//! `SERVER_JVMFLAGS`. What else stands there is for the Java machine; it is named in a note and ignored.
//!
//! The variables are split into words as a shell does, quotes included. (Apache's start script leaves quotes in the
//! words, so nobody can depend on them there.) The last setting of a name wins, and the order is that of the
//! script: `SERVER_JVMFLAGS`, `JVMFLAGS`, then the command line.

use crate::finding::{Findings, Source};

/// `-Dname=value`; `-Dname` gives an empty value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub name: String,
    pub value: String,
    pub source: Source,
}

/// The definitions in an environment variable.
pub(crate) fn from_variable(variable: &'static str, text: &str, findings: &mut Findings) -> Vec<Definition> {
    let source = Source::Environment(variable);
    let words = shlex::split(text).unwrap_or_else(|| {
        findings.warn(&source, "a quote is not closed, so the text was split at blanks", "close it");
        text.split_whitespace().map(str::to_owned).collect()
    });
    from_words(&words, &source, findings)
}

/// The definitions among words; all others are noted.
pub(crate) fn from_words(words: &[String], source: &Source, findings: &mut Findings) -> Vec<Definition> {
    let mut definitions = Vec::new();
    let mut ignored: Vec<&str> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.strip_prefix("-D") {
            Some(definition) if !definition.is_empty() => {
                let (name, value) = definition.split_once('=').unwrap_or((definition, ""));
                definitions.push(Definition {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    source: source.clone(),
                });
            }
            _ if matches!(word.as_str(), "-cp" | "-classpath" | "--class-path" | "-p" | "--module-path") => {
                ignored.push(word);
                ignored.extend(words.next().map(String::as_str));
            }
            _ if word.starts_with('-') => ignored.push(word),
            _ => {
                let advice = "write -Dname=value, with quotes round a value that holds blanks";
                findings.warn(source, format!("{word} is not a flag"), advice);
            }
        }
    }
    if !ignored.is_empty() {
        let problem = format!("ignored, for they set up the Java machine: {}", ignored.join(" "));
        findings.note(source, problem, "");
    }
    definitions
}

/// Whether a property belongs to something else than a ZooKeeper server, and what that is.
pub(crate) fn foreign(property: &str) -> Option<&'static str> {
    const CLIENT: &[&str] = &[
        "zookeeper.clientCnxnSocket",
        "zookeeper.client.",
        "zookeeper.sasl.client",
        "zookeeper.server.realm",
        "zookeeper.server.principal",
        "zookeeper.request.timeout",
        "zookeeper.disableAutoWatchReset",
        "zookeeper.canonicalizeHost",
    ];
    const LOGGING: &[&str] = &[
        "log4j.",
        "log4j2.",
        "logback.",
        "zookeeper.root.logger",
        "zookeeper.console.",
        "zookeeper.log.",
        "slf4j.",
    ];
    const MACHINE: &[&str] = &[
        "java.",
        "javax.",
        "sun.",
        "com.sun.",
        "jdk.",
        "user.",
        "file.",
        "os.",
        "io.netty.",
        "org.eclipse.jetty.",
    ];
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| property.starts_with(prefix));
    if begins(CLIENT) {
        Some("a ZooKeeper client")
    } else if begins(LOGGING) {
        Some("Java's logging")
    } else if begins(MACHINE) {
        Some("the Java machine")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(String, String)>, Vec<String>) {
        let mut findings = Findings::default();
        let definitions = from_variable("JVMFLAGS", text, &mut findings);
        let pairs = definitions.into_iter().map(|definition| (definition.name, definition.value)).collect();
        (pairs, findings.finish().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn definitions_and_quotes() {
        let (pairs, findings) = read(r#"-Da=1 "-Db=x y" -Dc='p q'  -Dd -De==f"#);
        let expected = [("a", "1"), ("b", "x y"), ("c", "p q"), ("d", ""), ("e", "=f")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(findings, Vec::<String>::new());
    }

    #[test]
    fn machine_flags_are_noted_once() {
        let (pairs, findings) =
            read("-Xmx1000m -XX:+UseG1GC -cp /a:/b -Dx=1 --add-opens=java.base/java.lang=ALL");
        assert_eq!(pairs.len(), 1);
        assert_eq!(
            findings,
            [
                "JVMFLAGS: note: ignored, for they set up the Java machine: -Xmx1000m -XX:+UseG1GC -cp /a:/b --add-opens=java.base/java.lang=ALL"
            ]
        );
    }

    #[test]
    fn loose_words_and_open_quotes() {
        let (_, findings) = read("-Da=b c");
        assert_eq!(
            findings,
            [
                "JVMFLAGS: warning: c is not a flag; write -Dname=value, with quotes round a value that holds blanks"
            ]
        );
        let (pairs, findings) = read("-Da='b");
        assert_eq!(pairs, [("a".to_owned(), "'b".to_owned())]);
        assert_eq!(
            findings,
            ["JVMFLAGS: warning: a quote is not closed, so the text was split at blanks; close it"]
        );
    }
}
