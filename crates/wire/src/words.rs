//! The one table of four-letter words: what a client sends instead of a handshake, and the word's name in the whitelist.
//!
//! A connection recognises them, the configuration checks the whitelist against them, and `admin` answers them.

macro_rules! words {
    ($($word:ident = $bytes:literal, $name:literal;)*) => {
        /// A four-letter word, recognised as the first four bytes of a connection. What follows them is ignored, but
        /// for [`Word::Stmk`], where the eight bytes of the new mask follow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Word { $($word),* }

        impl Word {
            pub const ALL: &'static [Word] = &[$(Word::$word),*];

            /// The word that these bytes are.
            pub fn of(first: [u8; 4]) -> Option<Word> {
                match &first { $($bytes => Some(Word::$word),)* _ => None }
            }

            /// What a client sends.
            pub fn bytes(self) -> [u8; 4] {
                match self { $(Word::$word => *$bytes),* }
            }

            /// The name in the whitelist.
            pub fn name(self) -> &'static str {
                match self { $(Word::$word => $name),* }
            }
        }
    };
}

words! {
    Conf = b"conf", "conf";
    Cons = b"cons", "cons";
    Crst = b"crst", "crst";
    Dirs = b"dirs", "dirs";
    Dump = b"dump", "dump";
    Envi = b"envi", "envi";
    Gtmk = b"gtmk", "gtmk";
    Hash = b"hash", "hash";
    Isro = b"isro", "isro";
    Mntr = b"mntr", "mntr";
    Ruok = b"ruok", "ruok";
    Srst = b"srst", "srst";
    Srvr = b"srvr", "srvr";
    Stat = b"stat", "stat";
    Stmk = b"stmk", "stmk";
    Wchc = b"wchc", "wchc";
    Wchp = b"wchp", "wchp";
    Wchs = b"wchs", "wchs";
    // What telnet sends when it is interrupted: known, so that it is refused by name; it has no answer of its own.
    TelnetClose = b"\xff\xf4\xff\xfd", "telnet close";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_by_its_bytes() {
        for word in Word::ALL {
            assert_eq!(Word::of(word.bytes()), Some(*word));
        }
        assert_eq!(Word::of(*b"RUOK"), None);
        assert_eq!(Word::of([0, 0, 0, 45]), None, "the length of a handshake");
    }
}
