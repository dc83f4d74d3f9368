//! The servers of a conversation, and what is on its way between them.

use crate::text;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zab::election::{Effect, Election, Message, Options, OwnVote};
use zab::{Quorum, ServerId, View};

type Said = Vec<String>;

#[derive(Default)]
pub struct Stage {
    view: Option<View>,
    next: Option<View>,
    now_ms: i64,
    servers: BTreeMap<ServerId, Election>,
    own: BTreeMap<ServerId, OwnVote>,
    on_the_way: BTreeMap<(ServerId, ServerId), VecDeque<Message>>,
}

impl Stage {
    /// A new scene: nobody is there.
    fn of(view: View) -> Stage {
        Stage { view: Some(view), ..Stage::default() }
    }

    pub fn play(&mut self, line: &str) -> Result<Said, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["voters", ids, rest @ ..] => {
                *self = Stage::of(view(Quorum::majority(text::ids::<Vec<_>>(ids)?), rest)?);
            }
            ["next-voters", ids, rest @ ..] => {
                self.next = Some(view(Quorum::majority(text::ids::<Vec<_>>(ids)?), rest)?);
            }
            ["groups", rest @ ..] => *self = Stage::of(hierarchical(rest)?),
            ["server", id, rest @ ..] => self.add(text::number(id)?, rest)?,
            ["at", ms] => self.now_ms = text::number(ms)?,
            ["deliver"] => return self.deliver_all(),
            ["deliver", link] => return self.deliver(ends(link)?),
            ["lose", link] => {
                let lost = self.on_the_way.remove(&ends(link)?);
                return lost
                    .map(|lost| vec![format!("{} lost", lost.len())])
                    .ok_or("nothing is on the way".into());
            }
            ["stop", id] => self.stop(text::number(id)?),
            ["show"] => return Ok(self.servers.iter().map(|(id, server)| show(*id, server)).collect()),
            [id, action, rest @ ..] => return self.act(text::number(id)?, action, rest),
            _ => return Err("not understood".into()),
        }
        Ok(Vec::new())
    }

    fn act(&mut self, id: ServerId, action: &str, rest: &[&str]) -> Result<Said, String> {
        let now_ms = self.now_ms;
        let own = self.own.get(&id).copied();
        let server = self.servers.get_mut(&id).ok_or(format!("there is no server {id}"))?;
        let mut out = Vec::new();
        match (action, rest) {
            ("looks", []) => server.look(own.ok_or("it has no vote")?, now_ms, &mut out),
            ("ticks", []) => {
                if server.next_tick_ms() > now_ms {
                    return Ok(vec![format!("nothing is due before {}", server.next_tick_ms())]);
                }
                server.tick(now_ms, &mut out);
            }
            ("connects", ["to", peer]) => server.link_up(text::number(peer)?, &mut out),
            ("loses", [peer]) => server.link_lost(text::number(peer)?, now_ms, &mut out),
            ("synced", ["epoch", epoch]) => server.synced(text::number(epoch)?),
            ("hears", [from, said @ ..]) => {
                let message = text::message(said)?;
                if server.wants_config(&message) {
                    return Ok(vec!["adopt the configuration first".to_owned()]);
                }
                server.receive(text::number(from)?, &message, now_ms, &mut out);
            }
            _ => return Err("not understood".into()),
        }
        Ok(self.carry_out(id, out))
    }

    fn add(&mut self, id: ServerId, rest: &[&str]) -> Result<(), String> {
        let observer = rest.first() == Some(&"observer");
        let pairs = text::pairs(&rest[usize::from(observer)..])?;
        let own = OwnVote { zxid: text::get(&pairs, "zxid")?, epoch: text::get(&pairs, "epoch")? };
        let view = self.view.clone().ok_or("say first who votes")?;
        let mut server = Election::new(id, !observer, view.clone(), Options::default());
        server.set_views(view, self.next.clone());
        self.servers.insert(id, server);
        self.own.insert(id, own);
        Ok(())
    }

    /// The process and all that was on its way to it or from it are gone.
    fn stop(&mut self, id: ServerId) {
        self.servers.remove(&id);
        self.on_the_way.retain(|(from, to), _| *from != id && *to != id);
    }

    /// Puts messages on their way and says what was done. The same message to several is one line.
    fn carry_out(&mut self, id: ServerId, out: Vec<Effect>) -> Said {
        let mut said: Vec<(String, String)> = Vec::new();
        for effect in out {
            match effect {
                Effect::Send { to, message } => {
                    if self.servers.contains_key(&to) {
                        self.on_the_way.entry((id, to)).or_default().push_back(message);
                    }
                    let text = format!(": {}", text::show_message(&message));
                    match said.last_mut() {
                        Some((whom, last)) if *last == text => whom.push_str(&format!(" {to}")),
                        _ => said.push((format!("{id} to {to}"), text)),
                    }
                }
                Effect::ReconnectAll => said.push((format!("{id} reconnects"), String::new())),
                Effect::Elected { leader: _, standing, vote } => {
                    let standing = text::show_standing(standing);
                    said.push((format!("{id} is {standing}"), format!(" {}", text::show_vote(&vote))));
                }
            }
        }
        said.into_iter().map(|(whom, what)| whom + &what).collect()
    }

    fn deliver(&mut self, (from, to): (ServerId, ServerId)) -> Result<Said, String> {
        let queue = self.on_the_way.get_mut(&(from, to)).filter(|queue| !queue.is_empty());
        let message = queue.and_then(VecDeque::pop_front).ok_or("nothing is on the way")?;
        let server = self.servers.get_mut(&to).ok_or(format!("there is no server {to}"))?;
        let mut out = Vec::new();
        server.receive(from, &message, self.now_ms, &mut out);
        let mut said = vec![format!("{to} hears {from}: {}", text::show_message(&message))];
        said.extend(self.carry_out(to, out).into_iter().map(|line| format!("  {line}")));
        Ok(said)
    }

    /// One message of each link in turn, until there are none.
    fn deliver_all(&mut self) -> Result<Said, String> {
        let mut said = Vec::new();
        for _ in 0..100 {
            let links: Vec<_> =
                self.on_the_way.iter().filter(|(_, q)| !q.is_empty()).map(|(link, _)| *link).collect();
            if links.is_empty() {
                return Ok(said);
            }
            for link in links {
                said.extend(self.deliver(link)?);
            }
        }
        Err(format!("they never stop talking:\n{}", said.join("\n")))
    }
}

fn ends(link: &str) -> Result<(ServerId, ServerId), String> {
    let (from, to) = link.split_once("->").ok_or("a link is written 1->2")?;
    Ok((text::number(from)?, text::number(to)?))
}

fn view(quorum: Quorum, rest: &[&str]) -> Result<View, String> {
    let pairs = text::pairs(rest)?;
    let observers = pairs.get("observers").map_or(Ok(BTreeSet::new()), |ids| text::ids(ids))?;
    Ok(View { quorum, observers, version: text::get(&pairs, "version")? })
}

/// `groups 1=1,2,3 2=4,5,6 weights 3=0`
fn hierarchical(words: &[&str]) -> Result<View, String> {
    let mut halves = words.split(|word| *word == "weights");
    let mut groups = BTreeMap::new();
    for (group, servers) in text::pairs(halves.next().unwrap_or_default())? {
        groups.insert(text::number(group)?, text::ids(servers)?);
    }
    let mut weights = BTreeMap::new();
    for (server, weight) in text::pairs(halves.next().unwrap_or_default())? {
        weights.insert(text::number(server)?, text::number(weight)? as u64);
    }
    view(Quorum::hierarchical(groups, weights).map_err(|error| error.to_string())?, &[])
}

fn show(id: ServerId, server: &Election) -> String {
    let mut text =
        format!("{id}: {} {}", text::show_standing(server.standing()), text::show_vote(&server.vote()));
    if !server.disloyal().is_empty() {
        text.push_str(&format!(" disloyal {:?}", server.disloyal()));
    }
    text
}
