//! What will not work, though it could be read: everything at once, each with what to do about it.

mod alerts;
mod crm;
mod origins;

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use connectors::sources::SourceSettings;
use domain::Provider;
use domain::email::EmailAddress;
use rustix::fs::{Access, access};
use serde::Serialize;
use service::prune::Retention;
use tracing_subscriber::EnvFilter;
use url::{Host, Url};

use super::{Config, Secret, SecretKey};
use crate::private::OTHERS;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// nachfass does not start.
    Error,
    /// It starts, but probably not as it is meant.
    Warning,
}

/// Something about the configuration that somebody should change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The path of the key: `sources[0].secrets`.
    pub key: String,
    /// The file or variable that set it; `None` for a default.
    pub origin: Option<String>,
    /// The line of the file, counted from 1; `None` for what is in no file.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        match (&self.origin, self.line) {
            (Some(origin), Some(line)) => write!(f, "{origin}:{line}: ")?,
            (Some(origin), None) => write!(f, "{origin}: ")?,
            (None, _) => {}
        }
        write!(f, "{severity}: ")?;
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        write!(f, "{}: {}", self.problem, self.advice)
    }
}

/// Collects findings and says where their keys were set.
pub(super) struct Findings<'a> {
    config: &'a Config,
    found: Vec<Finding>,
}

impl Findings<'_> {
    pub(super) fn error(&mut self, key: impl Into<String>, problem: impl Into<String>, advice: &str) {
        self.add(Severity::Error, key.into(), problem.into(), advice);
    }

    pub(super) fn warning(&mut self, key: impl Into<String>, problem: impl Into<String>, advice: &str) {
        self.add(Severity::Warning, key.into(), problem.into(), advice);
    }

    fn add(&mut self, severity: Severity, key: String, problem: String, advice: &str) {
        // All sources come from one place: a later layer replaces the list as a whole.
        let set = key.split_once('[').map_or(key.as_str(), |(list, _)| list);
        let origin = self.config.origin(set).map(str::to_owned);
        self.found.push(Finding { severity, key, origin, line: None, problem, advice: advice.to_owned() });
    }
}

impl Config {
    /// Everything that will not work, or probably not as it is meant, in the order of the default file.
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = Findings { config: self, found: Vec::new() };
        check_addresses(self, &mut findings);
        origins::check(self, &mut findings);
        check_stores(self, &mut findings);
        check_secret_key(self, &mut findings);
        check_sign_in(self, &mut findings);
        check_data_dir(self, &mut findings);
        check_board(self, &mut findings);
        check_log(self, &mut findings);
        alerts::check(self, &mut findings);
        crm::check(self, &mut findings);
        self.storage.check(&mut findings);
        check_times(self, &mut findings);
        let mut names = HashSet::new();
        for (index, source) in self.sources.iter().enumerate() {
            let key = |field: &str| format!("sources[{index}].{field}");
            if !names.insert(source.name.as_str()) {
                let problem = format!("{:?} is the name of an earlier source", source.name);
                findings.error(key("name"), problem, "give each source a name of its own: it is its URL");
            }
            check_source(source, &key, &mut findings);
        }
        findings.found
    }
}

fn check_addresses(config: &Config, findings: &mut Findings<'_>) {
    if config.listen.parse::<SocketAddr>().is_err() {
        let problem = format!("{:?} is not an IP address and a port", config.listen);
        findings.error("listen", problem, "write 127.0.0.1:8080, or 0.0.0.0:8080 for every interface");
    }
    let advice = "write it as a browser shows it, for example https://nachfass.example.com";
    match Url::parse(&config.public_url) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            findings.error("public_url", "it begins with neither https:// nor http://", advice);
        }
        Ok(url) if url.has_authority() && has_extras(&url) => {
            findings.error("public_url", "it holds a user, a query or a fragment", advice);
        }
        Ok(url) if url.path() != "/" && url.has_authority() => {
            let advice = "give nachfass a host name or a port of its own, for example https://nachfass.example.com";
            findings.error(
                "public_url",
                "it has a path, and pages, cookies and links work at the root of a host only",
                advice,
            );
        }
        Ok(url) if url.scheme() == "http" && !is_this_machine(&url) => {
            let advice = "put a reverse proxy with TLS before it and write https://, or keep it to your own network";
            findings.warning("public_url", "sessions and personal data would travel unencrypted", advice);
        }
        Ok(_) => {}
        Err(error) => findings.error("public_url", format!("it is not a URL ({error})"), advice),
    }
}

/// Whether a base URL holds what cannot be carried over into the URLs made from it.
fn has_extras(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some()
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

fn check_stores(config: &Config, findings: &mut Findings<'_>) {
    let database = &config.database_url;
    let postgres = has_scheme(database, &["postgres://", "postgresql://"]);
    if !database.is_empty() && !postgres && !has_scheme(database, &["sqlite:"]) {
        let advice = "write postgres://user:password@host/database, or leave it empty for SQLite in data_dir";
        findings.error("database_url", "it begins with neither postgres:// nor sqlite:", advice);
    } else if postgres && let Err(error) = Url::parse(database.expose()) {
        let advice = "characters such as @ / # % in a password must be percent-encoded";
        findings.error("database_url", format!("it is not a URL ({error})"), advice);
    }
    let redis = &config.redis_url;
    if redis.is_empty() {
        return;
    }
    if !has_scheme(redis, &["redis://", "rediss://"]) {
        let advice = "write redis://host:6379, or rediss:// for TLS, or leave it empty for a queue in memory";
        findings.error("redis_url", "it begins with neither redis:// nor rediss://", advice);
    } else if let Err(error) = Url::parse(redis.expose()) {
        let advice = "characters such as @ / # % in a password must be percent-encoded";
        findings.error("redis_url", format!("it is not a URL ({error})"), advice);
    }
    if !postgres {
        let advice = "set database_url to PostgreSQL for more than one process, or leave redis_url empty";
        findings.warning("redis_url", "Redis spreads work over processes, but SQLite serves only one", advice);
    }
}

fn has_scheme(url: &Secret, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| url.expose().starts_with(scheme))
}

fn check_secret_key(config: &Config, findings: &mut Findings<'_>) {
    if !config.secret_key.is_empty() && SecretKey::decode(config.secret_key.expose()).is_none() {
        let advice = "make one with: openssl rand -base64 32";
        findings.error("secret_key", "it is not 32 bytes as base64", advice);
    }
}

/// Why a data folder cannot be used, and what to do; `None` where it can be used or made.
fn unusable(folder: &Path) -> Option<(String, &'static str)> {
    let shown = |path: &Path| path.display().to_string();
    match std::fs::metadata(folder) {
        Ok(found) if !found.is_dir() => {
            Some((format!("{} is not a folder", shown(folder)), "name a folder, or move away what is there"))
        }
        Ok(_) if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() => {
            let problem = format!("{} cannot be written to by this user", shown(folder));
            Some((problem, "give it to the user that runs nachfass (chown), or name another folder"))
        }
        Ok(_) => None,
        Err(_) => {
            let existing = folder.ancestors().skip(1).find(|path| path.as_os_str().is_empty() || path.exists())?;
            let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
            let is_usable = existing.is_dir() && access(existing, Access::WRITE_OK | Access::EXEC_OK).is_ok();
            let problem = format!("{} does not exist and cannot be made in {}", shown(folder), shown(existing));
            (!is_usable).then_some((problem, "make it for the user that runs nachfass, or name another folder"))
        }
    }
}

/// Whether other users of the machine are kept out of the data folder and away from the key.
fn check_data_dir(config: &Config, findings: &mut Findings<'_>) {
    if let Some((problem, advice)) = unusable(&config.data_dir) {
        findings.error("data_dir", problem, advice);
        return;
    }
    let is_open = |path: &Path| std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & OTHERS != 0);
    if is_open(&config.data_dir) {
        let problem = format!("{} is open to other users of this machine", config.data_dir.display());
        findings.warning("data_dir", problem, "chmod 700 it: it holds personal data and the secret key");
    }
    let key = config.data_dir.join(SecretKey::FILE_NAME);
    if is_open(&key) {
        let problem = format!("{} is open to other users of this machine", key.display());
        findings.warning("data_dir", problem, "chmod 600 it, and replace the key if others have been there");
    }
}

fn check_sign_in(config: &Config, findings: &mut Findings<'_>) {
    let address = &config.first_admin;
    if !address.is_empty()
        && let Err(error) = EmailAddress::parse(address)
    {
        findings.error("first_admin", format!("{address:?}: {error}"), "write an e-mail address, or leave it empty");
    }
}

fn check_board(config: &Config, findings: &mut Findings<'_>) {
    let board = &config.board_listen;
    if board.is_empty() {
        return;
    }
    let Ok(address) = board.parse::<SocketAddr>() else {
        let problem = format!("{board:?} is not an IP address and a port");
        findings.error("board_listen", problem, "write 127.0.0.1:8081, or leave it empty for no board");
        return;
    };
    if config.redis_url.is_empty() {
        findings.error(
            "board_listen",
            "it shows queues in Redis, and there is none",
            "set redis_url, or leave it empty",
        );
    }
    if !address.ip().is_loopback() {
        let advice = "keep it to 127.0.0.1 and reach it through a tunnel, or put a reverse proxy with TLS before it";
        findings.warning("board_listen", "passwords of admins may travel unencrypted", advice);
    }
}

fn check_times(config: &Config, findings: &mut Findings<'_>) {
    let zone = &config.schedule.time_zone;
    if service::schedule::zone(zone).is_none() {
        let problem = format!("{zone:?} is not a time zone");
        findings.error("schedule.time_zone", problem, "write a name such as Europe/Berlin or UTC");
    }
    let (events, least) = (config.retention.events, Retention::LEAST_EVENTS);
    if (1..least).contains(&events) {
        let problem = format!("events cannot be kept for less than {least} days");
        findings.error("retention.events", problem, "write 31 or more, or 0 for ever");
    }
}

fn check_log(config: &Config, findings: &mut Findings<'_>) {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    if let Err(error) = EnvFilter::builder().parse(&config.log) {
        findings.error("log", format!("it cannot be read ({error})"), "write a level, or \"info,worker=debug\"");
    }
    // A word alone that is no level names a module: a misspelt level would switch everything else off in silence.
    for word in config.log.split(',').map(str::trim).filter(|word| word.chars().all(char::is_alphabetic)) {
        if !word.is_empty() && !LEVELS.contains(&word.to_lowercase().as_str()) {
            let problem = format!("{word:?} is not a level; {}", super::error::hint(word, &LEVELS));
            findings.warning("log", problem, "for everything of a module write module=trace");
        }
    }
}

fn check_source(source: &SourceSettings, key: &impl Fn(&str) -> String, findings: &mut Findings<'_>) {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if source.name.is_empty() || !source.name.bytes().all(valid) {
        let problem = format!("{:?} cannot be the last part of a URL", source.name);
        findings.error(key("name"), problem, "use letters, digits, - and _");
    }
    check_proof(source, key, findings);
    if source.secrets.iter().any(|secret| secret.trim().is_empty()) {
        let problem = format!("{:?} has an empty key, and anybody can sign with that", source.name);
        findings.error(key("secrets"), problem, "remove it, or enter the key that the provider shows");
    }
    let complete =
        |pair: &String| pair.split_once(':').is_some_and(|(user, password)| !user.is_empty() && !password.is_empty());
    if !source.basic_auth.iter().all(complete) {
        let problem = format!("{:?} has an entry that is not user:password", source.name);
        findings.error(key("basic_auth"), problem, "write \"user:password\", neither of them empty");
    }
    if source.url.as_ref().is_some_and(|url| Url::parse(url).is_err()) {
        let problem = format!("{:?} has something that is not a URL", source.name);
        findings.error(key("url"), problem, "copy the URL as it was entered at the provider");
    }
}

/// Whether the source can tell its provider from anybody else.
fn check_proof(source: &SourceSettings, key: &impl Fn(&str) -> String, findings: &mut Findings<'_>) {
    let name = &source.name;
    // Both sign with a certificate of their own, which is fetched where no key is pinned.
    let ses = matches!(source.provider, Provider::Ses | Provider::Scaleway);
    // Amazon's own signature proves only that the message comes from some SNS topic, and anybody can have one.
    let proof = if ses { !source.topics.is_empty() } else { !source.secrets.is_empty() };
    if source.insecure {
        let problem = format!("{name:?} accepts events from anybody who knows its URL");
        findings.warning(key("insecure"), problem, "for trying out only: remove it and configure a key or password");
    } else if !proof && source.basic_auth.is_empty() {
        let (field, advice) = if ses {
            ("topics", "list the ARN of the SNS topic in topics, or set basic_auth")
        } else {
            (
                "secrets",
                "enter the provider's verification key in secrets, or set basic_auth; insecure = true accepts anybody",
            )
        };
        findings.error(key(field), format!("{name:?} could not tell its provider from anybody else"), advice);
    } else if ses && source.topics.is_empty() {
        let problem = format!("{name:?} names no SNS topic, so none of them can be confirmed");
        findings.warning(key("topics"), problem, "list the ARN of the topic");
    }
    if !ses && !source.topics.is_empty() {
        let problem = format!("{name:?} is neither Amazon SES nor Scaleway, so topics mean nothing");
        findings.warning(key("topics"), problem, "remove them");
    }
    if ses && source.topics.iter().any(|topic| !(topic.starts_with("arn:") && topic.contains(":sns:"))) {
        let problem = format!("{name:?} has an entry that is not the ARN of an SNS topic");
        findings.warning(key("topics"), problem, "write arn:aws:sns:REGION:ACCOUNT:TOPIC");
    }
}
