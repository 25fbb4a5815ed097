//! The demo leads to the figures that its stories add up to, by the rules of `domain` and without the way through the program.

use std::io::Read;
use std::time::Duration;

use domain::contribution::Figure;
use domain::{Clock, SystemClock, Timestamp};
use futures::{StreamExt, stream};
use nachfass::demo::expected::{Expected, expected_of_every};
use nachfass::demo::stream::Plan;
use nachfass::demo::world::Campaign;
use nachfass::demo::{self, beginning, expected};
use serde_json::{Value, json};

use crate::harness::{Api, Posting, Process, Site, within};

in_mode!(on_sqlite, Sqlite: its_figures_are_those_of_its_stories);
in_mode!(on_postgres, Postgres: its_figures_are_those_of_its_stories);

const SEED: u64 = 7;
/// Requests under way at the same time.
const AT_ONCE: usize = 16;

/// What `campaign` says, as the story would say it.
async fn assert_figures(api: &Api, id: &str, expected: &Expected) {
    let query = "query($id: ID!) { campaign(id: $id) {
        statistics { recipients softBounced hardBounced blocked opened machineOpened clicked machineClicked complained unsubscribed opens clicks }
        statusBreakdown { status count }
    } }";
    let data = api.ask(query, json!({ "id": id })).await;
    let found = &data["campaign"];
    for (name, figure) in [
        ("recipients", Figure::Recipients),
        ("softBounced", Figure::SoftBounced),
        ("hardBounced", Figure::HardBounced),
        ("blocked", Figure::Blocked),
        ("opened", Figure::Opened),
        ("machineOpened", Figure::MachineOpened),
        ("clicked", Figure::Clicked),
        ("machineClicked", Figure::MachineClicked),
        ("complained", Figure::Complained),
        ("unsubscribed", Figure::Unsubscribed),
        ("opens", Figure::Opens),
        ("clicks", Figure::Clicks),
    ] {
        assert_eq!(found["statistics"][name], expected.figures.get(figure), "{name} of {}", expected.campaign);
    }
    for (status, figure) in [
        ("READY", Figure::Ready),
        ("SENT", Figure::SentOnly),
        ("DELIVERED", Figure::DeliveredOnly),
        ("READ", Figure::Read),
        ("CLICKED", Figure::ClickedOnly),
    ] {
        let rows = found["statusBreakdown"].as_array().expect("a list");
        let count =
            rows.iter().find(|row| row["status"] == status).map_or(0, |row| row["count"].as_i64().expect("a number"));
        assert_eq!(count, expected.figures.get(figure), "{status} of {}", expected.campaign);
    }
}

/// The sources of the demo, as they would be configured.
fn sources() -> String {
    let source = |source: connectors::sources::SourceSettings| {
        format!(
            "\n[[sources]]\nname = {:?}\nprovider = {:?}\nsecrets = {:?}\nbasic_auth = {:?}\ncampaign_keys = {:?}\nrecipient_keys = {:?}\n",
            source.name,
            source.provider.name(),
            source.secrets,
            source.basic_auth,
            source.campaign_keys,
            source.recipient_keys
        )
    };
    demo::sources(SEED).into_iter().map(source).collect()
}

/// All recipients, but the story of only every fiftieth: the same mixture of providers, lateness, repeats and machines.
async fn its_figures_are_those_of_its_stories(site: Site) {
    const TOLD: u32 = 50;
    let site = site.with_more(&sources());
    let now = SystemClock.now();
    let campaigns = demo::campaigns().iter().map(|campaign| import(&site, campaign, now));
    let campaigns: Vec<String> = campaigns.collect();
    let _running = site.start().await;
    let api = site.client("admin");

    let postings = Plan::of_every(SEED, TOLD).postings(beginning(now), now);
    let answers = stream::iter(postings).map(|posting| {
        let path = format!("/ingest/{}", posting.channel.source());
        let headers = posting.headers.into_iter().filter(|(name, _)| *name != "content-type").collect();
        api.deliver(Posting { path, headers, body: posting.body })
    });
    let statuses: Vec<u16> =
        answers.buffer_unordered(AT_ONCE).map(|answer| answer.expect("an answer").status().as_u16()).collect().await;
    assert!(statuses.len() > 1_000 && statuses.iter().all(|status| *status == 200), "{} requests", statuses.len());

    api.applied().await;
    for (id, expected) in campaigns.iter().zip(expected_of_every(SEED, TOLD)) {
        assert_figures(&api, id, &expected).await;
    }
    site.assert_counted_right();
}

/// Imports the list of a campaign; its id.
fn import(site: &Site, campaign: &'static Campaign, now: Timestamp) -> String {
    let mut list = Vec::new();
    campaign.list(SEED).read_to_end(&mut list).expect("a list");
    site.write("list.csv", list);
    let sent_at = campaign.sent_at(beginning(now)).to_string();
    let import = ["import", "--campaign", campaign.key, "--state", "sent", "--sent-at", &sent_at, "--json", "list.csv"];
    let imported = site.run_json(import);
    imported["campaignId"].as_str().expect("an id").to_owned()
}

#[tokio::test]
#[ignore = "takes minutes in a debug build: cargo nextest run --run-ignored only"]
async fn the_whole_demo_leads_to_its_figures() {
    let site = Site::new(crate::harness::Mode::Sqlite).expect("SQLite is always there");
    let mut command = site.command(["demo", "--fast", "--seed", "7"]);
    let mut process = Process::start(&mut command, site.folder().join("demo.log"));
    within(Duration::from_secs(1_200), "the demo has posted everything", async || {
        process.check();
        process.log().contains("posted: ").then_some(())
    })
    .await;
    let api = site.client("admin");
    api.applied().await;
    let campaigns = api.ask("{ campaigns(first: 10) { nodes { id key } } }", json!({})).await;
    for expected in expected(SEED) {
        let mut nodes = campaigns["campaigns"]["nodes"].as_array().expect("a list").iter();
        let node: &Value = nodes.find(|node| node["key"] == expected.campaign).expect("a campaign");
        assert_figures(&api, node["id"].as_str().expect("an id"), &expected).await;
    }
    site.assert_counted_right();
}
