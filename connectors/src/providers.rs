//! The webhooks of e-mail service providers: one file for each, all behind [`Webhook`].
//!
//! Adding a provider is one new file here, one line in [`webhook`], and a variant in `domain::Provider`.

pub mod bounds;
pub mod brevo;
pub mod event;
pub mod form;
pub mod generic;
pub mod json;
pub mod mailersend;
pub mod mailgun;
pub mod mailjet;
pub mod mailtrap;
pub mod mandrill;
pub mod postal;
pub mod postmark;
pub mod request;
pub mod resend;
pub mod scaleway;
pub mod sendgrid;
pub mod ses;
pub mod signature;
pub mod sns;
pub mod sparkpost;
#[cfg(test)]
pub(crate) mod tests;
pub mod unisender;

use domain::reading::{ReadError, Reading};
use domain::{Provider, Timestamp};

pub use event::EventBuilder;
pub use request::{Rejection, Request};

/// What kind of request this is, where it is not a batch of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// A set-up ping that just wants a 200.
    Ping,
    /// Amazon SNS (or a compatible service) asks to confirm a subscription: fetch `url`, if `topic` is allowed.
    ConfirmSubscription {
        /// The topic's ARN.
        topic: String,
        /// The URL that confirms, checked to be the service's own.
        url: String,
    },
}

/// A provider's way to report events.
///
/// All methods are pure: the request, the secrets and the time go in, the finding comes out.
pub trait Webhook: Send + Sync {
    /// Headers (lower case) besides `content-type` that [`Webhook::read`] needs and that are stored with the body.
    fn kept_headers(&self) -> &'static [&'static str] {
        &[]
    }

    /// Refuses a request whose headers cannot belong to an authentic one. Called before the body is read, so the request's body is empty.
    /// Passing proves nothing; providers that sign within the body accept everything here.
    ///
    /// # Errors
    /// [`Rejection`].
    fn precheck(&self, _head: &Request<'_>, _secrets: &[String], _now: Timestamp) -> Result<(), Rejection> {
        Ok(())
    }

    /// Whether [`Webhook::certificate_url`] can return a URL.
    fn has_certificates(&self) -> bool {
        false
    }

    /// The certificate (HTTPS URL, checked to be the provider's own) that [`Webhook::verify`] needs, where the scheme has one.
    ///
    /// # Errors
    /// [`Rejection`] where the request names a certificate that is not the provider's.
    fn certificate_url(&self, _request: &Request<'_>) -> Result<Option<String>, Rejection> {
        Ok(None)
    }

    /// Whether the request comes from the holder of one of `secrets` (any one may fit: rotation), signed within the replay window.
    ///
    /// # Errors
    /// [`Rejection`] says why not; it never names a secret.
    fn verify(&self, request: &Request<'_>, secrets: &[String], now: Timestamp) -> Result<(), Rejection>;

    /// What a signature that does not cover the body holds only once: to be refused with another body. `None` where the body is
    /// covered.
    fn replay_key(&self, _request: &Request<'_>) -> Option<String> {
        None
    }

    /// Whether this is a handshake rather than events. Called for authentic requests, before [`Webhook::read`].
    ///
    /// # Errors
    /// [`ReadError`] where it looks like one but is broken.
    fn handshake(&self, _request: &Request<'_>) -> Result<Option<Handshake>, ReadError> {
        Ok(None)
    }

    /// The events of the request. An element that cannot be understood is a failure in the [`Reading`]; it holds nothing up.
    ///
    /// # Errors
    /// [`ReadError`] where the body as a whole is not this provider's.
    fn read(&self, request: &Request<'_>) -> Result<Reading, ReadError>;
}

/// The adapter of a provider.
#[must_use]
pub fn webhook(provider: Provider) -> &'static dyn Webhook {
    match provider {
        Provider::Mailgun => &mailgun::Mailgun,
        Provider::Sendgrid => &sendgrid::Sendgrid,
        Provider::Ses => &ses::Ses,
        Provider::Postmark => &postmark::Postmark,
        Provider::Brevo => &brevo::Brevo,
        Provider::Sparkpost => &sparkpost::Sparkpost,
        Provider::Mailjet => &mailjet::Mailjet,
        Provider::Resend => &resend::Resend,
        Provider::Mandrill => &mandrill::Mandrill,
        Provider::Mailersend => &mailersend::Mailersend,
        Provider::Mailtrap => &mailtrap::Mailtrap,
        Provider::Postal => &postal::Postal,
        Provider::Unisender => &unisender::Unisender,
        Provider::Scaleway => &scaleway::Scaleway,
        Provider::Generic => &generic::Generic,
    }
}
