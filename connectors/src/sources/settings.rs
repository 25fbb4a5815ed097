//! A source as it is configured.

use std::fmt;

use domain::Provider;
use domain::reading::Create;
use serde::Deserialize;

/// A `[[sources]]` table of the configuration.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// The last part of `/ingest/{name}`: letters, digits, `-` and `_`.
    pub name: String,
    /// Whose format it is.
    pub provider: Provider,
    /// Verification keys, any one of which may fit (rotation); public keys for SendGrid and Postal, bearer tokens for
    /// providers that sign nothing.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// `user:password` pairs, any one of which may fit; asked for besides the signature.
    #[serde(default)]
    pub basic_auth: Vec<String>,
    /// Amazon SES: ARNs of the SNS topics that may be confirmed and may post.
    #[serde(default)]
    pub topics: Vec<String>,
    /// The metadata names that may hold the campaign's key, in order of preference.
    #[serde(default = "default_campaign_keys")]
    pub campaign_keys: Vec<String>,
    /// The metadata names that may hold the sender's id of the recipient, in order of preference.
    #[serde(default = "default_recipient_keys")]
    pub recipient_keys: Vec<String>,
    /// What its events may create where nothing matches.
    #[serde(default)]
    pub create: Create,
    /// The URL as it was entered at the provider, where that is not `{public_url}/ingest/{name}`: Mandrill signs it.
    #[serde(default)]
    pub url: Option<String>,
    /// Accept requests without any proof of where they come from.
    #[serde(default)]
    pub insecure: bool,
}

impl fmt::Debug for SourceSettings {
    /// Without secrets and passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSettings")
            .field("name", &self.name)
            .field("provider", &self.provider)
            .field("secrets", &self.secrets.len())
            .field("basic_auth", &self.basic_auth.len())
            .field("topics", &self.topics)
            .field("create", &self.create)
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}

/// The metadata names that are tried for the campaign's key unless configured otherwise.
#[must_use]
pub fn default_campaign_keys() -> Vec<String> {
    ["nachfass_campaign", "campaign_id", "campaign"].map(str::to_owned).to_vec()
}

/// The metadata names that are tried for the recipient's id unless configured otherwise.
#[must_use]
pub fn default_recipient_keys() -> Vec<String> {
    ["nachfass_recipient", "recipient_id"].map(str::to_owned).to_vec()
}
