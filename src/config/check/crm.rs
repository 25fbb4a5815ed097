//! The `[crm]` table: whether the CRM can be tried with it.

use std::time::Duration;

use connectors::crm::superoffice::SettingsError;
use url::Url;

use super::{Config, Findings};
use crate::config::{CrmKind, SuperOfficeAuth};

/// More often than that is no use: what changed is told by webhooks.
const SHORTEST: Duration = Duration::from_secs(60);

/// Whether the CRM that is configured can be tried.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    match humantime::parse_duration(&config.crm.sync_every) {
        Ok(every) if every < SHORTEST => {
            findings.error("crm.sync_every", "it is less than a minute", "write 1m or more");
        }
        Ok(_) => {}
        Err(error) => findings.error("crm.sync_every", format!("it is no time ({error})"), "write 15m, or 1h"),
    }
    let superoffice = &config.crm.superoffice;
    match config.crm.kind {
        CrmKind::Superoffice => check_superoffice(config, findings),
        CrmKind::Builtin if !superoffice.tenant.is_empty() || !superoffice.client_id.is_empty() => {
            let advice = "set it to superoffice, or remove the rest";
            findings.warning("crm.kind", "SuperOffice is described, but not connected", advice);
        }
        CrmKind::Builtin => {}
    }
}

fn check_superoffice(config: &Config, findings: &mut Findings<'_>) {
    let superoffice = &config.crm.superoffice;
    let proof: &[(&str, bool)] = match superoffice.auth {
        SuperOfficeAuth::RefreshToken => &[("refresh_token", superoffice.refresh_token.is_empty())],
        SuperOfficeAuth::SystemUser => &[
            ("system_user_token", superoffice.system_user_token.is_empty()),
            ("private_key", superoffice.private_key.is_empty()),
        ],
    };
    let always = [
        ("tenant", superoffice.tenant.is_empty()),
        ("client_id", superoffice.client_id.is_empty()),
        ("client_secret", superoffice.client_secret.is_empty()),
    ];
    let missing: Vec<&str> = always.iter().chain(proof).filter(|(_, empty)| *empty).map(|(key, _)| *key).collect();
    for key in &missing {
        let advice = "enter what SuperOffice gave you when the application was registered and consented to";
        findings.error(format!("crm.superoffice.{key}"), "it is missing", advice);
    }
    check_hosts(&superoffice.allow_hosts, findings);
    let key = "crm.superoffice.login_url";
    let url = match Url::parse(&superoffice.login_url) {
        Ok(url) => url,
        Err(error) => {
            findings.error(key, format!("it is not a URL ({error})"), "write https://online.superoffice.com");
            return;
        }
    };
    if !missing.is_empty() {
        return;
    }
    let Err(error) = superoffice.settings(url).check() else { return };
    let (name, advice) = match &error {
        SettingsError::LoginUrl(_) => {
            ("login_url", "write https://online.superoffice.com, or list its host in allow_hosts")
        }
        SettingsError::Tenant => ("tenant", "write it as SuperOffice does, for example Cust12345"),
        SettingsError::PrivateKey => {
            ("private_key", "SuperOffice gives it as XML: convert it to PEM, and enter all of its lines")
        }
        SettingsError::Language => ("language", "write en, de, nb, …"),
        SettingsError::Http(_) => ("login_url", "see whether this machine can speak TLS"),
    };
    findings.error(format!("crm.superoffice.{name}"), error.to_string(), advice);
}

fn check_hosts(hosts: &[String], findings: &mut Findings<'_>) {
    for (place, host) in hosts.iter().enumerate() {
        let is_host = !host.is_empty() && !host.contains(['/', ':', '@', '*', ' ']);
        if !is_host {
            let key = format!("crm.superoffice.allow_hosts[{place}]");
            findings.error(key, "it is not the name of a host", "write crm.example.com, without https:// and port");
        }
    }
}
