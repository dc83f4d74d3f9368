//! Which zxid may follow which in a log (quorum-and-disk §11 rule 7).

/// The epoch's half of a zxid.
pub(crate) fn epoch(zxid: i64) -> i64 {
    zxid >> 32
}

/// Whether a zxid is the place where its epoch begins, which no transaction has.
pub(crate) fn begins_epoch(zxid: i64) -> bool {
    zxid & 0xffff_ffff == 0
}

/// Whether `zxid` is the first transaction of an epoch later than that of `position`.
pub(crate) fn crosses_epoch(position: i64, zxid: i64) -> bool {
    epoch(zxid) > epoch(position) && zxid & 0xffff_ffff == 1
}

/// Whether `zxid` follows `position` without a gap: the next counter, or the first of a later epoch. A standalone
/// server counts on into the next epoch's numbers.
pub(crate) fn follows(position: i64, zxid: i64) -> bool {
    zxid == position.wrapping_add(1) || crosses_epoch(position, zxid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_counter_or_the_first_of_a_later_epoch_follows() {
        let at = |epoch: i64, counter: i64| epoch << 32 | counter;
        for (position, zxid, expected) in [
            (at(1, 7), at(1, 8), true),
            (at(1, 7), at(1, 9), false),
            (at(1, 7), at(1, 7), false),
            (at(1, 7), at(2, 1), true),
            (at(1, 7), at(4, 1), true),
            (at(1, 7), at(2, 2), false),
            (at(2, 0), at(2, 1), true),
            (at(2, 1), at(1, 1), false),
            (at(1, 0xffff_ffff), at(2, 0), true),
        ] {
            assert_eq!(follows(position, zxid), expected, "{position:x} {zxid:x}");
        }
    }
}
