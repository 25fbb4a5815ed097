//! Layers, mistakes and findings.

use std::ffi::OsString;

use super::*;

/// A configuration from a file's text and some variables.
fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, file).expect("written");
    let variables = environment.iter().map(|(name, text)| (OsString::from(name), OsString::from(text)));
    Config::load_from(Some(&path), variables)
}

/// The message that a file ends with.
fn refusal(file: &str) -> String {
    load(file, &[]).expect_err("refused").to_string()
}

/// The findings of a file, as severity and key.
fn findings(file: &str) -> Vec<(Severity, String)> {
    load(file, &[]).expect("readable").check().into_iter().map(|finding| (finding.severity, finding.key)).collect()
}

fn error(key: &str) -> Vec<(Severity, String)> {
    vec![(Severity::Error, key.to_owned())]
}

fn warning(key: &str) -> Vec<(Severity, String)> {
    vec![(Severity::Warning, key.to_owned())]
}

/// A source with further lines.
fn source(provider: &str, lines: &str) -> String {
    format!("[[sources]]\nname = \"one\"\nprovider = \"{provider}\"\n{lines}\n")
}

#[test]
fn the_defaults_alone_work() {
    let config = Config::load_from(None, []).expect("the compiled-in file is complete");
    assert_eq!(config.check(), []);
    assert_eq!(config.database_url().expose(), "sqlite://nachfass-data/nachfass.sqlite?mode=rwc");
    assert_eq!((config.log_format, config.worker.concurrency.get()), (LogFormat::Auto, 4));
    assert_eq!(config.origin("listen"), None);
}

#[test]
fn the_sources_of_the_commented_defaults_are_readable() {
    let lines = DEFAULT.lines().skip_while(|line| *line != "# [[sources]]");
    let example: String = lines.map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
    let config = load(&example, &[]).expect("an example that works");
    assert_eq!(config.sources.len(), 1);
    let bare = load(&source("ses", ""), &[]).expect("ok").sources.remove(0);
    assert_eq!(config.sources[0].campaign_keys, bare.campaign_keys);
    assert_eq!(config.sources[0].recipient_keys, bare.recipient_keys);
    assert_eq!(config.sources[0].create, bare.create);
    for provider in domain::Provider::ALL {
        assert!(DEFAULT.contains(provider.name()), "{provider} is not in the commented defaults");
    }
}

#[test]
fn later_layers_win() {
    let file = "listen = \"127.0.0.1:1\"\ndata_dir = \"from-file\"\n[worker]\nconcurrency = 2\n";
    let config = load(file, &[("NACHFASS_LISTEN", "127.0.0.1:2"), ("NACHFASS_WORKER__CONCURRENCY", "7")]).expect("ok");
    assert_eq!(config.listen, "127.0.0.1:2");
    assert_eq!(config.data_dir, Path::new("from-file"));
    assert_eq!(config.worker.concurrency.get(), 7);
    assert_eq!(config.origin("listen"), Some("the environment variable NACHFASS_LISTEN"));
    assert_eq!(config.origin("worker.concurrency"), Some("the environment variable NACHFASS_WORKER__CONCURRENCY"));
    assert!(config.origin("data_dir").expect("the file").ends_with(FILE_NAME));
}

#[test]
fn our_own_variable_wins_over_its_alias_and_both_over_the_file() {
    let file = "database_url = \"postgres://file/x\"\nredis_url = \"redis://file\"";
    let alias = ("DATABASE_URL", "postgres://alias/x");
    let own = ("NACHFASS_DATABASE_URL", "postgres://own/x");
    for environment in [[alias, own], [own, alias]] {
        assert_eq!(load(file, &environment).expect("ok").database_url().expose(), "postgres://own/x");
    }
    assert_eq!(load(file, &[alias]).expect("ok").database_url().expose(), "postgres://alias/x");
    assert!(load(file, &[("REDIS_URL", "")]).expect("ok").redis_url.is_empty());
}

#[test]
fn a_variable_is_read_as_the_kind_its_default_has() {
    let environment = [
        ("NACHFASS_SECRET_KEY", "12345"),
        ("NACHFASS_LOG", "true"),
        ("NACHFASS_DATABASE_MAX_CONNECTIONS", "3"),
        ("NACHFASS_SOURCES", r#"[{ name = "a", provider = "ses", topics = ["arn:aws:sns:eu:1:t"] }]"#),
    ];
    let config = load("", &environment).expect("ok");
    assert_eq!((config.secret_key.expose(), config.log.as_str()), ("12345", "true"));
    assert_eq!((config.database_max_connections.get(), config.sources.len()), (3, 1));
}

#[test]
fn variables_that_are_no_configuration_are_left_alone() {
    let environment = [
        ("NACHFASS_TEST_POSTGRES", "postgres://x"),
        ("NACHFASS_SERVICE_HOST", "10.0.0.1"),
        ("NACHFASS_PORT", "tcp://10.0.0.1:80"),
        ("NACHFASS_API_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    assert!(load("", &environment).is_ok());
}

#[test]
fn a_typo_is_named_with_its_place_and_what_was_meant() {
    let message = refusal("databse_url = \"\"");
    assert!(
        message.contains(FILE_NAME) && message.contains("no key `databse_url`; did you mean `database_url`?"),
        "{message}"
    );
    let message = refusal("[worker]\nconcurency = 3");
    assert!(message.contains("no key `worker.concurency`; did you mean `concurrency`?"), "{message}");
    let message = refusal(&source("ses", "topic = []"));
    assert!(message.contains("no key `sources[0].topic`; did you mean `topics`?"), "{message}");
    let message = refusal(&source("sengrid", ""));
    assert!(message.contains("`sources[0].provider`: \"sengrid\" is not known; did you mean `sendgrid`?"), "{message}");
    let message = refusal("[[sources]]\nname = \"a\"");
    assert!(message.contains("`sources[0].provider` is missing"), "{message}");
    let message = load("", &[("NACHFASS_DATABSE_URL", "x")]).expect_err("refused").to_string();
    assert!(message.starts_with("the environment variable NACHFASS_DATABSE_URL: "), "{message}");
    assert!(refusal("fruit = 1").contains("known are listen, public_url"));
}

#[test]
fn values_of_the_wrong_kind_are_explained() {
    assert!(refusal("listen = 8080").ends_with("`listen`: expected a text, found a whole number"));
    assert!(refusal("worker = 3").ends_with("`worker`: expected a table, found a whole number"));
    let message = refusal("[worker]\nconcurrency = 0");
    assert!(message.ends_with("`worker.concurrency`: not acceptable; expected a whole number from 1"), "{message}");
    assert!(refusal("\nlisten = \"x").contains("line 2, column "));
    let missing = Config::load(Some(Path::new("/nowhere/nachfass.toml"))).expect_err("refused");
    assert!(missing.to_string().contains("/nowhere/nachfass.toml"));
}

#[test]
fn no_secret_is_shown() {
    let broken = [
        "secret_key = \"hush".to_owned(),
        "secret_key = hush".to_owned(),
        "secret_key = [\"hush\"]".to_owned(),
        source("mailgun", "secrets = \"hush\""),
        source("mailgun", "basic_auth = \"hush\""),
        "worker = \"hush\"".to_owned(),
    ];
    for file in broken {
        let error = load(&file, &[]).expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    }
    let secrets = "secret_key = \"hush\"\ndatabase_url = \"mysql://a:hush@b/c\"\nredis_url = \"http://hush@b\"\n";
    let config = load(&format!("{secrets}{}", source("mailgun", "basic_auth = [\"hush\"]")), &[]).expect("readable");
    let findings = config.check();
    assert_eq!(findings.len(), 5, "{findings:#?}");
    assert!(!format!("{config:?} {findings:?} {:?}", config.secret_key()).contains("hush"));
}

#[test]
fn addresses_are_judged() {
    assert_eq!(findings("listen = \"localhost\""), error("listen"));
    assert_eq!(findings("public_url = \"nachfass.example.com\""), error("public_url"));
    assert_eq!(findings("public_url = \"ftp://example.com\""), error("public_url"));
    assert_eq!(findings("public_url = \"https://example.com/?a=b\""), error("public_url"));
    assert_eq!(findings("public_url = \"http://example.com\""), warning("public_url"));
    assert_eq!(findings("public_url = \"http://[::1]:8080\""), []);
    assert_eq!(findings("public_url = \"https://example.com/follow-up/\""), error("public_url"));
    let config = load("public_url = \"https://example.com/\"", &[]).expect("ok");
    assert_eq!((config.public_url.as_str(), config.check().len()), ("https://example.com", 0));
}

#[test]
fn origins_are_judged() {
    let of = |list: &str| findings(&format!("allow_origins = {list}"));
    assert_eq!(of("[\"https://app.example.com\", \"http://localhost:5173\", \"https://[::1]:8443\"]"), []);
    assert_eq!(of("[\"http://app.example.com\"]"), warning("allow_origins[0]"));
    for (wrong, advice) in [
        ("*", "list each origin"),
        ("null", "for example https://app.example.com"),
        ("app.example.com", "for example https://app.example.com"),
        ("localhost:5173", "for example https://app.example.com"),
        ("ftp://app.example.com", "for example https://app.example.com"),
        ("https://app.example.com/", "write https://app.example.com"),
        ("https://app.example.com/mail?x=y", "write https://app.example.com"),
        ("https://App.example.com:443", "write https://app.example.com"),
        ("https://*.example.com", "list each origin"),
    ] {
        let found =
            load(&format!("allow_origins = [\"https://a.example\", {wrong:?}]"), &[]).expect("readable").check();
        assert_eq!(found.len(), 1, "{wrong}");
        assert_eq!((found[0].severity, found[0].key.as_str()), (Severity::Error, "allow_origins[1]"), "{wrong}");
        assert!(found[0].advice.contains(advice), "{wrong}: {}", found[0].advice);
    }
}

#[test]
fn database_redis_and_key_are_judged() {
    assert_eq!(findings("database_url = \"mysql://a/b\""), error("database_url"));
    assert_eq!(findings("database_url = \"postgres://a:p/w@b/c\""), error("database_url"));
    assert_eq!(findings("database_url = \"sqlite::memory:\""), []);
    assert_eq!(findings("redis_url = \"redis://localhost\""), warning("redis_url"));
    let postgres = "database_url = \"postgresql://a/b\"\n";
    assert_eq!(findings(&format!("{postgres}redis_url = \"localhost:6379\"")), error("redis_url"));
    assert_eq!(findings(&format!("{postgres}redis_url = \"rediss://localhost\"")), []);
    assert_eq!(findings("secret_key = \"c2hvcnQ=\""), error("secret_key"));
    assert_eq!(findings("secret_key = \"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\""), []);
}

#[test]
fn a_key_open_to_everybody_is_found() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).expect("changed");
    let file = folder.path().join(SecretKey::FILE_NAME);
    std::fs::write(&file, "").expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("changed");
    assert_eq!(findings(&format!("data_dir = {:?}", folder.path())), warning("data_dir"));
}

#[test]
fn a_misspelt_level_is_found() {
    assert_eq!(findings("log = \"inof\""), warning("log"));
    assert_eq!(findings("log = \"info,worker=loud\""), error("log"));
    assert_eq!(findings("log = \"WARN,worker=debug,api::graphql=trace\""), []);
}

#[test]
fn channels_for_alerts_are_whole_or_off() {
    let alerts = |lines: &str| findings(&format!("[alerts]\n{lines}"));
    let webhook = "webhook_url = \"https://hooks.example.com/x\"\n";
    assert_eq!(alerts(&format!("{webhook}webhook_secret = \"s\"")), []);
    assert_eq!(alerts(webhook), error("alerts.webhook_secret"));
    assert_eq!(alerts("webhook_secret = \"s\""), warning("alerts.webhook_secret"));
    for url in ["http://hooks.example.com", "ftp://hooks.example.com", "hooks"] {
        let lines = format!("webhook_url = {url:?}\nwebhook_secret = \"s\"");
        assert_eq!(alerts(&lines), error("alerts.webhook_url"), "{url}");
    }
    assert_eq!(alerts("webhook_url = \"http://127.0.0.1:9\"\nwebhook_secret = \"s\""), []);

    let mail =
        |to: &str, from: &str, url: &str| alerts(&format!("mail_to = {to}\nmail_from = {from:?}\nsmtp_url = {url:?}"));
    let (to, from, url) = ("[\"a@example.com\"]", "nachfass <n@example.com>", "smtps://u:p@mail.example.com");
    assert_eq!(mail(to, from, url), []);
    assert_eq!(mail("[]", from, url), error("alerts.mail_to"));
    assert_eq!(mail(to, "", url), error("alerts.mail_from"));
    assert_eq!(mail(to, from, ""), error("alerts.smtp_url"));
    assert_eq!(mail(to, "nobody", url), error("alerts.mail_from"));
    assert_eq!(mail("[\"a@example.com\", \"b\"]", from, url), error("alerts.mail_to[1]"));
    assert_eq!(mail(to, from, "https://mail.example.com"), error("alerts.smtp_url"));
    assert_eq!(mail(to, from, "mail.example.com"), error("alerts.smtp_url"));
}

#[test]
fn secrets_of_alerts_do_not_show() {
    let file = "[alerts]\nwebhook_url = \"https://hooks.example.com/hush\"\nwebhook_secret = \"hush\"\n\
        mail_to = [\"a@example.com\"]\nmail_from = \"n@example.com\"\nsmtp_url = \"smtps://u:hush@mail.example.com\"";
    let config = load(file, &[("NACHFASS_ALERTS__WEBHOOK_SECRET", "hush hush")]).expect("ok");
    assert!(!format!("{config:?}").contains("hush"));
    let channels = config.notifier();
    assert_eq!(channels.webhook.map(|webhook| webhook.secret).as_deref(), Some("hush hush"));
    assert_eq!(channels.mail.map(|mail| mail.to.len()), Some(1));
    let off = load("", &[]).expect("ok").notifier();
    assert!(off.webhook.is_none() && off.mail.is_none());
}

#[test]
fn times_are_judged() {
    assert_eq!(findings("[schedule]\ntime_zone = \"Berlin\""), error("schedule.time_zone"));
    assert_eq!(findings("[schedule]\ntime_zone = \"America/New_York\""), []);
    assert_eq!(findings("[retention]\nevents = 30"), error("retention.events"));
    assert_eq!(findings("[retention]\nevents = 0"), []);
    assert_eq!(
        load("", &[]).expect("ok").retention,
        Retention::default(),
        "the commented defaults are those of the code"
    );
}

#[test]
fn the_board_is_for_admins_alone() {
    let services = "database_url = \"postgresql://a/b\"\nredis_url = \"redis://localhost\"\n";
    assert_eq!(findings(&format!("{services}board_listen = \"127.0.0.1:8081\"")), []);
    assert_eq!(findings(&format!("{services}board_listen = \"0.0.0.0:8081\"")), warning("board_listen"));
    assert_eq!(findings(&format!("{services}board_listen = \"8081\"")), error("board_listen"));
    assert_eq!(findings("board_listen = \"127.0.0.1:8081\""), error("board_listen"));
}

#[test]
fn a_source_must_be_able_to_tell_its_provider_from_others() {
    assert_eq!(findings(&source("mailgun", "")), error("sources[0].secrets"));
    assert_eq!(findings(&source("mailgun", "secrets = [\"s\"]")), []);
    assert_eq!(findings(&source("mailgun", "basic_auth = [\"u:p\"]")), []);
    assert_eq!(findings(&source("mailgun", "insecure = true")), warning("sources[0].insecure"));
    assert_eq!(findings(&source("mailgun", "secrets = [\"\"]")), error("sources[0].secrets"));
    assert_eq!(findings(&source("mailgun", "basic_auth = [\"u\"]")), error("sources[0].basic_auth"));
    assert_eq!(findings(&source("mailgun", "basic_auth = [\"u:\"]")), error("sources[0].basic_auth"));
    assert_eq!(findings(&source("mandrill", "secrets = [\"s\"]\nurl = \"here\"")), error("sources[0].url"));
}

#[test]
fn amazon_needs_topics_or_a_password() {
    assert_eq!(findings(&source("ses", "")), error("sources[0].topics"));
    assert_eq!(findings(&source("ses", "secrets = [\"s\"]")), error("sources[0].topics"));
    assert_eq!(findings(&source("ses", "basic_auth = [\"u:p\"]")), warning("sources[0].topics"));
    assert_eq!(findings(&source("ses", "topics = [\"arn:aws:sns:eu-west-1:1:mail\"]")), []);
    assert_eq!(findings(&source("ses", "topics = [\"mail\"]")), warning("sources[0].topics"));
    assert_eq!(findings(&source("mailgun", "secrets = [\"s\"]\ntopics = [\"x\"]")), warning("sources[0].topics"));
}

#[test]
fn names_are_parts_of_a_url_and_their_own() {
    let two = source("mailgun", "secrets = [\"s\"]").repeat(2);
    assert_eq!(findings(&two), error("sources[1].name"));
    for name in ["", "a b", "a/b", "ä"] {
        assert_eq!(
            findings(&source("mailgun", "secrets = [\"s\"]").replace("one", name)),
            error("sources[0].name"),
            "{name}"
        );
    }
}

#[test]
fn a_finding_says_where_what_and_what_to_do() {
    let found = load("", &[("NACHFASS_LISTEN", "here")]).expect("readable").check();
    let message = found[0].to_string();
    let expected =
        "the environment variable NACHFASS_LISTEN: error: `listen`: \"here\" is not an IP address and a port: write ";
    assert!(message.starts_with(expected), "{message}");
    let found = load(&source("mailgun", ""), &[]).expect("readable").check();
    assert!(found[0].origin.as_deref().is_some_and(|origin| origin.ends_with(FILE_NAME)));
}

#[test]
fn a_store_for_files_is_judged() {
    let storage = |lines: &str| findings(&format!("[storage]\n{lines}\n"));
    assert_eq!(storage("url = \"s3://bucket/prefix\""), []);
    assert_eq!(
        storage(
            "url = \"s3://bucket\"\nendpoint = \"https://s3.example.com\"\naccess_key_id = \"a\"\nsecret_access_key = \"b\""
        ),
        []
    );
    assert_eq!(storage("url = \"s3://\""), error("storage.url"));
    assert_eq!(storage("url = \"gs://bucket\""), error("storage.url"));
    assert_eq!(storage("url = \"s3://bucket\"\naccess_key_id = \"a\""), error("storage.secret_access_key"));
    assert_eq!(storage("url = \"s3://bucket\"\nsecret_access_key = \"a\""), error("storage.access_key_id"));
    assert_eq!(storage("url = \"s3://bucket\"\nendpoint = \"http://minio:9000\""), error("storage.endpoint"));
    assert_eq!(storage("url = \"s3://bucket\"\nendpoint = \"http://minio:9000\"\nallow_http = true"), []);
    assert_eq!(storage("url = \"s3://bucket\"\nendpoint = \"https://id:key@minio:9000\""), error("storage.endpoint"));
    assert_eq!(storage("url = \"s3://bucket\"\nendpoint = \"minio:9000\""), error("storage.endpoint"));
    assert_eq!(storage("endpoint = \"https://s3.example.com\""), warning("storage.endpoint"));
}

#[test]
fn no_message_shows_the_key_of_a_store() {
    let config = load("[storage]\nurl = \"s3://bucket\"\nsecret_access_key = \"hidden\"", &[]).expect("readable");
    let shown = format!("{config:?} {:?}", config.check());
    assert!(!shown.contains("hidden"), "{shown}");
    let config = load("", &[("NACHFASS_STORAGE__SECRET_ACCESS_KEY", "1234567")]).expect("digits are a text here");
    assert_eq!(config.storage.secret_access_key.expose(), "1234567");
}

#[test]
fn a_store_opens_where_it_is_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = load("", &[]).expect("the defaults");
    config.storage.open(folder.path()).expect("a folder");
    assert!(folder.path().join("exports").is_dir());
    assert_eq!((config.exports.url_hours.get(), config.exports.keep_days.get()), (24, 7));
}

/// SuperOffice, with further lines.
fn superoffice(lines: &str) -> String {
    let kept = ["login_url", "tenant", "auth", "refresh_token", "client_secret"];
    let kept = kept.into_iter().filter(|key| !lines.lines().any(|line| line.starts_with(&format!("{key} ="))));
    let kept: String = kept
        .map(|key| match key {
            "login_url" => "login_url = \"https://sod.superoffice.com\"\n".to_owned(),
            "tenant" => "tenant = \"Cust1\"\n".to_owned(),
            "auth" => "auth = \"refresh_token\"\n".to_owned(),
            key => format!("{key} = \"hush\"\n"),
        })
        .collect();
    format!("[crm]\nkind = \"superoffice\"\n[crm.superoffice]\nclient_id = \"c\"\n{kept}{lines}\n")
}

#[test]
fn a_crm_is_described_completely_or_not_at_all() {
    let judged = |lines: &str| findings(&superoffice(lines));
    assert_eq!(judged(""), []);
    assert_eq!(judged("tenant = \"\""), error("crm.superoffice.tenant"));
    assert_eq!(judged("tenant = \"Cust1/../x\""), error("crm.superoffice.tenant"));
    assert_eq!(judged("refresh_token = \"\""), error("crm.superoffice.refresh_token"));
    assert_eq!(judged("client_secret = \"\""), error("crm.superoffice.client_secret"));
    let missing = judged("auth = \"system_user\"").into_iter().map(|(_, key)| key).collect::<Vec<_>>();
    assert_eq!(missing, ["crm.superoffice.system_user_token", "crm.superoffice.private_key"]);
    let system = |key: &str| format!("auth = \"system_user\"\nsystem_user_token = \"t\"\nprivate_key = '''{key}'''");
    assert_eq!(judged(&system("no key")), error("crm.superoffice.private_key"));
    assert_eq!(judged(&system(crm_testing::superoffice::PRIVATE_KEY)), []);
    assert_eq!(judged("login_url = \"https://superoffice.example.com\""), error("crm.superoffice.login_url"));
    assert_eq!(judged("login_url = \"http://online.superoffice.com\""), error("crm.superoffice.login_url"));
    assert_eq!(judged("login_url = \"online\""), error("crm.superoffice.login_url"));
    let own = "login_url = \"https://crm.example.com\"\nallow_hosts = [\"crm.example.com\"]";
    assert_eq!(judged(own), []);
    assert_eq!(judged("allow_hosts = [\"https://crm.example.com\"]"), error("crm.superoffice.allow_hosts[0]"));
    assert_eq!(judged("language = \"\""), error("crm.superoffice.language"));
    assert_eq!(findings("[crm]\nsync_every = \"often\""), error("crm.sync_every"));
    assert_eq!(findings("[crm]\nsync_every = \"10s\""), error("crm.sync_every"));
    assert_eq!(findings("[crm.superoffice]\ntenant = \"Cust1\""), warning("crm.kind"));
    assert!(refusal("[crm]\nkind = \"superofice\"").contains("did you mean `superoffice`?"));
    assert!(refusal("[crm.superoffice]\nrequests_per_second = 0").contains("a whole number from 1"));
}

#[test]
fn a_crm_is_reached_as_configured_and_its_secrets_do_not_show() {
    let config = load("", &[]).expect("ok");
    assert!(config.crm().is_none());
    assert_eq!(config.crm.sync_every(), std::time::Duration::from_secs(900));
    let file = superoffice("webhook_secret = \"hush\"\nrequests_per_second = 3");
    let environment = [("NACHFASS_CRM__SUPEROFFICE__REFRESH_TOKEN", "1234"), ("NACHFASS_CRM__SYNC_EVERY", "2h")];
    let config = load(&file, &environment).expect("ok");
    assert_eq!(config.check(), []);
    assert!(!format!("{config:?}").contains("hush"));
    let settings = config.crm().expect("SuperOffice");
    assert_eq!((settings.tenant.as_str(), settings.requests_per_second.get()), ("Cust1", 3));
    assert_eq!((settings.client_secret.as_str(), settings.webhook_secret.as_deref()), ("hush", Some("hush")));
    let token = connectors::crm::superoffice::Credentials::RefreshToken("1234".to_owned());
    assert_eq!(settings.credentials, token);
    assert_eq!(config.crm.sync_every(), std::time::Duration::from_secs(7_200));
    let stand_in = crm_testing::superoffice::SuperOffice::start();
    assert_eq!(findings(&stand_in.toml(50)), [], "what tests connect to is a configuration like others");
}
