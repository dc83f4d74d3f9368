//! The part that concerns the ensemble: who the members are, which of them this server is, and whether that makes a
//! quorum.

use super::*;

impl Assembly<'_> {
    /// Takes the members from the file or from the dynamic file, and what was last proposed.
    pub(super) fn membership(&mut self) {
        let multi_address = self.draft.config.ensemble.multi_address_enabled;
        let Some(path) = self.draft.dynamic_file.clone() else {
            self.lines = self.settings.members.clone();
            let membership = members::read(&self.lines, multi_address, self.findings);
            self.draft.config.ensemble.membership = membership;
            return;
        };
        for line in &self.settings.members {
            let problem = format!("{} must not stand here, for dynamicConfigFile is set", line.key);
            self.findings.error(&line.source, problem, format!("move it to {}", path.display()));
        }
        if let Some(text) = self.dynamic_file(&path) {
            let name = path.display().to_string();
            let (lines, version) = members::membership_lines(&text, &name, self.findings);
            if let Some((_, source)) = version {
                let advice = "remove the line: the version is the hexadecimal suffix of the file's name";
                self.findings.error(&source, "version must not stand in a dynamic file", advice);
            }
            let mut membership = members::read(&lines, multi_address, self.findings);
            membership.version = version_of_name(&name).unwrap_or(0);
            self.lines = lines;
            self.draft.config.ensemble.membership = membership;
        }
        self.draft.config.ensemble.last_seen = self.last_seen(multi_address);
        self.draft.config.ensemble.dynamic_file = Some(path);
    }

    fn dynamic_file(&mut self, path: &Path) -> Option<Vec<u8>> {
        let source = self.source("dynamicConfigFile");
        let trouble = match (self.inputs.read_file)(path) {
            Ok(Some(text)) => return Some(text),
            Ok(None) => "does not exist".to_owned(),
            Err(why) => format!("cannot be read: {why}"),
        };
        let problem = format!("the dynamic file {} {trouble}", path.display());
        self.findings.error(
            &source,
            problem,
            "correct dynamicConfigFile, or create the file with its server.N lines",
        );
        None
    }

    fn last_seen(&mut self, multi_address: bool) -> Option<Membership> {
        let path = PathBuf::from(format!("{}.dynamic.next", self.inputs.file.as_ref()?.name));
        let name = path.display().to_string();
        let text = match (self.inputs.read_file)(&path) {
            Ok(text) => text?,
            Err(why) => {
                let problem = format!("a proposed configuration is there, but cannot be read: {why}");
                self.findings.warn(&Source::File(name.into()), problem, "make the file readable");
                return None;
            }
        };
        match members::parse_membership(&text, &name, multi_address) {
            Ok(membership) => Some(membership),
            Err(found) => {
                for finding in found {
                    self.findings.error(&finding.source, finding.problem, finding.advice);
                }
                None
            }
        }
    }

    /// Reads `myid`. In the positional form there is none.
    pub(super) fn my_id(&mut self) {
        if self.inputs.file.is_none() || self.draft.data_dir.is_none() {
            return;
        }
        let path = self.draft.config.storage.data_dir.join("myid");
        let name: Arc<str> = path.display().to_string().into();
        match (self.inputs.read_file)(&path) {
            Ok(None) => {}
            Ok(Some(text)) => self.parse_my_id(&text, &name),
            Err(why) => {
                let advice = "make it readable for the user who runs the server";
                self.findings.error(&Source::File(name), format!("cannot be read: {why}"), advice);
            }
        }
    }

    fn parse_my_id(&mut self, text: &[u8], name: &Arc<str>) {
        let text = String::from_utf8_lossy(text);
        let line = java::trim(text.lines().next().unwrap_or_default());
        let source = Source::Line { file: name.clone(), line: 1 };
        match java::parse_decimal(line) {
            Some(id) => self.draft.config.ensemble.my_id = Some(id),
            None if line.is_empty() => {
                let advice = "write this server's number into it; the shell takes `echo 2> myid` as a redirection, \
                              so write `echo 2 > myid` with a blank";
                self.findings.error(&source, "myid is empty", advice);
            }
            None => {
                let shown: String = line.chars().take(40).collect();
                let problem = format!("myid holds {shown:?}, which is not a number");
                self.findings.error(
                    &source,
                    problem,
                    "its first line must be N of this server's server.N line",
                );
            }
        }
    }

    /// Applies what the server's own `server.N` line says: its client ports and its role.
    pub(super) fn own_member(&mut self) {
        let ensemble = &self.draft.config.ensemble;
        let only = Some(ensemble.membership.members.values()).filter(|members| members.len() == 1);
        let own = match ensemble.my_id {
            Some(id) => ensemble.membership.members.get(&id),
            None => only.and_then(|mut members| members.next()),
        };
        let Some(own) = own.cloned() else { return };
        let source = members::source_of(own.id, &self.lines);
        let listen = self.draft.config.listen.clone();
        self.draft.config.listen.client = self.merged("clientPort", listen.client, own.client, &source);
        self.draft.config.listen.secure_client =
            self.merged("secureClientPort", listen.secure_client, own.secure_client, &source);
        let said = self.draft.peer_type.filter(|_| self.settings.get("peerType").is_some());
        if let Some(role) = said.filter(|&role| role != own.role) {
            let problem = format!("peerType is {role}, but server.{} is {}, which counts", own.id, own.role);
            self.findings.warn(&self.source("peerType"), problem, "make them agree");
        }
        self.draft.config.ensemble.role = own.role;
    }

    fn merged(
        &mut self,
        option: &str,
        in_file: Option<Address>,
        in_line: Option<Address>,
        source: &Source,
    ) -> Option<Address> {
        let (Some(file), Some(line)) = (&in_file, &in_line) else { return in_line.or(in_file) };
        let literal = |address: &Address| {
            address.host.as_deref().and_then(|host| host.parse::<std::net::IpAddr>().ok())
        };
        let hosts_differ = !file.is_wildcard() && file.host != line.host;
        let advice = format!("make them agree, or remove {option}");
        let problem = format!("{option} makes the client address {file}, but this line says {line}");
        if file.port != line.port || (hosts_differ && literal(file).is_some() && literal(line).is_some()) {
            self.findings.error(source, problem, advice);
        } else if hosts_differ {
            self.findings.warn(source, problem, advice);
        }
        in_line
    }

    /// What Apache's server asks of an ensemble as a whole.
    pub(super) fn quorum_checks(&mut self) {
        let limit = self.draft.connect_to_learner_master_limit;
        let ensemble = &mut self.draft.config.ensemble;
        ensemble.connect_to_learner_master_limit_ticks = limit.unwrap_or(ensemble.init_limit_ticks);
        let ensemble = ensemble.clone();
        self.count_members(&ensemble);
        if ensemble.is_distributed() && ensemble.membership.participants().next().is_some() {
            self.distributed_checks(&ensemble);
        }
        if self.draft.config.listen.client.is_none() && self.draft.config.listen.secure_client.is_none() {
            let advice = "set clientPort=2181";
            self.findings.warn(&self.whole(), "no client port is set, so no client can connect", advice);
        }
    }

    fn count_members(&mut self, ensemble: &crate::model::Ensemble) {
        let participants = ensemble.membership.participants().count();
        let observer =
            ensemble.membership.observers().next().map(|member| members::source_of(member.id, &self.lines));
        match participants {
            0 if !ensemble.standalone_enabled => {
                let advice = "add a server.N line, or remove standaloneEnabled=false";
                let problem = "standaloneEnabled is false, but there is no participant";
                self.findings.error(&self.source("standaloneEnabled"), problem, advice);
            }
            0 | 1 if ensemble.standalone_enabled => {
                if let Some(source) = observer {
                    let problem = "observers need at least two participants, or standaloneEnabled=false";
                    self.findings.error(&source, problem, "add the participants' server.N lines");
                }
            }
            2 => {
                let problem = "two participants tolerate no failure";
                self.findings.warn(&self.whole(), problem, "three tolerate one");
            }
            even if even % 2 == 0 => {
                let problem = format!("{even} participants tolerate no more failures than {}", even - 1);
                self.findings.warn(&self.whole(), problem, "use an odd number");
            }
            _ => {}
        }
    }

    fn distributed_checks(&mut self, ensemble: &crate::model::Ensemble) {
        for (name, ticks) in
            [("initLimit", ensemble.init_limit_ticks), ("syncLimit", ensemble.sync_limit_ticks)]
        {
            let setting = self.settings.get(name);
            let unreadable = setting.is_some_and(|setting| self.findings.has_error_at(&setting.source));
            if ticks == 0 && !unreadable {
                let source = setting.map_or_else(|| self.whole(), |setting| setting.source.clone());
                let advice = format!("add {name}={}", if name == "initLimit" { 10 } else { 5 });
                self.findings.error(&source, format!("{name} is not set, which an ensemble needs"), advice);
            }
        }
        let path = self.draft.config.storage.data_dir.join("myid");
        let listed: Vec<String> = ensemble.membership.members.keys().map(i64::to_string).collect();
        match ensemble.my_id {
            Some(id) if !ensemble.membership.members.contains_key(&id) => {
                let source = Source::Line { file: path.display().to_string().into(), line: 1 };
                let advice = format!("the configuration lists: {}", listed.join(", "));
                self.findings.error(
                    &source,
                    format!("myid is {id}, but there is no server.{id} line"),
                    advice,
                );
            }
            None if self.draft.data_dir.is_some() && !self.findings.concern(&path.display().to_string()) => {
                let problem = format!("{} is missing, which an ensemble needs", path.display());
                let advice = format!("write this server's number into it, one of: {}", listed.join(", "));
                self.findings.error(&self.whole(), problem, advice);
            }
            _ => {}
        }
    }

    /// Adds the lines that concern members to the list of effective values.
    pub(super) fn member_entries(&mut self) {
        for line in &self.lines {
            if let Some(spec) = options::for_key(&line.key) {
                let text = java::trim(&line.value);
                self.draft.config.entries.push(Entry::new(spec, &line.key, Some(text), line.source.clone()));
            }
        }
    }

    /// Tells of settings that are accepted without effect.
    pub(super) fn later_parts(&mut self) {
        let distributed = self.draft.config.ensemble.is_distributed();
        for (name, setting) in &self.settings.by_name {
            let as_default = setting.text.eq_ignore_ascii_case(setting.spec.default);
            if as_default || self.findings.has_error_at(&setting.source) {
                continue;
            }
            match setting.spec.status {
                Status::Works => {}
                Status::Later(part) if SECURES_THE_ENSEMBLE.contains(&name.as_str()) && distributed => {
                    let problem = format!(
                        "{name} asks for {}, which is not there yet: this server would talk to the others without it",
                        part.name()
                    );
                    let advice = "keep Apache ZooKeeper for this ensemble until it is, or set it to false on all members";
                    self.findings.error(&setting.source, problem, advice);
                }
                Status::Later(part) => warn_later(self.findings, setting, name, part),
                Status::Ignored(reason) => {
                    self.findings.note(
                        &setting.source,
                        format!("{name} is accepted and ignored: {reason}"),
                        "",
                    );
                }
            }
        }
    }
}

/// Settings whose silent absence would leave the ensemble open.
const SECURES_THE_ENSEMBLE: [&str; 3] =
    ["sslQuorum", "quorum.auth.learnerRequireSasl", "quorum.auth.serverRequireSasl"];

/// The hexadecimal version behind the last dot of a dynamic file's name.
fn version_of_name(name: &str) -> Option<i64> {
    let (_, suffix) = name.rsplit_once('.')?;
    members::parse_version(suffix)
}
