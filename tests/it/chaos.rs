//! Everything at once, and everything goes wrong: two API and three worker processes under a load of events, exports, blocked addresses
//! and reminders, while processes are killed, Redis is emptied and stopped, and PostgreSQL restarted. Afterwards each thing has
//! happened once.
//!
//! `make chaos` kills 100 times and stops the real servers; `make test` does a few rounds, in which the wires to them are cut instead.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::crash::{Load, REQUESTS_A_KILL, assert_figures, prepare};
use crate::harness::{Api, Proxy, Running, Site, note, within};

in_mode!(in_five_processes, Many: everything_happens_once_whatever_goes_wrong);

/// Recipients of the campaign that is still to go out.
const NEXT: usize = 400;
/// Their domains, which are blocked and cleared.
const DOMAINS: usize = 4;
/// Once the trouble is over, everything is done within this time.
const PATIENCE: Duration = Duration::from_secs(240);

/// How much goes wrong.
struct Plan {
    kills: usize,
    flushes: usize,
    restarts: usize,
    redis_away: Duration,
    /// Recipients of the campaign that is exported and reminded of: the more, the more often somebody is killed at it.
    archive: usize,
    /// The folder of the servers, where these may be stopped themselves.
    servers: Option<PathBuf>,
}

impl Plan {
    fn read() -> Self {
        let number = std::env::var("NACHFASS_TEST_CHAOS")
            .ok()
            .map(|text| text.parse().expect("NACHFASS_TEST_CHAOS is a number"));
        let servers = std::env::var_os("NACHFASS_TEST_SERVICES").map(PathBuf::from);
        match number {
            Some(kills) => {
                Self { kills, flushes: 5, restarts: 2, redis_away: Duration::from_secs(60), archive: 20_000, servers }
            }
            None => Self {
                kills: 6,
                flushes: 1,
                restarts: 1,
                redis_away: Duration::from_secs(2),
                archive: 3_000,
                servers: None,
            },
        }
    }

    /// What goes wrong, and in which order: the kills with the rest spread among them.
    fn troubles(&self) -> Vec<Trouble> {
        let mut troubles: Vec<Trouble> = (0..self.kills).map(Trouble::Kill).collect();
        let mut spread = |trouble: fn() -> Trouble, times: usize, shift: usize| {
            for time in 0..times {
                let place = (time * 2 + 1) * self.kills / (times * 2) + shift;
                troubles.insert(place.min(troubles.len()), trouble());
            }
        };
        spread(|| Trouble::Flush, self.flushes, 0);
        spread(|| Trouble::RestartDatabase, self.restarts, 1);
        spread(|| Trouble::StopRedis, 1, 2);
        troubles
    }
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// kill -9 of whichever process the number leads to.
    Kill(usize),
    /// Redis forgets everything.
    Flush,
    /// Redis is gone for a while.
    StopRedis,
    /// All connections to the database are lost, and it is away for a moment.
    RestartDatabase,
}

/// The wires to the servers.
struct Wires {
    redis: Proxy,
    postgres: Proxy,
}

async fn everything_happens_once_whatever_goes_wrong(site: Site) {
    let plan = Plan::read();
    let (mut redis, mut postgres) = (None, None);
    let site = site
        .with_more("[worker]\nlease_seconds = 5\n")
        .with_redis_at(|url| redis.insert(Proxy::to(url)).url(url))
        .with_postgres_at(|url| postgres.insert(Proxy::to(url)).url(url));
    let wires = Wires { redis: redis.expect("a wire"), postgres: postgres.expect("a wire") };
    let (site, spring) = prepare(site);
    let mut world = World::new(&site, plan.archive);
    let mut running = site.start().await;
    world.make_rule().await;

    let troubles = plan.troubles();
    let load = Arc::new(Load::new(troubles.len() * REQUESTS_A_KILL));
    let done = Arc::new(AtomicUsize::new(0));
    // Both get all of it: everything comes twice.
    let mut posters = JoinSet::new();
    for api in &world.apis {
        posters.spawn(load.clone().post(api, &done).join_all());
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let orders = world.order(&is_over);

    for (number, trouble) in troubles.iter().enumerate() {
        let moment = number * REQUESTS_A_KILL + REQUESTS_A_KILL / 2;
        within(PATIENCE, "the load goes on", async || (done.load(Ordering::SeqCst) >= moment).then_some(())).await;
        trouble.happen(&site, &plan, &wires, &mut running).await;
    }
    running.ready().await;
    while posters.join_next().await.is_some() {}
    is_over.store(true, Ordering::SeqCst);
    let ordered = orders.join_all().await.into_iter().sum::<usize>();
    note(format_args!("{} troubles, {ordered} orders, {} events", troubles.len(), load.count()));

    world.settle().await;
    world.assert_all_done();
    world.assert_events(&load, &spring).await;
    world.assert_exports().await;
    world.assert_reminders();
    world.assert_addresses().await;
    site.assert_counted_right();
    running.processes().for_each(|(_, process)| process.check());
}

impl Trouble {
    async fn happen(self, site: &Site, plan: &Plan, wires: &Wires, running: &mut Running<'_>) {
        match (self, &plan.servers) {
            // A multiple of a number without a factor in common with five: each comes in turn, but not one after the other.
            (Self::Kill(number), _) => running.kill_and_restart(number * 7 % running.count()),
            (Self::Flush, _) => site.flush_redis(),
            (Self::StopRedis, Some(servers)) => {
                server("stop-redis", servers);
                tokio::time::sleep(plan.redis_away).await;
                server("start-redis", servers);
            }
            (Self::StopRedis, None) => {
                wires.redis.cut();
                tokio::time::sleep(plan.redis_away).await;
                wires.redis.mend();
            }
            (Self::RestartDatabase, Some(servers)) => server("restart-postgres", servers),
            (Self::RestartDatabase, None) => {
                wires.postgres.cut();
                tokio::time::sleep(Duration::from_millis(500)).await;
                wires.postgres.mend();
            }
        }
    }
}

/// Has the script that started the servers do something to them.
fn server(command: &str, folder: &std::path::Path) {
    let script = format!("{}/scripts/services.sh", env!("CARGO_MANIFEST_DIR"));
    let done = Command::new(script).arg(command).arg(folder).status().expect("the script runs");
    assert!(done.success(), "{command}: {done}");
}

/// The campaigns that are worked on, and who does it.
struct World<'a> {
    site: &'a Site,
    apis: Vec<Api>,
    archive: String,
    next: String,
    rule: String,
    people: usize,
}

/// What is ordered again and again.
#[derive(Clone, Copy)]
enum Order {
    Export,
    Remind,
    Block,
}

const RULE: &str = "mutation($rule: ReminderRuleInput!) { saveReminderRule(input: $rule) { reminderRule { id } userErrors { message } } }";
const EXPORT: &str = "mutation($input: ExportRecipientsInput!) { exportRecipients(input: $input) { job { id } userErrors { message } } }";
const REMIND: &str = "mutation($id: ID!) { runReminderNow(ruleId: $id) { job { id } userErrors { message } } }";
const BLOCK: &str = "mutation($set: AddressSet!) { blockAddresses(input: $set) { job { id } userErrors { message } } }";
const CLEAR: &str = "mutation($set: AddressSet!) { clearBounces(input: $set) { job { id } userErrors { message } } }";

fn domain(number: usize) -> String {
    format!("next{}.example", number % DOMAINS)
}

impl<'a> World<'a> {
    fn new(site: &'a Site, people: usize) -> Self {
        let lines: String = (0..people).map(|number| format!("a{number:05}@archive.example\n")).collect();
        site.write("archive.csv", format!("email\n{lines}"));
        let sent = ["--state", "sent", "--sent-at", "2026-01-02T08:00:00Z", "--json", "archive.csv"];
        let archive = site.run_json(["import", "--campaign", "archive"].into_iter().chain(sent));
        let lines: String = (0..NEXT).map(|number| format!("n{number:04}@{}\n", domain(number))).collect();
        site.write("next.csv", format!("email\n{lines}"));
        let next = site.run_json(["import", "--campaign", "next", "--json", "next.csv"]);
        let id = |imported: &Value| imported["campaignId"].as_str().expect("an id").to_owned();
        Self { site, apis: site.clients("admin"), archive: id(&archive), next: id(&next), rule: String::new(), people }
    }

    /// Makes the rule that is run again and again.
    async fn make_rule(&mut self) {
        let terms = json!({ "name": "Unread", "campaignId": self.archive, "afterHours": 0, "enabled": true });
        let data = self.apis[0].ask(RULE, json!({ "rule": terms })).await;
        let id = data["saveReminderRule"]["reminderRule"]["id"].as_str().unwrap_or_else(|| panic!("{data}"));
        self.rule = id.to_owned();
    }

    /// Orders until it is over; each task says how many orders were taken.
    fn order(&self, is_over: &Arc<AtomicBool>) -> JoinSet<usize> {
        let mut orders = JoinSet::new();
        for order in [Order::Export, Order::Remind, Order::Block] {
            let (apis, is_over) = (self.apis.clone(), is_over.clone());
            let (archive, rule) = (self.archive.clone(), self.rule.clone());
            orders.spawn(async move {
                let (mut taken, mut number) = (0, 0);
                while !is_over.load(Ordering::SeqCst) {
                    number += 1;
                    let api = &apis[number % apis.len()];
                    let order = order.place(api, number, &archive, &rule).await;
                    taken += usize::from(order.is_some());
                    // Orders come at the pace of people, not as fast as they can.
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
                taken
            });
        }
        orders
    }

    /// Waits until nothing is left to do, orders what shall hold in the end, and waits for that. Jobs do not wait for each other: what was
    /// ordered before and was tried again could be done last.
    async fn settle(&self) {
        self.wait_for_jobs().await;
        for number in 0..DOMAINS {
            let mutation = if number.is_multiple_of(2) { BLOCK } else { CLEAR };
            let set = json!({ "where": { "health": [], "domain": [domain(number)] } });
            self.apis[0].ask(mutation, json!({ "set": set })).await;
        }
        self.wait_for_jobs().await;
    }

    async fn wait_for_jobs(&self) {
        within(PATIENCE, "all jobs are over", async || {
            (self.site.sql("SELECT count(*) FROM job WHERE state IN (1, 2) AND kind NOT IN (12, 13)") == "0")
                .then_some(())
        })
        .await;
    }

    /// Every job was done, in the end.
    fn assert_all_done(&self) {
        let jobs = self
            .site
            .sql("SELECT kind, state, count(*), sum(attempt) FROM job WHERE state > 2 GROUP BY 1, 2 ORDER BY 1, 2");
        note(format_args!("jobs by kind, state, number, attempts: {}", jobs.replace('\n', "; ")));
        assert_eq!(self.site.sql("SELECT count(*) FROM job WHERE state IN (4, 5)"), "0", "{jobs}");
    }

    async fn assert_events(&self, load: &Load, spring: &str) {
        self.apis[0].applied().await;
        let events = load.count().to_string();
        assert_eq!(self.site.sql("SELECT count(*) FROM event"), events);
        assert_eq!(self.site.sql("SELECT count(DISTINCT event_id) FROM event WHERE recipient IS NOT NULL"), events);
        assert_figures(&self.apis[0], spring, load).await;
    }

    /// Every file that was made holds every recipient once, and a job has one file.
    async fn assert_exports(&self) {
        let query = "query($after: String) { jobs(filter: { kind: EXPORT }, first: 100, after: $after) {
            nodes { state result { file { url rows } } } pageInfo { hasNextPage endCursor } } }";
        let (mut files, mut after) = (0, Value::Null);
        loop {
            let page = self.apis[0].ask(query, json!({ "after": after })).await["jobs"].take();
            for job in page["nodes"].as_array().expect("a list") {
                let file = &job["result"]["file"];
                assert_eq!(file["rows"], self.people, "{job}");
                self.assert_complete(file["url"].as_str().expect("a link")).await;
                files += 1;
            }
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
        assert!(files > 0, "no export was made");
        assert_eq!(self.site.sql("SELECT count(*) FROM export_file"), files.to_string());
        note(format_args!("{files} exports of {} recipients are complete", self.people));
    }

    async fn assert_complete(&self, url: &str) {
        let text = reqwest::get(url).await.expect("an answer").text().await.expect("a text");
        let mut emails: Vec<String> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).expect("JSON")["email"].as_str().expect("an address").to_owned()
            })
            .collect();
        emails.sort_unstable();
        let wanted: Vec<String> = (0..self.people).map(|number| format!("a{number:05}@archive.example")).collect();
        assert!(emails == wanted, "a file is not complete: {} lines", emails.len());
    }

    /// Everybody was reminded once.
    fn assert_reminders(&self) {
        let everybody = self.people.to_string();
        for sql in [
            "SELECT count(*) FROM reminder_target",
            "SELECT count(DISTINCT (rule_id, campaign_id, recipient)) FROM reminder_target",
            "SELECT count(DISTINCT (child_id, child_recipient)) FROM reminder_target",
            "SELECT count(*) FROM recipient JOIN campaign ON campaign.id = campaign_id WHERE parent_id IS NOT NULL",
            "SELECT count(DISTINCT email_key) FROM recipient JOIN campaign ON campaign.id = campaign_id WHERE parent_id IS NOT NULL",
        ] {
            assert_eq!(self.site.sql(sql), everybody, "{sql}");
        }
        assert_eq!(self.site.sql("SELECT count(*) FROM campaign WHERE parent_id IS NOT NULL"), "1");
    }

    /// What was ordered last holds, each step was audited once, and the recipients who are still to be sent to have followed.
    async fn assert_addresses(&self) {
        let health = "SELECT split_part(email_key, '@', 2), health, count(*) FROM address WHERE email_key LIKE 'n%@next%' GROUP BY 1, 2 ORDER BY 1";
        let each = NEXT / DOMAINS;
        let wanted: Vec<String> = (0..DOMAINS)
            .map(|number| format!("{}|{}|{each}", domain(number), if number % 2 == 0 { 3 } else { 1 }))
            .collect();
        assert_eq!(self.site.sql(health).lines().collect::<Vec<_>>(), wanted);
        let query = "query($id: ID!) { campaign(id: $id) { statistics { recipients blocked } } }";
        let figures = &self.apis[0].ask(query, json!({ "id": self.next })).await["campaign"]["statistics"];
        assert_eq!(figures, &json!({ "recipients": NEXT, "blocked": NEXT / 2 }));
        let twice = "SELECT count(*) FROM (SELECT 1 FROM audit_entry WHERE action IN ('address.blocked', 'address.unblocked') \
            AND subject <> 'system' GROUP BY object, action, detail HAVING count(*) > 1) AS doubled";
        assert_eq!(self.site.sql(twice), "0", "a step was taken twice");
        // Blocked and unblocked in turn: neither was lost in between.
        let audited = self.site.sql(
            "SELECT count(*) FILTER (WHERE action = 'address.blocked') - count(*) FILTER (WHERE action = 'address.unblocked') \
             FROM audit_entry JOIN address ON object = 'address:' || address.id WHERE email_key LIKE 'n%@next%'",
        );
        assert_eq!(audited, (NEXT / 2).to_string());
    }
}

impl Order {
    /// Places an order; `None` where nobody answers, or asks to come again. Whether it was taken then, nobody knows: the end shows.
    async fn place(self, api: &Api, number: usize, archive: &str, rule: &str) -> Option<()> {
        let everybody = json!({ "where": { "campaignId": archive } });
        match self {
            Self::Export => {
                let input = json!({ "recipients": everybody, "format": "JSONL", "columns": ["EMAIL", "STATUS"] });
                attempt(api, EXPORT, json!({ "input": input })).await
            }
            Self::Remind => attempt(api, REMIND, json!({ "id": rule })).await,
            Self::Block => {
                let set = json!({ "where": { "health": [], "domain": [domain(number / 2)] } });
                attempt(api, if number.is_multiple_of(2) { BLOCK } else { CLEAR }, json!({ "set": set })).await
            }
        }
    }
}

/// Asks for a change; `None` where nobody answers, or asks to come again.
async fn attempt(api: &Api, query: &str, variables: Value) -> Option<()> {
    let request =
        api.request(reqwest::Method::POST, "/graphql").json(&json!({ "query": query, "variables": variables }));
    let answer: BTreeMap<String, Value> = request.send().await.ok()?.json().await.ok()?;
    if let Some(errors) = answer.get("errors") {
        let code = &errors[0]["extensions"]["code"];
        assert!(["UNAVAILABLE", "TIME_LIMIT"].iter().any(|known| code == known), "{query}: {errors}");
        return None;
    }
    let payload = answer.get("data")?.as_object().and_then(|data| data.values().next());
    assert_eq!(payload.map(|payload| &payload["userErrors"]), Some(&json!([])), "{query}");
    Some(())
}
