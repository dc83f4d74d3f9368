//! The members of an ensemble: `server.N`, `group.G` and `weight.N` lines, from `zoo.cfg`, from the dynamic file, or
//! from the text that servers exchange and keep in `/zookeeper/config`.
//!
//! What always holds in a [`Membership`] that was read without an error: each member has at least one address whose
//! two ports differ; with groups, every participant is in exactly one.

use std::collections::BTreeMap;
use std::fmt;

use crate::finding::{Finding, Findings, Source};
use crate::java;
use crate::model::{ById, Role};
use crate::properties;

/// A place to listen on or to connect to. Names are resolved by whoever uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or literal without brackets. `None`: all addresses, as nobody named one.
    pub host: Option<String>,
    pub port: u16,
}

impl Address {
    /// Bound to every address of the machine.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_deref(), None | Some("0.0.0.0" | "::" | "0:0:0:0:0:0:0:0"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or("0.0.0.0");
        if host.contains(':') {
            write!(out, "[{host}]:{}", self.port)
        } else {
            write!(out, "{host}:{}", self.port)
        }
    }
}

/// Where the other servers reach a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerAddress {
    pub host: String,
    pub quorum_port: u16,
    pub election_port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: i64,
    /// Sorted. More than one only with `multiAddress.enabled`.
    pub addresses: Vec<ServerAddress>,
    pub role: Role,
    /// The client port, if the line names one.
    pub client: Option<Address>,
    /// The TLS client port, if the line names one (Apache: from 3.10).
    pub secure_client: Option<Address>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Membership {
    pub members: ById<Member>,
    /// Members of each group. Empty, with no weights: quorums are majorities.
    pub groups: ById<Vec<i64>>,
    /// Weights that were given; any other member weighs 1.
    pub weights: ById<i64>,
    pub version: i64,
}

impl Membership {
    pub fn participants(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.role == Role::Participant)
    }

    pub fn observers(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.role == Role::Observer)
    }

    /// Whether quorums are counted in groups and weights.
    pub fn is_hierarchical(&self) -> bool {
        !self.groups.is_empty() || !self.weights.is_empty()
    }
}

impl fmt::Display for Member {
    /// The value of its `server.N` line, as servers exchange it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.addresses.iter().enumerate() {
            let separator = if index == 0 { "" } else { "|" };
            let host = Address { host: Some(address.host.clone()), port: address.quorum_port };
            write!(out, "{separator}{host}:{}", address.election_port)?;
        }
        write!(out, ":{}", self.role)?;
        match (&self.client, &self.secure_client) {
            (None, None) => Ok(()),
            (Some(client), None) => write!(out, ";{client}"),
            (Some(client), Some(secure)) => write!(out, ";{client};{secure}"),
            (None, Some(secure)) => write!(out, ";;{secure}"),
        }
    }
}

impl fmt::Display for Membership {
    /// The text of a configuration: lines joined by newlines, the version last.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, member) in &self.members {
            writeln!(out, "server.{id}={member}")?;
        }
        for (group, members) in &self.groups {
            let members: Vec<String> = members.iter().map(i64::to_string).collect();
            writeln!(out, "group.{group}={}", members.join(":"))?;
        }
        for (id, weight) in &self.weights {
            writeln!(out, "weight.{id}={weight}")?;
        }
        write!(out, "version={:x}", self.version)
    }
}

/// One line that concerns members.
#[derive(Debug, Clone)]
pub(crate) struct MemberLine {
    pub key: String,
    /// As it stands in the file, blanks at its end included.
    pub value: String,
    pub source: Source,
}

/// Whether a key of `zoo.cfg` concerns members. Apache looks only at how `group` and `weight` keys begin.
pub(crate) fn concerns_members(key: &str) -> bool {
    key.starts_with("server.") || key.starts_with("group") || key.starts_with("weight")
}

/// Reads the text of a whole configuration, as in `/zookeeper/config` or `.dynamic.next`, `version=` included.
pub fn parse_membership(text: &[u8], name: &str, multi_address: bool) -> Result<Membership, Vec<Finding>> {
    let mut findings = Findings::default();
    let (lines, version) = membership_lines(text, name, &mut findings);
    let mut membership = read(&lines, multi_address, &mut findings);
    if let Some((text, source)) = version {
        match parse_version(&text) {
            Some(version) => membership.version = version,
            None => findings.error(&source, format!("version={text} is not a hexadecimal number"), ""),
        }
    }
    if findings.has_errors() { Err(findings.finish()) } else { Ok(membership) }
}

/// A version in hexadecimal.
pub(crate) fn parse_version(text: &str) -> Option<i64> {
    i64::from_str_radix(text, 16).ok().filter(|&version| version >= 0)
}

/// Splits a dynamic file into its lines; anything but members and `version` is an error.
pub(crate) fn membership_lines(
    text: &[u8],
    name: &str,
    findings: &mut Findings,
) -> (Vec<MemberLine>, Option<(String, Source)>) {
    let mut lines = Vec::new();
    let mut version = None;
    for pair in properties::parse(text) {
        let source = |line| Source::Line { file: name.into(), line };
        let pair = match pair {
            Ok(pair) => pair,
            Err(bad) => {
                findings.error(&source(bad.line), BAD_ESCAPE, BAD_ESCAPE_ADVICE);
                continue;
            }
        };
        let (key, source) = (java::trim(&pair.key).to_owned(), source(pair.line));
        if key == "version" {
            version = Some((java::trim(&pair.value).to_owned(), source));
        } else if concerns_members(&key) {
            lines.push(MemberLine { key, value: pair.value, source });
        } else {
            let advice = "only server.N, group.G and weight.N may stand here: move it to zoo.cfg";
            findings.error(&source, format!("unrecognised parameter {key}"), advice);
        }
    }
    (lines, version)
}

pub(crate) const BAD_ESCAPE: &str = r"\u is not followed by four hexadecimal digits";
pub(crate) const BAD_ESCAPE_ADVICE: &str = r"write a backslash as \\";

/// Makes a membership of its lines, and reports everything that is wrong with them.
pub(crate) fn read(lines: &[MemberLine], multi_address: bool, findings: &mut Findings) -> Membership {
    let mut membership = Membership::default();
    let mut seen: BTreeMap<(&str, i64), &Source> = BTreeMap::new();
    for line in lines {
        let family = ["server.", "group.", "weight."].into_iter().find(|family| line.key.starts_with(family));
        let number =
            family.and_then(|family| Some((family, java::parse_decimal(&line.key[family.len()..])?)));
        let Some((family, id)) = number else {
            let advice = "write server.N, group.N or weight.N with a number N";
            findings.error(&line.source, format!("{} does not end in a number", line.key), advice);
            continue;
        };
        if let Some(earlier) = seen.insert((family, id), &line.source) {
            let problem = format!("{}{id} was already given at {earlier}", family);
            findings.error(&line.source, problem, "keep one of the two lines");
            continue;
        }
        let value = without_outer_blanks(line, findings);
        match family {
            "server." => match parse_member(id, value, multi_address) {
                Ok(member) => {
                    warn_about_member(&member, &line.source, findings);
                    membership.members.insert(id, member);
                }
                Err((problem, advice)) => findings.error(&line.source, problem, advice),
            },
            "group." => read_group(&mut membership, id, value, &line.source, findings),
            _ => match java::parse_decimal(value) {
                Some(weight) => {
                    membership.weights.insert(id, weight);
                }
                None => findings.error(
                    &line.source,
                    format!("{}={value} is not a whole number", line.key),
                    "write the weight in decimal digits",
                ),
            },
        }
    }
    check_groups(&membership, lines, findings);
    warn_about_shared_addresses(&membership, lines, findings);
    membership
}

fn without_outer_blanks<'a>(line: &'a MemberLine, findings: &mut Findings) -> &'a str {
    let trimmed = java::trim(&line.value);
    if trimmed.len() != line.value.len() {
        let problem = format!("{} has blanks at its end, which Apache ZooKeeper refuses", line.key);
        findings.warn(&line.source, problem, "remove them");
    }
    trimmed
}

fn read_group(
    membership: &mut Membership,
    group: i64,
    value: &str,
    source: &Source,
    findings: &mut Findings,
) {
    let mut ids = Vec::new();
    for part in value.split(':') {
        let Some(id) = java::parse_decimal(part) else {
            let problem = format!("group.{group}={value} is not a list of server numbers");
            findings.error(source, problem, "write them as 1:2:3");
            return;
        };
        let elsewhere = membership.groups.values().flatten().any(|&other| other == id);
        if elsewhere || ids.contains(&id) {
            let advice = "name each server in one group only";
            findings.error(source, format!("server {id} is in two groups"), advice);
        }
        ids.push(id);
    }
    membership.groups.insert(group, ids);
}

fn check_groups(membership: &Membership, lines: &[MemberLine], findings: &mut Findings) {
    if !membership.is_hierarchical() {
        return;
    }
    for member in membership.participants() {
        if !membership.groups.values().flatten().any(|&id| id == member.id) {
            let advice = "with group or weight lines, put every participant into a group";
            findings.error(
                &source_of(member.id, lines),
                format!("server {} is in no group", member.id),
                advice,
            );
        }
    }
}

pub(crate) fn source_of(id: i64, lines: &[MemberLine]) -> Source {
    let wanted =
        |line: &&MemberLine| line.key.strip_prefix("server.").and_then(java::parse_decimal) == Some(id);
    lines.iter().find(wanted).map_or(Source::Default, |line| line.source.clone())
}

fn warn_about_member(member: &Member, source: &Source, findings: &mut Findings) {
    if !(0..=255).contains(&member.id) {
        let problem =
            format!("server.{}: only the last eight bits of the number tell session ids apart", member.id);
        findings.warn(source, problem, "use numbers from 1 to 255");
    }
    if member.secure_client.is_some() {
        let problem =
            format!("server.{} names a TLS port, which Apache ZooKeeper reads from 3.10 on", member.id);
        findings.warn(source, problem, "for older servers beside this one, use secureClientPort");
    }
}

fn warn_about_shared_addresses(membership: &Membership, lines: &[MemberLine], findings: &mut Findings) {
    let mut owners: BTreeMap<(String, u16), i64> = BTreeMap::new();
    for member in membership.members.values() {
        for address in &member.addresses {
            for port in [address.quorum_port, address.election_port] {
                let owner = *owners.entry((address.host.to_lowercase(), port)).or_insert(member.id);
                if owner != member.id {
                    let place = Address { host: Some(address.host.clone()), port };
                    let problem =
                        format!("server.{owner} and server.{} share the address {place}", member.id);
                    findings.warn(&source_of(member.id, lines), problem, "give each its own host or ports");
                }
            }
        }
    }
}

type Trouble = (String, String);

/// Reads the value of a `server.N` line.
fn parse_member(id: i64, value: &str, multi_address: bool) -> Result<Member, Trouble> {
    const FORM: &str = "write host:quorumPort:electionPort[:participant|:observer][;[host:]clientPort]";
    let trouble = |problem: &str| (format!("server.{id}={value}: {problem}"), FORM.to_owned());
    let parts = split(value, ';');
    if parts.len() > 3 || parts.is_empty() {
        return Err(trouble("this is not the description of a server"));
    }
    let servers = split(parts[0], '|');
    if servers.len() > 1 && !multi_address {
        let advice = "set multiAddress.enabled=true, or keep one address".to_owned();
        return Err((format!("server.{id}={value}: several addresses are not enabled"), advice));
    }
    let mut member =
        Member { id, addresses: Vec::new(), role: Role::Participant, client: None, secure_client: None };
    let mut role = None;
    for server in servers {
        let (address, named) = parse_server_address(server).map_err(|problem| trouble(&problem))?;
        if role.is_some() && named.is_some() && role != named {
            return Err(trouble("its addresses have different roles"));
        }
        role = role.or(named);
        member.addresses.push(address);
    }
    if member.addresses.is_empty() {
        return Err(trouble("there is no host"));
    }
    member.addresses.sort();
    member.role = role.unwrap_or_default();
    let client = |part: Option<&&str>| match part {
        None | Some(&"") => Ok(None),
        Some(text) => parse_client_address(text).map(Some).map_err(|problem| trouble(&problem)),
    };
    member.client = client(parts.get(1))?;
    member.secure_client = client(parts.get(2))?;
    Ok(member)
}

fn parse_server_address(text: &str) -> Result<(ServerAddress, Option<Role>), String> {
    let parts = host_and_rest(text)?;
    let [host, quorum, election, role @ ..] = parts.as_slice() else {
        return Err(format!("{text} needs a host, a quorum port and an election port"));
    };
    if role.len() > 1 {
        return Err(format!("{text} has too many parts"));
    }
    let host = host_name(host)?;
    let (quorum_port, election_port) = (port(quorum)?, port(election)?);
    if quorum_port == election_port {
        return Err(format!("quorum port and election port are both {quorum_port}, but must differ"));
    }
    let role = match role.first() {
        Some(word) => Some(Role::from_word(word).ok_or_else(|| format!("{word} is not a role"))?),
        None => None,
    };
    Ok((ServerAddress { host, quorum_port, election_port }, role))
}

/// Whatever could be a name or a literal; a configuration that is sent on must read back as it was.
fn host_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '%');
    if text.is_empty() {
        Err("the host is missing".to_owned())
    } else if text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text} is not a host name or address"))
    }
}

fn parse_client_address(text: &str) -> Result<Address, String> {
    match host_and_rest(text)?.as_slice() {
        [only] => Ok(Address { host: Some("0.0.0.0".to_owned()), port: port(only)? }),
        [host, number] => Ok(Address { host: Some(host_name(host)?), port: port(number)? }),
        _ => Err(format!("{text} is neither a port nor host:port")),
    }
}

/// Splits at colons, except inside brackets at the start.
fn host_and_rest(text: &str) -> Result<Vec<&str>, String> {
    let Some(bracketed) = text.strip_prefix('[') else { return Ok(split(text, ':')) };
    let (host, rest) = bracketed.split_once(']').ok_or_else(|| format!("{text} has no closing bracket"))?;
    let rest = rest.strip_prefix(':').ok_or_else(|| format!("{text} has no port behind its bracket"))?;
    let mut parts = vec![host];
    parts.extend(split(rest, ':'));
    Ok(parts)
}

/// As Java splits: empty parts at the end do not count.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts: Vec<&str> = text.split(separator).collect();
    while parts.last() == Some(&"") {
        parts.pop();
    }
    parts
}

fn port(text: &str) -> Result<u16, String> {
    java::parse_decimal(text)
        .and_then(|number| u16::try_from(number).ok())
        .ok_or_else(|| format!("{text} is not a port from 0 to 65535"))
}

#[cfg(test)]
mod tests;
