//! What each word needs to be answered, and what it orders. The table of words is in [`wire::words`].

use wire::Word;

/// A part of [`crate::Status`] that costs something to fill. The rest is always filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `configuration`
    Configuration,
    /// `connections`
    Connections,
    /// `sizes`: the folders are walked.
    DirSizes,
    /// `digests`
    Digests,
    /// `environment`
    Environment,
    /// `measured`
    Metrics,
    /// `sessions` and `connection_buckets`
    Sessions,
    /// `watch_summary`
    WatchSummary,
    /// `watches`: grows with the number of watches.
    Watches,
}

/// What the server does before it renders the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// Zero the counters and latencies of every connection.
    ResetConnections,
    /// Zero the counters, latencies and summaries of the server, but no gauge.
    ResetServer,
    /// Take the eight bytes after the word, big-endian, as the trace mask.
    SetTraceMask,
}

/// A recognised word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// To be answered.
    Answer(Word),
    /// To be answered with this text only: the operator's whitelist does not have the word.
    Refused(String),
}

/// Recognises a word; `None`: these bytes begin something else. `allowed` is the whitelist: it gets the word's name.
pub fn word(first: [u8; 4], allowed: impl FnOnce(&str) -> bool) -> Option<Asked> {
    let word = Word::of(first)?;
    let name = word.name();
    if allowed(name) {
        return Some(Asked::Answer(word));
    }
    Some(Asked::Refused(format!("{name} is not executed because it is not in the whitelist.\n")))
}

/// The costly parts of the status that its answer is made of, while the server is serving.
pub fn parts(word: Word) -> &'static [Part] {
    match word {
        Word::Conf => &[Part::Configuration, Part::DirSizes],
        Word::Cons | Word::Stat => &[Part::Connections],
        Word::Dirs => &[Part::DirSizes],
        Word::Dump => &[Part::Sessions],
        Word::Envi => &[Part::Environment],
        Word::Hash => &[Part::Digests],
        Word::Mntr => &[Part::Metrics],
        Word::Wchc | Word::Wchp => &[Part::Watches],
        Word::Wchs => &[Part::WatchSummary],
        Word::Crst
        | Word::Gtmk
        | Word::Isro
        | Word::Ruok
        | Word::Srst
        | Word::Srvr
        | Word::Stmk
        | Word::TelnetClose => &[],
    }
}

/// What the word orders, before its answer is rendered. Only a serving server resets anything.
pub fn command(word: Word) -> Option<Command> {
    match word {
        Word::Crst => Some(Command::ResetConnections),
        Word::Srst => Some(Command::ResetServer),
        Word::Stmk => Some(Command::SetTraceMask),
        _ => None,
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_recognised_and_refused_by_name() {
        assert_eq!(word(*b"ruok", |name| name == "ruok"), Some(Asked::Answer(Word::Ruok)));
        let refused = |first| match word(first, |_| false) {
            Some(Asked::Refused(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(*b"mntr"), "mntr is not executed because it is not in the whitelist.\n");
        assert_eq!(
            refused([0xff, 0xf4, 0xff, 0xfd]),
            "telnet close is not executed because it is not in the whitelist.\n"
        );
        assert_eq!(word(*b"RUOK", |_| true), None);
        assert_eq!(word([0, 0, 0, 45], |_| true), None);
    }
}
