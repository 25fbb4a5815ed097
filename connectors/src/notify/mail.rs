//! An alert as a mail in plain text.

use std::time::Duration;

use domain::alerts::AlertKind;
use domain::notify::{AlertNotice, NotifyError};
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::{self, AsyncSmtpTransport};
use lettre::{AsyncTransport, Message, Tokio1Executor};
use url::Url;

use super::webhook::is_this_machine;

/// From whom to whom, and through which server.
#[derive(Clone)]
pub struct MailSettings {
    /// The server with user and password: `smtps://…` (TLS from the beginning) or `smtp://…` (STARTTLS; on this machine without).
    pub smtp_url: Url,
    /// Whom the mails are from: an address, or a name and an address in angle brackets.
    pub from: String,
    /// Whom they go to.
    pub to: Vec<String>,
}

/// What cannot be used. It shows no address and no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailSettingsError {
    /// The sender is none.
    #[error("mail_from is not an address, or a name and an address in angle brackets")]
    From,
    /// A recipient is none; its place, from 0.
    #[error("entry {0} of mail_to is not an address")]
    To(usize),
    /// The server is none.
    #[error("smtp_url names no mail server: write smtps://user:password@host:465 or smtp://user:password@host:587")]
    Server,
}

/// Says that no person has written this: nobody's holiday note answers (RFC 3834).
#[derive(Clone, Debug)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Sends alerts.
pub struct Mail {
    from: Mailbox,
    to: Vec<Mailbox>,
    public_url: String,
    /// The right side of message ids.
    host: String,
    smtp: AsyncSmtpTransport<Tokio1Executor>,
}

impl MailSettings {
    /// Whether they can be used.
    ///
    /// # Errors
    /// Where they cannot.
    pub fn check(&self) -> Result<(), MailSettingsError> {
        self.mailboxes()?;
        self.transport(Duration::from_secs(1)).map(|_| ())
    }

    fn mailboxes(&self) -> Result<(Mailbox, Vec<Mailbox>), MailSettingsError> {
        let from = self.from.parse().map_err(|_| MailSettingsError::From)?;
        let to = self.to.iter().enumerate().map(|(place, to)| to.parse().map_err(|_| MailSettingsError::To(place)));
        Ok((from, to.collect::<Result<_, _>>()?))
    }

    pub(super) fn transport(&self, timeout: Duration) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailSettingsError> {
        let (url, unusable) = (&self.smtp_url, |_| MailSettingsError::Server);
        let host = url.host_str().ok_or(MailSettingsError::Server)?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str()).map_err(unusable)?;
        // The library would send the password of a plain smtp:// URL in the clear.
        if url.scheme() == "smtp" && !is_this_machine(url) {
            let tls = TlsParameters::new(host.to_owned()).map_err(unusable)?;
            builder = builder.port(url.port().unwrap_or(smtp::SUBMISSION_PORT)).tls(Tls::Required(tls));
        }
        Ok(builder.timeout(Some(timeout)).build())
    }
}

impl Mail {
    pub(super) fn new(settings: &MailSettings, public_url: &str, timeout: Duration) -> Result<Self, MailSettingsError> {
        let (from, to) = settings.mailboxes()?;
        let host = Url::parse(public_url).ok().and_then(|url| url.host_str().map(str::to_owned));
        Ok(Self {
            from,
            to,
            public_url: public_url.to_owned(),
            host: host.unwrap_or_else(|| "localhost".to_owned()),
            smtp: settings.transport(timeout)?,
        })
    }

    /// Sends an alert.
    pub(super) async fn send(&self, notice: &AlertNotice) -> Result<(), NotifyError> {
        let message = self.message(notice).map_err(|_| {
            // The library's own words may hold an address.
            NotifyError::Refused("the mail about an alert could not be put together".to_owned())
        })?;
        self.smtp.send(message).await.map(|_| ()).map_err(|error| judge(&error))
    }

    fn message(&self, notice: &AlertNotice) -> Result<Message, lettre::error::Error> {
        let to = self.to.iter().cloned().fold(Message::builder(), MessageBuilder::to);
        to.from(self.from.clone())
            .subject(format!("nachfass: {} in \"{}\"", subject(notice.alert.kind), notice.campaign_name))
            // The same for every mail about one alert: mailboxes show a repeated one once.
            .message_id(Some(format!("<alert.{}.{}@{}>", notice.id, notice.raised_at.micros(), self.host)))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(self.text(notice))
    }

    fn text(&self, notice: &AlertNotice) -> String {
        let resolved = notice.resolved_at.map(|at| format!("Over since {at}\r\n")).unwrap_or_default();
        format!(
            "{}\r\n\r\nCampaign: {} ({})\r\nAlert: {}\r\nRaised at {}\r\n{resolved}\r\n{}\r\n",
            notice.alert.message(),
            notice.campaign_name,
            notice.campaign_key,
            notice.alert.kind,
            notice.raised_at,
            self.public_url
        )
    }
}

const fn subject(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::BounceRate => "many bounces",
        AlertKind::ComplaintRate => "many complaints",
        AlertKind::SenderRefusals => "refused because of the sender",
        AlertKind::NoEvents => "nothing is heard",
    }
}

/// What a failure means. What a server says may hold an address: only its code is passed on.
fn judge(error: &smtp::Error) -> NotifyError {
    let code = error.status().map(|code| format!("the mail server for alerts answered with the code {code}"));
    match code {
        Some(said) if error.is_permanent() => NotifyError::Refused(said),
        Some(said) => NotifyError::Unavailable(said.into()),
        None if error.is_timeout() => {
            NotifyError::Unavailable("the mail server for alerts did not answer in time".into())
        }
        None if error.is_tls() => NotifyError::Unavailable("no TLS with the mail server for alerts".into()),
        None => NotifyError::Unavailable("the mail server for alerts could not be reached or understood".into()),
    }
}
