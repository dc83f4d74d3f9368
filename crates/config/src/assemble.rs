//! From single settings to one configuration: defaults, values that follow from others, and checks that concern more
//! than one option.
//!
//! Each option's setter writes into a [`Draft`]; where a value needs its neighbours first, the draft keeps it until
//! all are known. Checks follow Apache's server, and none hides another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::effective::Entry;
use crate::finding::{Findings, Source};
use crate::gather::{Setting, Settings};
use crate::java;
use crate::members::{self, Address, MemberLine, Membership};
use crate::model::{AuthProvider, Config, ConnectionWeights, Role, Whitelist};
use crate::options::{self, Kind, Part, Status};
use crate::read;
use crate::{Inputs, convert};
use wire::Word;
use wire::data::DigestAlgorithm;

mod quorum;

/// A configuration in the making.
#[derive(Default)]
pub(crate) struct Draft {
    pub config: Config,
    pub client_port: Option<u16>,
    pub client_port_address: Option<String>,
    pub secure_client_port: Option<u16>,
    pub secure_client_port_address: Option<String>,
    pub min_session_timeout: Option<u32>,
    pub max_session_timeout: Option<u32>,
    pub jute_extra_bytes: Option<u32>,
    pub data_dir: Option<PathBuf>,
    pub data_log_dir: Option<PathBuf>,
    pub four_letter_words: Option<String>,
    pub connection_weights: WeightOptions,
    pub digest_algorithm: String,
    pub enforce_auth: bool,
    pub enforce_auth_schemes: Vec<String>,
    pub require_sasl: bool,
    pub quorum_sasl: QuorumSasl,
    pub dynamic_file: Option<PathBuf>,
    pub peer_type: Option<Role>,
    pub connect_to_learner_master_limit: Option<u32>,
}

#[derive(Default)]
pub(crate) struct WeightOptions {
    pub enabled: bool,
    pub global: u32,
    pub renew: u32,
    pub local: u32,
}

#[derive(Default)]
pub(crate) struct QuorumSasl {
    pub enabled: bool,
    pub learner_required: bool,
    pub server_required: bool,
}

/// Builds the configuration. It is meaningful only if no error was found.
pub(crate) fn assemble(inputs: &Inputs<'_>, settings: &Settings, findings: &mut Findings) -> Config {
    let mut work = Assembly { inputs, settings, findings, draft: Draft::default(), lines: Vec::new() };
    work.apply_options();
    work.storage();
    work.sessions();
    work.limits();
    work.listen_addresses();
    work.four_letter_words();
    work.auth();
    work.quorum_sasl();
    work.membership();
    work.my_id();
    work.own_member();
    work.quorum_checks();
    work.member_entries();
    work.later_parts();
    work.draft.config
}

struct Assembly<'a> {
    inputs: &'a Inputs<'a>,
    settings: &'a Settings,
    findings: &'a mut Findings,
    draft: Draft,
    /// The lines that concern members, wherever they stand.
    lines: Vec<MemberLine>,
}

impl Assembly<'_> {
    fn source(&self, name: &str) -> Source {
        self.settings.source(name)
    }

    /// The configuration as a whole.
    fn whole(&self) -> Source {
        self.inputs.file.as_ref().map_or(Source::CommandLine, |file| Source::File(file.name.into()))
    }

    fn apply_options(&mut self) {
        for spec in options::all() {
            if spec.kind == Kind::Family {
                for (name, setting) in self.settings.family(spec.name) {
                    let entry = Entry::new(spec, name, Some(&setting.text), setting.source.clone());
                    self.draft.config.entries.push(entry);
                }
                continue;
            }
            let setting = self.settings.get(spec.name);
            let effective = match setting {
                Some(setting) => read::apply(setting, &mut self.draft, self.findings),
                None => {
                    read::apply_default(spec, &mut self.draft);
                    None
                }
            };
            let default = Some(spec.default).filter(|text| !text.is_empty());
            let entry = match (effective, setting) {
                (Some(text), Some(setting)) => {
                    Entry::new(spec, spec.name, Some(&text), setting.source.clone())
                }
                _ => Entry::new(spec, spec.name, default, Source::Default),
            };
            self.draft.config.entries.push(entry);
        }
    }

    /// Shows a value that was derived where none was given.
    fn derived(&mut self, name: &str, value: impl ToString) {
        let entry = self.draft.config.entries.iter_mut().find(|entry| entry.name == name);
        if let Some(entry) =
            entry.filter(|entry| entry.value.is_none() || entry.value.as_deref() == Some("-1"))
        {
            entry.value = Some(value.to_string());
        }
    }

    fn storage(&mut self) {
        if self.settings.get("dataDir").is_none() {
            self.findings.error(
                &self.whole(),
                "dataDir is not set",
                "name the folder for the data: dataDir=/path",
            );
        }
        let data_dir = self.draft.data_dir.clone().unwrap_or_default();
        let log_dir = self.draft.data_log_dir.take().unwrap_or_else(|| data_dir.clone());
        self.derived("dataLogDir", log_dir.display());
        let storage = &mut self.draft.config.storage;
        storage.data_dir = data_dir;
        storage.data_log_dir = log_dir;
    }

    fn sessions(&mut self) {
        let sessions = &mut self.draft.config.sessions;
        let tick = sessions.tick_time_ms;
        let min = self.draft.min_session_timeout.unwrap_or(tick.saturating_mul(2));
        let max = self.draft.max_session_timeout.unwrap_or(tick.saturating_mul(20));
        sessions.min_session_timeout_ms = min;
        sessions.max_session_timeout_ms = max;
        self.derived("minSessionTimeout", min);
        self.derived("maxSessionTimeout", max);
        if min > max {
            let source =
                [self.source("minSessionTimeout"), self.source("maxSessionTimeout"), self.source("tickTime")]
                    .into_iter()
                    .find(|source| *source != Source::Default)
                    .unwrap_or(Source::Default);
            let problem = format!("minSessionTimeout ({min} ms) is larger than maxSessionTimeout ({max} ms)");
            let advice =
                format!("lower the one or raise the other; their defaults are 2 and 20 ticks of {tick} ms");
            self.findings.error(&source, problem, advice);
        }
    }

    fn limits(&mut self) {
        let limits = &mut self.draft.config.limits;
        limits.jute_extra_bytes =
            self.draft.jute_extra_bytes.unwrap_or(limits.jute_max_buffer_bytes.max(1024));
        let extra = limits.jute_extra_bytes;
        let options = &self.draft.connection_weights;
        if options.enabled {
            let weights = ConnectionWeights {
                global_session: options.global.max(options.local),
                renewed_session: options.renew.max(options.local),
                local_session: options.local,
            };
            let throttle = &mut limits.connection_throttle;
            throttle.tokens = throttle.tokens.saturating_mul(weights.global_session);
            throttle.fill_count = throttle.fill_count.saturating_mul(weights.global_session);
            throttle.weights = Some(weights);
        }
        self.derived("jute.maxbuffer.extrasize", extra);
    }

    fn listen_addresses(&mut self) {
        let plain = (self.draft.client_port, self.draft.client_port_address.take());
        self.draft.config.listen.client = self.listen_address("clientPort", plain);
        let secure = (self.draft.secure_client_port, self.draft.secure_client_port_address.take());
        self.draft.config.listen.secure_client = self.listen_address("secureClientPort", secure);
    }

    fn listen_address(&mut self, name: &str, (port, host): (Option<u16>, Option<String>)) -> Option<Address> {
        let address_name = format!("{name}Address");
        let source = self.source(&address_name);
        match (port, host) {
            (None, Some(_)) => {
                if self.settings.get(name).is_none() {
                    let problem = format!("{address_name} is set, but {name} is not");
                    self.findings.error(
                        &source,
                        problem,
                        format!("add {name}=PORT, or remove {address_name}"),
                    );
                }
                None
            }
            (Some(port), Some(host)) if host.is_empty() => {
                let problem = format!("{address_name} is empty, which means this machine only");
                self.findings.warn(
                    &source,
                    problem,
                    "write 127.0.0.1 if that is meant, else remove the line",
                );
                Some(Address { host: Some("127.0.0.1".to_owned()), port })
            }
            (Some(port), host) => Some(Address { host, port }),
            (None, None) => None,
        }
    }

    fn four_letter_words(&mut self) {
        let words = convert::comma_list(self.draft.four_letter_words.as_deref().unwrap_or_default());
        if words.iter().any(|word| word == "*") {
            self.draft.config.four_letter_words = Whitelist::All;
            return;
        }
        let source = self.source("4lw.commands.whitelist");
        let known: Vec<&str> = Word::ALL.iter().map(|word| word.name()).collect();
        for word in words.iter().filter(|word| !known.contains(&word.as_str())) {
            let problem = format!("4lw.commands.whitelist names {word}, which is no four-letter word");
            let advice = format!("the known ones are: {}", known.join(", "));
            self.findings.warn(&source, problem, advice);
        }
        let isro = self.draft.config.sessions.read_only_mode_enabled.then(|| "isro".to_owned());
        let always = ["srvr".to_owned()].into_iter().chain(isro);
        let listed = Whitelist::Only(words.into_iter().chain(always).collect());
        self.draft.config.four_letter_words = listed;
        self.derived("4lw.commands.whitelist", "srvr");
    }

    fn auth(&mut self) {
        if let Some(algorithm) = DigestAlgorithm::from_name(&self.draft.digest_algorithm) {
            self.draft.config.auth.digest_algorithm = algorithm;
        }
        let mut providers = std::collections::BTreeSet::from([AuthProvider::Ip]);
        if self.draft.config.auth.digest_enabled {
            providers.insert(AuthProvider::Digest);
        }
        let truth =
            |name| self.settings.get(name).is_some_and(|setting| setting.text.eq_ignore_ascii_case("true"));
        if self.draft.secure_client_port.is_some() || truth("client.portUnification") {
            providers.insert(AuthProvider::X509);
        }
        for (name, setting) in self.settings.family("authProvider.*") {
            match AuthProvider::ALL.into_iter().find(|provider| provider.class() == setting.text) {
                Some(provider) => {
                    providers.insert(provider);
                    if let Some(part) = unbuilt(provider) {
                        warn_later(self.findings, setting, name, part);
                    }
                }
                None => {
                    let problem = format!(
                        "{name}={} is not a class known here, and Java classes cannot be loaded",
                        setting.text
                    );
                    let known: Vec<&str> = AuthProvider::ALL.map(AuthProvider::class).to_vec();
                    let advice = format!("remove it, or write one of: {}", known.join(", "));
                    self.findings.error(&setting.source, problem, advice);
                }
            }
        }
        let required = if self.draft.require_sasl { vec!["sasl".to_owned()] } else { Vec::new() };
        let schemes =
            if self.draft.require_sasl { required } else { self.draft.enforce_auth_schemes.clone() };
        let enforced = self.draft.require_sasl || self.draft.enforce_auth;
        if enforced {
            self.check_enforced(&schemes, &providers);
        }
        self.draft.config.auth.enforced_schemes = enforced.then_some(schemes);
        self.draft.config.auth.providers = providers;
    }

    fn check_enforced(&mut self, schemes: &[String], providers: &std::collections::BTreeSet<AuthProvider>) {
        let by =
            if self.draft.require_sasl { "sessionRequireClientSASLAuth" } else { "enforce.auth.enabled" };
        let source = self.source(by);
        if schemes.is_empty() {
            let advice = "name the schemes: enforce.auth.schemes=digest";
            self.findings.error(
                &source,
                format!("{by} is true, but enforce.auth.schemes is not set"),
                advice,
            );
        }
        for scheme in schemes {
            if !providers.iter().any(|provider| provider.scheme() == scheme) {
                let offered: Vec<&str> = providers.iter().map(|provider| provider.scheme()).collect();
                let problem = format!("{by} is true, but there is no provider for the scheme {scheme}");
                let advice =
                    format!("add a provider with authProvider.1=…, or use one of: {}", offered.join(", "));
                self.findings.error(&source, problem, advice);
            }
        }
    }

    fn quorum_sasl(&mut self) {
        let QuorumSasl { enabled, learner_required, server_required } = self.draft.quorum_sasl;
        let mut needs = |option: &str, needed: &str| {
            let source = self.settings.source(option);
            let problem = format!("{option} is true, but {needed} is not");
            self.findings.error(&source, problem, format!("set {needed}=true"));
        };
        if server_required && !enabled {
            needs("quorum.auth.serverRequireSasl", "quorum.auth.enableSasl");
        }
        if learner_required && !enabled {
            needs("quorum.auth.learnerRequireSasl", "quorum.auth.enableSasl");
        }
        if server_required && !learner_required {
            needs("quorum.auth.serverRequireSasl", "quorum.auth.learnerRequireSasl");
        }
    }
}

/// The part that a provider needs and that does not exist yet.
fn unbuilt(provider: AuthProvider) -> Option<Part> {
    match provider {
        AuthProvider::Sasl => Some(Part::Sasl),
        AuthProvider::X509 => Some(Part::Tls),
        AuthProvider::Digest | AuthProvider::Ensemble | AuthProvider::Ip | AuthProvider::Key => None,
    }
}

fn warn_later(findings: &mut Findings, setting: &Setting, name: &str, part: Part) {
    let problem = format!("{name} has no effect yet: it waits for {}", part.name());
    findings.warn(&setting.source, problem, "do not rely on it");
}
