//! The program and a CRM outside: a stand-in of SuperOffice that keeps persons, selections and tasks, and counts what it is asked.
//!
//! `NACHFASS_TEST_CRM=100000` has as many persons in it; without it there are fewer, so that the tests are quick.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crm_testing::superoffice::SuperOffice;
use domain::crm::ListKind;
use serde_json::{Value, json};

use crate::harness::{Api, Running, Site, within};

in_mode!(on_sqlite, Sqlite: it_says_as_whom_the_crm_is_reached);
in_mode!(on_postgres, Postgres: persons_are_read_within_little_memory_and_then_only_what_changed);
in_mode!(in_processes, Split: everybody_gets_on_the_selection_once_however_often_workers_die);

/// As long as everything together may take.
const PATIENCE: Duration = Duration::from_secs(1_200);

/// So many persons are in the CRM.
fn persons(usually: i64) -> i64 {
    std::env::var("NACHFASS_TEST_CRM").map_or(usually, |count| count.parse().expect("a number"))
}

async fn it_says_as_whom_the_crm_is_reached(site: Site) {
    let crm = SuperOffice::start();
    crm.generate(3);
    let site = site.with_more(&crm.toml(100));
    let account = site.run_json(["crm", "check", "--json"]);
    assert!(account["crm"].as_str().expect("a text").contains("Cust12345"), "{account}");
    let rights = account["rights"].as_array().expect("a list");
    assert!(rights.iter().any(|right| right["allowed"] == true), "{account}");
    for right in rights.iter().filter(|right| right["allowed"] != true) {
        assert!(right["allowed"].is_null() && right["reason"].is_string(), "{right}");
    }
    crm.restrict("person", "Select");
    let output = site.command(["crm", "check"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1), "what it may not do is a failure");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in
        ["  yes             read persons", "  no              correct addresses: ", "  cannot be told  count bounces: "]
    {
        assert!(said.contains(line), "{line} in {said}");
    }
    let synced = site.run_json(["crm", "sync", "--json"]);
    assert_eq!((&synced["persons"], &synced["changed"]), (&json!(3), &json!(3)));
    crm.set_state("Suspended", false);
    crm.move_tenant();
    let output = site.command(["crm", "check"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Suspended"), "{said}");

    // A job that waits says why, and until when.
    let ordered = site.run_json(["crm", "sync", "--no-wait", "--json"]);
    let job = ordered["job"].as_str().expect("a job").to_owned();
    let running = site.start().await;
    let error = within(PATIENCE, "the job waits", async || {
        site.run_json(["jobs", "show", &job, "--json"])["error"].as_str().map(str::to_owned)
    })
    .await;
    let expected = "the CRM says that the tenant is suspended: this is tried again by itself at 20";
    assert!(error.starts_with(expected) && error.ends_with('Z'), "{error}");
    let jobs = site.client("admin").ask("{ jobs { nodes { error } } }", json!({})).await["jobs"]["nodes"].take();
    assert!(jobs.as_array().expect("a list").iter().any(|job| job["error"] == error.as_str()), "{jobs}");
    drop(running);
}

async fn persons_are_read_within_little_memory_and_then_only_what_changed(site: Site) {
    let count = persons(6_000);
    let crm = SuperOffice::start();
    crm.generate(count);
    let site = site.with_more(&crm.toml(500));
    site.run(["migrate"]);
    let (synced, most) = sync(&site).await;
    assert_eq!((&synced["persons"], &synced["changed"]), (&json!(count), &json!(count)));
    // In kilobytes; the program that is tested is not optimised, and larger than the one that is shipped.
    assert!(most < 150_000, "{most} kB at its peak");
    crate::harness::note(format_args!("{count} persons were read with {most} kB at the peak"));

    for id in 1..=100 {
        crm.change(id, |person| person.emails[0].address = format!("new{id}@example.com"));
    }
    crm.forget_requests();
    let (synced, _) = sync(&site).await;
    assert_eq!(synced["persons"], json!(100));
    let asked = crm.count("Person") + crm.count("Archive/dynamic");
    assert!(asked < 20, "{asked} requests for a hundred changes");
    assert_eq!(site.sql("SELECT count(*) FROM person_email WHERE email_key LIKE 'new%' AND rank = 0").trim(), "100");
}

/// Reads what changed; what came of it, and the most memory that the command had, in kilobytes.
async fn sync(site: &Site) -> (Value, u64) {
    let mut command = site.command(["crm", "sync", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = within(PATIENCE, "it is read", async || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        most = most.max(peak.unwrap_or_default());
        child.try_wait().expect("a state")
    })
    .await;
    assert!(ended.success());
    let output = child.wait_with_output().expect("an output");
    (serde_json::from_slice(&output.stdout).expect("JSON"), most)
}

async fn everybody_gets_on_the_selection_once_however_often_workers_die(site: Site) {
    const KILLS: usize = 10;
    const PER_SECOND: u16 = 40;
    let count = persons(12_000);
    let crm = SuperOffice::start();
    crm.generate(count);
    let site = site.with_more(&format!("{}\n[worker]\nlease_seconds = 2\n", crm.toml(PER_SECOND)));
    site.run(["migrate"]);
    sync(&site).await;
    let mut csv = "email,crm id\n".to_owned();
    (1..=count).for_each(|id| csv.push_str(&format!("person{id}@example.com,{id}\n")));
    csv.push_str("stranger@example.com,\n");
    site.write("spring.csv", csv);
    let imported = site.run_json(["import", "--campaign", "spring", "--json", "spring.csv"]);
    let mut running = site.start().await;
    let api = site.client("admin");
    crm.forget_requests();

    let input = json!({
        "recipients": { "where": { "campaignId": imported["campaignId"] } },
        "newSelection": { "name": "Call them" },
    });
    let job = order(&api, "addToSelection", "AddToSelectionInput", input).await;
    let mut deaths = Vec::new();
    for kill in 0..KILLS {
        // Spread over the whole work.
        let share = count * i64::try_from(kill).expect("small") / i64::try_from(KILLS).expect("small");
        let share = usize::try_from(share).expect("small");
        within(PATIENCE, "members are added", async || (members(&crm).len() > share).then_some(())).await;
        kill_workers(&mut running);
        deaths.push(Instant::now());
    }
    let done = within(PATIENCE, "everybody is on it", async || finished(&api, &job).await).await;
    assert_eq!(done["state"], "SUCCEEDED", "{done}");
    let result = &done["result"];
    assert_eq!((&result["added"], &result["unchanged"]), (&json!(count), &json!(0)), "{done}");
    assert_eq!(result["selection"]["memberCount"], json!(count));
    let reasons = &result["skippedByReason"];
    assert_eq!((&reasons[0]["reason"], &reasons[0]["count"]), (&json!("NOT_IN_CRM"), &json!(1)));

    let members = members(&crm);
    let different: BTreeSet<i64> = members.iter().copied().collect();
    let count = usize::try_from(count).expect("small");
    assert_eq!((members.len(), different.len()), (count, count), "everybody, and nobody twice");
    assert_eq!(crm.lists(ListKind::Selection).len(), 1);
    assert_pace(&crm, PER_SECOND, &deaths);
}

fn kill_workers(running: &mut Running<'_>) {
    // The API is the first.
    (1..running.count()).for_each(|number| running.kill_and_restart(number));
}

fn members(crm: &SuperOffice) -> Vec<i64> {
    let lists = crm.lists(ListKind::Selection);
    let members = lists.first().map(|(id, _)| crm.members(ListKind::Selection, *id)).unwrap_or_default();
    members.into_iter().map(|(person, _)| person).collect()
}

/// No more requests in any second than were allowed, but for those in which a worker began anew.
fn assert_pace(crm: &SuperOffice, per_second: u16, deaths: &[Instant]) {
    let times: Vec<Instant> = crm.requests().into_iter().map(|seen| seen.at).collect();
    let second = Duration::from_secs(1);
    for (place, at) in times.iter().enumerate() {
        let within = times.iter().skip(place).take_while(|other| **other < *at + second).count();
        let begins_anew = deaths.iter().any(|death| *death > *at - second && *death < *at + second);
        // Sending and receiving take a little: one more may fall into the second.
        assert!(begins_anew || within <= usize::from(per_second) + 2, "{within} requests in a second");
    }
}

async fn order(api: &Api, mutation: &str, input_type: &str, input: Value) -> String {
    let query = format!(
        "mutation($input: {input_type}!) {{ {mutation}(input: $input) {{ job {{ id }} userErrors {{ field message }} }} }}"
    );
    let data = api.ask(&query, json!({ "input": input })).await;
    data[mutation]["job"]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned()
}

/// The job, once it is over.
async fn finished(api: &Api, job: &str) -> Option<Value> {
    let query = "query($id: ID!) { job(id: $id) { state error done total result { added unchanged updated skipped \
        selection { id memberCount } skippedByReason { reason count } } } }";
    let job = api.ask(query, json!({ "id": job })).await["job"].take();
    (!["QUEUED", "RUNNING"].contains(&job["state"].as_str().expect("a state"))).then_some(job)
}
