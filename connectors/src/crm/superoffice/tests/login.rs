//! Tokens, tenants, and where requests may go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crm_testing::superoffice::{self as stand_in, Misbehaviour};
use crm_testing::tokens::MemoryTokens;
use domain::crm::{Crm, CrmError, Token, TokenStore};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all, ready};

use super::super::{Credentials, SettingsError, SuperOffice};
use super::{Site, as_system_user, chain, is_unavailable};

#[tokio::test]
async fn a_token_that_ends_in_the_middle_is_renewed() {
    for (user, at) in [(false, "oauth/tokens"), (true, "PartnerSystemUser/Authenticate")] {
        let site = if user { Site::with(as_system_user) } else { Site::new() };
        site.server.generate(4_500);
        site.server.expire_tokens_after(4);
        assert_eq!(site.all_persons().await.expect("read").len(), 4_500);
        let served = site.server.requests().iter().filter(|seen| seen.status == 200).count();
        let renewed = site.server.count(at);
        assert!((2..=4).contains(&renewed), "{renewed} tokens for {served} answers");
    }
}

/// Keeps nothing, as where the database cannot be written to.
struct NoTokens;

impl TokenStore for NoTokens {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Token>> {
        ready(None).boxed()
    }

    fn put<'a>(&'a self, _: &'a str, _: &'a Token) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }
}

#[tokio::test]
async fn many_with_an_expired_token_renew_it_once() {
    let site = Site::new();
    site.server.generate(100);
    let crm =
        SuperOffice::new(site.settings.clone(), site.clock.clone(), Arc::new(NoTokens)).expect("settings that work");
    crm.person("1").await.expect("answered");
    site.server.expire_token();
    let ids: Vec<String> = (1..=20).map(|id| id.to_string()).collect();
    for person in join_all(ids.iter().map(|id| crm.person(id))).await {
        assert!(person.expect("answered").is_some());
    }
    assert_eq!(site.server.count("oauth/tokens"), 2);
    let refused = site.server.requests().iter().filter(|seen| seen.status == 401).count();
    assert!((1..=20).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_token_that_is_refused_again_is_not_asked_for_for_ever() {
    let site = Site::new();
    site.server.expire_tokens_after(0);
    let error = site.crm.person("1").await.expect_err("not let in");
    assert!(matches!(error, CrmError::NoAccess(_)), "{error:?}");
    assert_eq!(site.server.count("oauth/tokens"), 2);
}

#[tokio::test]
async fn a_token_of_another_process_that_is_dead_as_well_is_replaced() {
    for user in [false, true] {
        let site = if user { Site::with(as_system_user) } else { Site::new() };
        site.server.generate(3);
        site.crm.person("1").await.expect("answered");
        site.server.expire_token();
        // The other process keeps a second token, which ends before this one has seen it.
        site.another().person("1").await.expect("answered");
        site.server.expire_token();
        assert!(site.crm.person("1").await.expect("let in with a third one").is_some());
        let at = if user { "PartnerSystemUser/Authenticate" } else { "oauth/tokens" };
        assert_eq!(site.server.count(at), 3);
        assert_eq!(site.server.requests().iter().filter(|seen| seen.status == 401).count(), 3);
    }
}

/// Another process keeps one dead token after the other.
#[derive(Default)]
struct DeadTokens(AtomicU32);

impl TokenStore for DeadTokens {
    fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Token>> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        ready(Some(Token { secret: format!("dead{number}"), expires_at: None })).boxed()
    }

    fn put<'a>(&'a self, _: &'a str, _: &'a Token) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }
}

#[tokio::test]
async fn dead_tokens_of_others_are_neither_tried_for_ever_nor_a_reason_to_give_up() {
    let site = Site::new();
    site.server.generate(3);
    let tokens = Arc::new(DeadTokens::default());
    let crm = SuperOffice::new(site.settings.clone(), site.clock.clone(), tokens).expect("settings that work");
    let error = crm.person("1").await.expect_err("not let in for now");
    assert!(is_unavailable(&error, false), "{error:?}");
    assert_eq!(site.server.requests().iter().filter(|seen| seen.status == 401).count(), 3);
    assert_eq!(site.server.count("oauth/tokens"), 0);
}

#[tokio::test]
async fn processes_share_a_token_and_ask_for_another_before_it_ends() {
    let site = Site::new();
    site.crm.person("1").await.expect("answered");
    let other = site.another();
    other.person("1").await.expect("answered");
    assert_eq!(site.server.count("oauth/tokens"), 1);
    // One of them renews it, the other one finds that.
    site.server.expire_token();
    site.crm.person("1").await.expect("answered");
    other.person("1").await.expect("answered");
    assert_eq!(site.server.count("oauth/tokens"), 2);
    site.clock.pass(3_600 - 59);
    site.crm.person("1").await.expect("answered");
    assert_eq!(site.server.count("oauth/tokens"), 3);
    assert_eq!(site.server.requests().iter().filter(|seen| seen.status == 401).count(), 2);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_what_to_look_at() {
    for what in ["refresh_token", "client_secret", "system_user_token"] {
        let site = Site::with(|settings| match what {
            "refresh_token" => settings.credentials = Credentials::RefreshToken("old".to_owned()),
            "client_secret" => settings.client_secret = "old".to_owned(),
            _ => {
                as_system_user(settings);
                settings.client_secret = "old".to_owned();
            }
        });
        let error = site.crm.check().await.expect_err("not let in");
        assert!(matches!(error, CrmError::NoAccess(_)) && chain(&error).contains(what), "{error:?}");
        assert!(!chain(&error).contains("old"));
    }
}

#[tokio::test]
async fn a_tenant_that_moved_is_found_again() {
    let site = Site::new();
    site.server.generate(2_000);
    let all = site.all_persons().await.expect("read");
    site.server.move_tenant();
    assert_eq!(site.all_persons().await.expect("read"), all);
    assert_eq!(site.server.count("api/state/"), 2);
    assert_eq!(site.server.requests().iter().filter(|seen| seen.status == 421).count(), 1);
    // The answer is not good for ever, even where nothing is wrong.
    site.clock.pass(1_000);
    site.crm.person("1").await.expect("answered");
    assert_eq!(site.server.count("api/state/"), 3);
    site.server.misbehave("GET Person", 9, Misbehaviour::Answer { status: 421, retry_after: None });
    let error = site.crm.person("1").await.expect_err("nowhere");
    assert!(is_unavailable(&error, false), "{error:?}");
}

#[tokio::test]
async fn a_tenant_at_rest_is_waited_for_and_a_deleted_one_is_not() {
    let site = Site::new();
    site.server.set_state("OfflineMaintenance", false);
    match site.crm.check().await.expect_err("at rest") {
        CrmError::Unavailable { retry_after: Some(300), may_have_happened: false, source } => {
            assert!(source.to_string().contains("OfflineMaintenance"), "{source}");
        }
        other => panic!("{other:?}"),
    }
    site.server.set_state("Deleted", false);
    assert!(matches!(site.crm.check().await, Err(CrmError::NoAccess(_))));
    site.server.set_state("OnlineMaintenance", true);
    site.crm.check().await.expect("reached");
}

#[tokio::test]
async fn requests_go_nowhere_else() {
    let elsewhere = stand_in::SuperOffice::start();
    let site = Site::new();
    let url = format!("{}/online1/{}/api/v1/User/currentPrincipal", elsewhere.url(), stand_in::TENANT);
    site.server.misbehave("currentPrincipal", 1, Misbehaviour::Redirect(url));
    let error = site.crm.check().await.expect_err("redirected");
    assert!(is_unavailable(&error, false) && chain(&error).contains("redirects elsewhere"), "{error:?}");
    assert_eq!(elsewhere.requests().len(), 0, "no redirect is followed, no token handed over");

    for url in ["https://superoffice.com.example.com/api", "https://10.0.0.1/api", "http://online.superoffice.com/api"]
    {
        let site = Site::new();
        site.server.set_api(url);
        let error = site.crm.check().await.expect_err("elsewhere");
        assert!(matches!(error, CrmError::NoAccess(_)), "{error:?}");
        assert!(!site.server.requests().iter().any(|seen| seen.path.contains("oauth")), "no token is asked for it");
    }
    let mut settings = site.settings.clone();
    settings.allow_hosts.clear();
    let refused = SuperOffice::new(settings, site.clock.clone(), Arc::new(MemoryTokens::default()));
    assert!(matches!(refused.err(), Some(SettingsError::LoginUrl(_))));
}
