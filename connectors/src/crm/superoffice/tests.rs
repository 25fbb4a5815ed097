//! The connector against the stand-in.

mod limits;
mod login;
mod lost;
mod reading;
mod trouble;
mod writing;

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use crm_testing::clock::TestClock;
use crm_testing::superoffice as stand_in;
use crm_testing::tokens::MemoryTokens;
use domain::crm::{Crm, CrmError, ListKind, NewList, Person, PersonQuery};

use super::{Credentials, Settings, SuperOffice};

/// A stand-in, and a connector that reaches it.
struct Site {
    server: stand_in::SuperOffice,
    clock: Arc<TestClock>,
    tokens: Arc<MemoryTokens>,
    settings: Settings,
    crm: SuperOffice,
}

impl Site {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        // Even plain HTTP wants to know how to encrypt. Whoever came first has settled it.
        rustls::crypto::ring::default_provider().install_default().ok();
        let clock = Arc::new(TestClock::default());
        let server = stand_in::SuperOffice::start_with(clock.clone());
        let mut settings = settings(&server);
        change(&mut settings);
        let tokens = Arc::new(MemoryTokens::default());
        let crm = SuperOffice::new(settings.clone(), clock.clone(), tokens.clone()).expect("settings that work");
        Self { server, clock, tokens, settings, crm }
    }

    /// Another process of the same installation.
    fn another(&self) -> SuperOffice {
        SuperOffice::new(self.settings.clone(), self.clock.clone(), self.tokens.clone()).expect("settings that work")
    }

    async fn list(&self, key: &str, again: bool) -> Result<String, CrmError> {
        let new = NewList {
            key: key.to_owned(),
            kind: ListKind::Selection,
            name: "Bounced in spring".to_owned(),
            description: None,
        };
        self.crm.create_list(&new, again).await
    }

    async fn all_persons(&self) -> Result<Vec<Person>, CrmError> {
        let (mut all, mut query) = (Vec::new(), PersonQuery::default());
        loop {
            let page = self.crm.persons(&query).await?;
            all.extend(page.rows);
            query.after = page.next;
            if query.after.is_none() {
                return Ok(all);
            }
        }
    }
}

fn settings(server: &stand_in::SuperOffice) -> Settings {
    Settings {
        login_url: server.url().parse().expect("a URL"),
        tenant: stand_in::TENANT.to_owned(),
        client_id: stand_in::CLIENT_ID.to_owned(),
        client_secret: stand_in::CLIENT_SECRET.to_owned(),
        credentials: Credentials::RefreshToken(stand_in::REFRESH_TOKEN.to_owned()),
        requests_per_second: NonZeroU16::new(2_000).expect("more than none"),
        allow_hosts: vec!["127.0.0.1".to_owned()],
        webhook_secret: Some("hush".to_owned()),
        language: "en".to_owned(),
        timeout: Duration::from_secs(20),
    }
}

/// As the application's own user.
fn as_system_user(settings: &mut Settings) {
    settings.credentials = Credentials::SystemUser {
        token: stand_in::SYSTEM_USER_TOKEN.to_owned(),
        private_key: stand_in::PRIVATE_KEY.to_owned(),
    };
}

/// An error with its causes, of which none may show what SuperOffice says in its own words.
fn chain(error: &CrmError) -> String {
    let (mut text, mut source) = (error.to_string(), std::error::Error::source(error));
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    assert!(!text.contains("hidden@example.com") && !text.contains("http://"), "{text}");
    text
}

fn is_unavailable(error: &CrmError, may_have_happened: bool) -> bool {
    chain(error);
    matches!(error, CrmError::Unavailable { may_have_happened: may, .. } if *may == may_have_happened)
}

#[tokio::test]
async fn it_keeps_the_contract_as_a_user() {
    let site = Site::new();
    site.server.generate(30);
    crm_testing::contract::passes(&site.crm, &(&site.server, site.clock.clone())).await;
}

#[tokio::test]
async fn it_keeps_the_contract_as_the_system_user() {
    let site = Site::with(as_system_user);
    crm_testing::contract::passes(&site.crm, &(&site.server, site.clock.clone())).await;
    assert_eq!(site.server.count("PartnerSystemUser/Authenticate"), 1, "a ticket lasts as long as it is used");
}
