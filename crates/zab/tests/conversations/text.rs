//! Messages and votes as text, both ways.

use std::collections::BTreeMap;
use zab::election::{FORMAT, Message, Standing, Vote};

pub fn standing(text: &str) -> Result<Standing, String> {
    match text {
        "LOOKING" => Ok(Standing::Looking),
        "FOLLOWING" => Ok(Standing::Following),
        "LEADING" => Ok(Standing::Leading),
        "OBSERVING" => Ok(Standing::Observing),
        _ => Err(format!("{text} is no standing")),
    }
}

pub fn show_standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Looking => "LOOKING",
        Standing::Following => "FOLLOWING",
        Standing::Leading => "LEADING",
        Standing::Observing => "OBSERVING",
    }
}

fn show_number(number: i64) -> String {
    match number {
        i64::MIN => "none".to_owned(),
        -9..10 => number.to_string(),
        _ => format!("{number:#x}"),
    }
}

pub fn number(text: &str) -> Result<i64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None if text == "none" => Ok(i64::MIN),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("{text}: {error}"))
}

pub fn show_vote(vote: &Vote) -> String {
    let Vote { leader, zxid, round, peer_epoch } = *vote;
    let [leader, zxid, round, epoch] = [leader, zxid, round, peer_epoch].map(show_number);
    format!("leader={leader} epoch={epoch} zxid={zxid} round={round}")
}

pub fn show_message(message: &Message) -> String {
    let mut text = format!("{} {}", show_standing(message.standing), show_vote(&message.vote));
    if message.config_version != 0 {
        text.push_str(&format!(" config={}", show_number(message.config_version)));
    }
    if message.version != FORMAT {
        text.push_str(&format!(" format={}", message.version));
    }
    text
}

/// `key=value` words; any other is a mistake.
pub fn pairs<'a>(words: &[&'a str]) -> Result<BTreeMap<&'a str, &'a str>, String> {
    words.iter().map(|word| word.split_once('=').ok_or(format!("{word} is not key=value"))).collect()
}

pub fn get(pairs: &BTreeMap<&str, &str>, key: &str) -> Result<i64, String> {
    pairs.get(key).map_or(Ok(0), |text| number(text))
}

/// `STANDING leader=… epoch=… zxid=… round=… [config=…] [format=…]`; what is not said is 0, the format ours.
pub fn message(words: &[&str]) -> Result<Message, String> {
    let (first, rest) = words.split_first().ok_or("what does it say?")?;
    let pairs = pairs(rest)?;
    let version = if pairs.contains_key("format") { get(&pairs, "format")? as i32 } else { FORMAT };
    Ok(Message {
        standing: standing(first)?,
        vote: Vote {
            leader: get(&pairs, "leader")?,
            zxid: get(&pairs, "zxid")?,
            round: get(&pairs, "round")?,
            peer_epoch: get(&pairs, "epoch")?,
        },
        config_version: get(&pairs, "config")?,
        version,
    })
}

/// `1,2,3`
pub fn ids<C: FromIterator<i64>>(text: &str) -> Result<C, String> {
    text.split(',').map(number).collect()
}
