//! The `[alerts]` table: who is told when something is wrong with a campaign.

use connectors::notify::MailSettingsError;
use url::Url;

use super::{Config, Findings, is_this_machine};

/// Whether the channels that are configured can be used.
pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    check_webhook(config, findings);
    check_mail(config, findings);
}

fn check_webhook(config: &Config, findings: &mut Findings<'_>) {
    let alerts = &config.alerts;
    if alerts.webhook_url.is_empty() {
        if !alerts.webhook_secret.is_empty() {
            let advice = "set webhook_url, or remove the secret";
            findings.warning("alerts.webhook_secret", "there is no webhook to sign for", advice);
        }
        return;
    }
    let advice = "write the address that is to be told, for example https://hooks.example.com/nachfass";
    match Url::parse(alerts.webhook_url.expose()) {
        Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_this_machine(&url)) => {}
        Ok(_) => findings.error("alerts.webhook_url", "it is neither https:// nor an http:// of this machine", advice),
        Err(error) => findings.error("alerts.webhook_url", format!("it is not a URL ({error})"), advice),
    }
    if alerts.webhook_secret.is_empty() {
        let advice = "make one with: openssl rand -base64 32";
        findings.error("alerts.webhook_secret", "without it nobody can tell our requests from others'", advice);
    }
}

fn check_mail(config: &Config, findings: &mut Findings<'_>) {
    let alerts = &config.alerts;
    let is_set =
        [alerts.mail_to.is_empty(), alerts.mail_from.is_empty(), alerts.smtp_url.is_empty()].map(|empty| !empty);
    if is_set == [false; 3] {
        return;
    }
    for (key, is_set) in ["alerts.mail_to", "alerts.mail_from", "alerts.smtp_url"].into_iter().zip(is_set) {
        if !is_set {
            let advice = "set mail_to, mail_from and smtp_url, or none of them";
            findings.error(key, "it is missing, so no mail about alerts can be sent", advice);
        }
    }
    if is_set != [true; 3] {
        return;
    }
    let advice = "write smtps://user:password@host:465 (TLS) or smtp://user:password@host:587 (STARTTLS); characters such as @ / # % \
        in a password must be percent-encoded";
    let Ok(smtp_url) = Url::parse(alerts.smtp_url.expose()) else {
        findings.error("alerts.smtp_url", "it is not a URL", advice);
        return;
    };
    let problem = "it is not an address";
    match alerts.mail(smtp_url).check() {
        Ok(()) => {}
        Err(MailSettingsError::Server) => findings.error("alerts.smtp_url", "it names no mail server", advice),
        Err(MailSettingsError::From) => {
            findings.error(
                "alerts.mail_from",
                problem,
                "write nachfass@example.com, or nachfass <nachfass@example.com>",
            );
        }
        Err(MailSettingsError::To(place)) => {
            findings.error(format!("alerts.mail_to[{place}]"), problem, "write erika@example.com");
        }
    }
}
