//! The command line as scripts use it: exit statuses, JSON, and help.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::{Mode, Site, note};

/// What every line of `ingest parse` has.
const KEYS: [&str; 15] = [
    "provider",
    "event_id",
    "kind",
    "message_id",
    "recipient",
    "occurred_at",
    "bounce_class",
    "smtp_code",
    "enhanced_code",
    "diagnostic",
    "url",
    "machine",
    "campaign",
    "tags",
    "metadata",
];

const PROVIDERS: [&str; 15] = [
    "brevo",
    "generic",
    "mailersend",
    "mailgun",
    "mailjet",
    "mailtrap",
    "mandrill",
    "postal",
    "postmark",
    "resend",
    "scaleway",
    "sendgrid",
    "ses",
    "sparkpost",
    "unisender",
];

/// Payloads of these names hold no event: mails that came in, handshakes, and signatures without what they sign.
const NO_EVENTS: [&str; 7] = ["inbound", "incoming", "received", "ping", "confirmation", "signatures", "kinds-unknown"];

fn site() -> Site {
    Site::new(Mode::Sqlite).expect("SQLite is always there")
}

/// Runs a command with this on its standard input.
pub fn with_input(command: &mut Command, input: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn status(command: &mut Command) -> Option<i32> {
    command.output().expect("the program starts").status.code()
}

/// The payloads of a provider among the fixtures of the connectors, as it would post them.
fn payloads(provider: &str) -> Vec<(PathBuf, String, &'static str)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors/fixtures").join(provider);
    let files = std::fs::read_dir(&folder).expect("a folder of fixtures").map(|entry| entry.expect("an entry").path());
    let json = files.filter(|file| file.extension().is_some_and(|end| end == "json" || end == "jsonl"));
    let posted = json.map(|file| {
        let text = std::fs::read_to_string(&file).expect("a text");
        if provider == "mandrill" {
            let form =
                url::form_urlencoded::Serializer::new(String::new()).append_pair("mandrill_events", &text).finish();
            return (file, form, "application/x-www-form-urlencoded");
        }
        (file, text, "application/json")
    });
    let mut posted: Vec<_> = posted.collect();
    posted.sort();
    posted
}

#[test]
fn every_provider_is_parsed() {
    let site = site();
    for provider in PROVIDERS {
        let mut events = 0;
        for (file, body, content_type) in payloads(provider) {
            let arguments = ["ingest", "parse", "--provider", provider, "--content-type", content_type, "-"];
            let output = with_input(&mut site.command(arguments), &body);
            let name = file.file_stem().expect("a name").to_string_lossy();
            let lines: Vec<Value> = String::from_utf8_lossy(&output.stdout)
                .lines()
                .map(|line| {
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", file.display()))
                })
                .collect();
            let said = String::from_utf8_lossy(&output.stderr);
            if NO_EVENTS.iter().any(|word| name.contains(word)) {
                assert!(matches!(output.status.code(), Some(0 | 4)) && lines.is_empty(), "{}: {said}", file.display());
                continue;
            }
            assert!(output.status.success() && !lines.is_empty(), "{}: {said}", file.display());
            for line in &lines {
                assert!(KEYS.iter().all(|key| line.get(key).is_some()), "{}: {line}", file.display());
                assert_eq!(line["provider"], provider);
                assert!(line["tags"].is_array() && line["metadata"].is_object(), "{line}");
                let at = line["occurred_at"].as_str().expect("a time");
                assert!(at.ends_with('Z') && at.len() > 19, "{at}");
                let id = line["message_id"].as_str().unwrap_or_default();
                assert!(!id.contains(['<', '>']), "{id}");
            }
            events += lines.len();
        }
        assert!(events > 2, "{provider}");
    }
}

#[test]
fn parse_says_what_is_wrong_by_its_status() {
    let site = site();
    let file = format!("{}/connectors/fixtures/mailgun/delivered.json", env!("CARGO_MANIFEST_DIR"));
    let parse = |provider: &'static str, more: &[&'static str]| {
        status(site.command(["ingest", "parse", "--provider", provider]).args(more).arg(&file))
    };
    assert_eq!(parse("mailgun", &[]), Some(0));
    assert_eq!(parse("mailgun", &["--secret", "not the key", "--at", "2018-06-14T20:07:34Z"]), Some(3));
    assert_eq!(parse("mailgun", &["--basic-auth", "user:password"]), Some(3));
    assert_eq!(parse("sendgrid", &[]), Some(4));
    assert_eq!(parse("nonsense", &[]), Some(2));

    // The example of docs/GENERIC_WEBHOOK.md.
    let signed = |signature: &str| {
        let at = ["--header", "X-Nachfass-Timestamp: 1767225600", "--at", "2026-01-01T00:00:00Z"];
        let mut command = site.command(["ingest", "parse", "--provider", "generic", "--secret", "secret"]);
        command.args(at).args(["--header", &format!("X-Nachfass-Signature: {signature}")]);
        with_input(&mut command, "{\"type\":\"sent\"}").status.code()
    };
    assert_eq!(signed("13aa715d04c5baeb3da5f61bb73b69f95cc5f052b646d1e381cc8323b3e38c1a"), Some(0));
    assert_eq!(signed("13aa715d04c5baeb3da5f61bb73b69f95cc5f052b646d1e381cc8323b3e38c1b"), Some(3));

    let unknown =
        with_input(&mut site.command(["ingest", "parse", "--provider", "generic"]), "{\"type\":\"levitated\"}");
    let line: Value = serde_json::from_slice(&unknown.stdout).expect("JSON");
    assert_eq!(line["kind"], "OTHER");
}

#[test]
fn config_check_finds_what_is_wrong() {
    let site = site();
    assert_eq!(status(&mut site.command(["config", "check"])), Some(0));
    let defaults = site.run(["config", "default"]);
    site.write("nachfass.toml", &defaults);
    assert_eq!(status(&mut site.command(["config", "check"])), Some(0));

    site.write(
        "nachfass.toml",
        "listen = \"here\"\n\
         [[sources]]\nname = \"a b\"\nprovider = \"mailgun\"\n\
         [[sources]]\nname = \"fine\"\nprovider = \"postmark\"\nbasic_auth = [\"user:password\"]\n\
         [[sources]]\nname = \"fine\"\nprovider = \"generic\"\nsecrets = [\"a-secret-that-is-never-shown\"]\n",
    );
    let output = site.command(["config", "check", "--json"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(!text.contains("never-shown"));
    let findings: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let found = |key: &str| findings.iter().any(|finding| finding["key"] == key && finding["severity"] == "error");
    for key in ["listen", "sources[0].name", "sources[0].secrets", "sources[2].name"] {
        assert!(found(key), "{key}: {findings:?}");
    }
    assert!(
        findings.iter().all(|finding| finding["origin"] == "nachfass.toml" && finding["advice"].is_string()),
        "{findings:?}"
    );
    assert_eq!(status(&mut site.command(["run"])), Some(2), "it does not start with that");

    site.write("nachfass.toml", "lissten = \"127.0.0.1:8080\"\n");
    let output = site.command(["config", "check"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stdout).contains("lissten"));
    assert_eq!(status(&mut site.command(["config", "check", "--config", "missing.toml"])), Some(2));
}

#[test]
fn config_check_finds_everything_in_one_run() {
    let site = site();
    site.write("taken", "a file");
    site.write(
        "nachfass.toml",
        "listen = 8080\n\
         data_dir = \"taken\"\n\
         # a comment\n\
         lissten = \"127.0.0.1:8080\"\n\
         public_url = \"https://example.com/mail\"\n\
         \n\
         [worker]\n\
         concurrency = 0\n\
         \n\
         [[sources]]\n\
         name = \"shop\"\n\
         provider = \"sengrid\"\n\
         \n\
         [[sources]]\n\
         provider = \"postmark\"\n\
         basic_auth = \"hush\"\n",
    );
    let check = |arguments: &[&str]| {
        let output = site.command(["config", "check"]).args(arguments).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let text = check(&[]);
    for line in [
        "nachfass.toml:1: error: `listen`: ",
        "nachfass.toml:2: error: `data_dir`: ",
        "nachfass.toml:4: error: `lissten`: ",
        "nachfass.toml:5: error: `public_url`: ",
        "nachfass.toml:8: error: `worker.concurrency`: ",
        "nachfass.toml:12: error: `sources[0].provider`: ",
        "nachfass.toml:14: error: `sources[1].name`: ",
        "nachfass.toml:16: error: `sources[1].basic_auth`: ",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
    }
    assert_eq!(text.lines().count(), 8, "{text}");
    assert!(!text.contains("hush"), "{text}");
    let found: Vec<Value> = check(&["--json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(found.len(), 8);
    assert!(found.iter().all(|finding| finding["line"].is_u64() && finding["origin"] == "nachfass.toml"), "{found:?}");

    // What cannot be read at all is said in the same form, and a start says the same.
    site.write("nachfass.toml", "listen = \"127.0.0.1:1\"\nworker = = 1\n");
    assert!(check(&[]).starts_with("nachfass.toml:2: error: not valid TOML"), "{}", check(&[]));
    let broken: Value = serde_json::from_str(check(&["--json"]).trim_end()).expect("one object");
    assert!(broken["line"].is_u64() && broken["severity"] == "error", "{broken}");
    let missing: Value =
        serde_json::from_str(check(&["--config", "missing.toml", "--json"]).trim_end()).expect("one object");
    assert_eq!(missing["origin"], "missing.toml");
    let started = site.command(["run"]).output().expect("the program starts");
    assert!(String::from_utf8_lossy(&started.stderr).contains("nachfass.toml:2: error: "));
}

#[test]
fn values_of_a_list_are_shown_and_completed() {
    let site = site();
    for (command, values) in [
        (&["ingest", "parse", "--help"][..], &["sendgrid", "generic"][..]),
        (&["jobs", "list", "--help"][..], &["check-alerts", "canceled"][..]),
        (&["jobs", "run", "--help"][..], &["suggest-corrections", "sync-crm-complete"][..]),
        (&["token", "create", "--help"][..], &["viewer", "marketer", "admin"][..]),
        (&["user", "add", "--help"][..], &["viewer", "marketer", "admin"][..]),
        (&["worker", "--help"][..], &["events", "interactive", "bulk"][..]),
        (&["import", "--help"][..], &["draft", "sending", "sent"][..]),
    ] {
        let help = site.run(command.iter().copied());
        assert!(values.iter().all(|value| help.contains(value)), "{command:?}: {help}");
    }
    let script = site.run(["completions", "bash"]);
    for value in ["mailersend", "review-addresses", "interactive", "marketer"] {
        assert!(script.contains(value), "{value} is not completed");
    }
    // GraphQL's words are understood as well.
    assert_eq!(status(&mut site.command(["jobs", "list", "--kind", "CHECK_ALERTS", "--state", "QUEUED"])), Some(0));
    assert_eq!(status(&mut site.command(["jobs", "list", "--kind", "check_alerts"])), Some(0));
    let refused = site.command(["jobs", "run", "sync-crm"]).output().expect("the program starts");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no CRM is connected"));
    assert_eq!(site.run_json(["jobs", "run", "suggest-corrections", "--json"])["kind"], "SUGGEST_CORRECTIONS");
}

#[test]
fn the_schema_is_the_one_in_the_repository() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql");
    let schema = site().run(["schema"]);
    assert!(schema.contains("type CampaignStatistics"));
    match std::fs::read_to_string(file) {
        Ok(kept) => assert!(kept == schema, "schema.graphql is stale: make schema"),
        Err(_) => note("skipped: there is no schema.graphql"),
    }
}

#[test]
fn tokens_and_users_are_made() {
    let site = site();
    let token = site.run_json(["token", "create", "--name", "ci", "--role", "ADMIN", "--expires", "90d", "--json"]);
    assert_eq!(token["role"], "ADMIN", "{token}");
    assert!(
        token["id"].is_string()
            && token["token"].as_str().expect("a text").len() > 20
            && token["expiresAt"].is_string()
    );
    let eternal = site.run_json(["token", "create", "--name", "ci", "--role", "viewer", "--json"]);
    assert!(eternal["expiresAt"].is_null());
    assert_eq!(site.run(["token", "create", "--name", "ci", "--role", "viewer"]).lines().count(), 1);

    let add = |email: &str, password: &str| {
        let mut command = site.command(["user", "add"]);
        with_input(command.args([email, "--role", "marketer", "--json"]), password)
    };
    let made = add("Erika@kleinfirma.example", "correct horse battery\n");
    let user: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    assert!(user["id"].is_string() && user["role"] == "MARKETER", "{user}");
    assert_eq!(
        add("erika@kleinfirma.example", "correct horse battery\n").status.code(),
        Some(1),
        "there is one already"
    );
    assert_eq!(add("other@kleinfirma.example", "short\n").status.code(), Some(1));
    assert_eq!(add("nobody", "correct horse battery\n").status.code(), Some(1));
}

#[test]
fn an_import_says_what_it_could_not_take() {
    let site = site();
    let import = |file: &str| {
        site.command(["import", "--campaign", "spring", "--json", file]).output().expect("the program starts")
    };
    assert_eq!(import("missing.csv").status.code(), Some(1));
    site.write("nobody.csv", "colour,shape\nred,round\n");
    let nobody = import("nobody.csv");
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("email"), "{}", String::from_utf8_lossy(&nobody.stderr));

    // Windows-1252, semicolons, a double, an address that is none, and a line that is none.
    site.write(
        "list.csv",
        b"E-Mail;Name\r\nada@alpha.example;J\xfcrgen\r\nADA@alpha.example;x\r\nnope;x\r\n\"open;x\r\n",
    );
    let done = import("list.csv");
    assert!(done.status.success());
    let result: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    let count = |key: &str| result[key].as_i64().unwrap_or_else(|| panic!("{key}: {result}"));
    assert_eq!([count("read"), count("imported"), count("skipped"), count("rejected")], [4, 1, 2, 1]);
    assert!(result["campaignId"].is_string() && result["unchanged"] == 0);
    let report = site.folder().join(result["report"].as_str().expect("a report"));
    let report = std::fs::read_to_string(report).expect("a text");
    assert!(report.lines().nth(1).expect("a line").starts_with("5,"), "{report}");

    let lines = "{\"email\": \"bob@beta.example\", \"name\": \"Bob\"}\n";
    let piped = with_input(&mut site.command(["import", "--campaign", "piped", "--json", "-"]), lines);
    let result: Value = serde_json::from_slice(&piped.stdout).expect("JSON");
    assert_eq!((&result["imported"], &result["report"]), (&json!(1), &Value::Null));
}

#[test]
fn jobs_are_called_off_and_tried_again() {
    let site = site();
    // An import leaves a job behind that matches events with its recipients, and one that settles these; nothing runs that would do it.
    with_input(&mut site.command(["import", "--campaign", "spring", "-"]), "email\nada@alpha.example\n");
    let listed = site.run_json(["jobs", "list", "--kind", "rematch", "--json"]);
    assert_eq!(
        (&listed["kind"], &listed["state"], &listed["attempts"]),
        (&json!("REMATCH"), &json!("QUEUED"), &json!(0))
    );
    // Its id in the API names it, and so does its number.
    let (id, number) = (listed["id"].as_str().expect("an id"), listed["number"].to_string());
    let show = site.run(["jobs", "show", &number]);
    assert!(show.contains(id) && show.contains("payload") && show.contains("REMATCH"), "{show}");
    let table = site.run(["jobs", "list"]);
    assert!(table.lines().next().is_some_and(|line| line.contains("ID") && line.contains("STATE")), "{table}");
    assert_eq!(status(&mut site.command(["jobs", "retry", id])), Some(1), "it waits already");
    assert_eq!(site.run_json(["jobs", "cancel", id, "--json"])["state"], "CANCELED");
    assert_eq!(
        site.run_json(["jobs", "list", "--state", "canceled", "--kind", "rematch", "--json"])["id"],
        listed["id"]
    );
    assert_eq!(status(&mut site.command(["jobs", "cancel", id])), Some(1), "it is over");
    assert_eq!(site.run_json(["jobs", "retry", id, "--json"])["state"], "QUEUED");
    assert_eq!(site.run_json(["jobs", "show", &number, "--json"])["state"], "QUEUED");
    assert_eq!(status(&mut site.command(["jobs", "show", "99"])), Some(1));
    assert_eq!(status(&mut site.command(["jobs", "list", "--state", "lost"])), Some(2));
}

#[test]
fn the_database_is_brought_up_to_date() {
    let site = site();
    let pending = site.run_json(["migrate", "status", "--json"]);
    assert!(!pending["pending"].as_array().expect("a list").is_empty());
    let applied = site.run_json(["migrate", "--json"]);
    assert_eq!(applied["applied"], pending["pending"]);
    assert_eq!(site.run_json(["migrate", "status", "--json"])["pending"], json!([]));
    assert_eq!(site.run_json(["recount", "--json"])["different"], 0);
    assert_eq!(status(&mut site.command(["recount", "--campaign", "nobody"])), Some(1));
    assert_eq!(status(&mut site.command(["healthcheck"])), Some(1), "nothing runs");
}

#[test]
fn wrong_usage_is_told_from_failure() {
    let site = site();
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["import"],
        &["import", "--campaign", "spring", "--state", "lost", "x.csv"],
        &["token", "create", "--name", "x", "--role", "king"],
        &["worker", "--queues", "supermarket"],
        &["run", "--listen"],
    ] {
        assert_eq!(status(&mut site.command(arguments.iter().copied())), Some(2), "{arguments:?}");
    }
    for part in ["api", "worker"] {
        let output = site.command([part]).output().expect("the program starts");
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("REDIS_URL"), "it says what it needs");
    }
}

/// The commands that a help page lists.
fn subcommands(help: &str) -> Vec<&str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Deeper lines go on with a description.
    let commands = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

#[test]
fn every_command_shows_examples() {
    fn check(site: &Site, command: &[&str]) -> usize {
        let help = site.run(command.iter().copied().chain(["--help"]));
        let example = format!("nachfass {}", command.join(" "));
        let examples = help.split_once("Example").map(|(_, examples)| examples);
        assert!(
            examples.is_some_and(|examples| examples.contains(example.trim_end())),
            "{command:?} shows no example:\n{help}"
        );
        subcommands(&help).into_iter().map(|name| check(site, &[command, &[name]].concat())).sum::<usize>() + 1
    }
    assert!(check(&site(), &[]) >= 20);
}

#[test]
fn completions_know_every_command() {
    let site = site();
    let help = site.run(["--help"]);
    for shell in ["bash", "zsh", "fish"] {
        let script = site.run(["completions", shell]);
        assert!(subcommands(&help).iter().all(|name| script.contains(name)), "{shell}");
    }
}
