//! Processes that are killed at any moment, under load: what was answered with 200 is there, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::clicks::{Click, judge, summarise};
use domain::contribution::{Figure, Figures, contribution};
use domain::facts::{Facts, Report};
use domain::smtp::Reply;
use domain::{BounceClass, EventKind, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Api, Running, Site, Source, eventually};

in_every_mode!(nothing_is_lost_or_doubled_by_kill_9, sigterm_ends_it_cleanly_under_load);

const SHOP: Source = Source::generic("shop");
const RECIPIENTS: usize = 200;
/// Requests for each kill: enough to have some under way whenever it comes.
pub const REQUESTS_A_KILL: usize = 120;
/// Every so manieth request is a batch …
const BATCH_EVERY: usize = 10;
/// … of so many events.
const BATCH: usize = 12;
/// Requests under way at the same time.
const AT_ONCE: usize = 8;
/// The Unix second at which the mails went out.
const SENT: i64 = 1_772_438_400;

/// An event of the load, by its number: who, what and when follow from that.
#[derive(Clone, Copy)]
struct Happening(usize);

impl Happening {
    fn recipient(self) -> usize {
        // Neighbours touch the same rows, and everybody's story is spread over the whole load.
        self.0 * 7 % RECIPIENTS
    }

    fn kind(self) -> EventKind {
        match (self.0 / RECIPIENTS, self.recipient() % 8) {
            (0, 0) => EventKind::HardBounce,
            (0, 1) => EventKind::SoftBounce,
            (0, _) => EventKind::Delivered,
            (_, 0) => EventKind::Other,
            (round, place) if (round + place) % 3 == 0 => EventKind::Clicked,
            _ => EventKind::Opened,
        }
    }

    fn at(self) -> Timestamp {
        Timestamp::from_seconds(SENT + 60 * i64::try_from(self.0).expect("it is small"))
    }

    fn payload(self) -> Value {
        let kind = self.kind();
        let class = match kind {
            EventKind::HardBounce => Some("hard"),
            EventKind::SoftBounce => Some("soft"),
            _ => None,
        };
        json!({
            "type": kind.as_str().to_lowercase(),
            "id": self.0.to_string(),
            "occurred_at": self.at(),
            "campaign": "spring",
            "recipient": address(self.recipient()),
            "bounce_class": class,
            "url": (kind == EventKind::Clicked).then_some("https://shop.example/spring"),
        })
    }
}

fn address(recipient: usize) -> String {
    format!("r{recipient:04}@alpha.example")
}

/// The load: which requests there are, and which events are in each.
pub struct Load(Vec<Vec<Happening>>);

impl Load {
    /// So many requests.
    pub fn new(requests: usize) -> Self {
        let mut numbers = (0..).map(Happening);
        let size = |request: usize| if request.is_multiple_of(BATCH_EVERY) { BATCH } else { 1 };
        Self((0..requests).map(|request| numbers.by_ref().take(size(request)).collect()).collect())
    }

    /// How many events there are.
    pub fn count(&self) -> usize {
        self.events().count()
    }

    fn events(&self) -> impl Iterator<Item = Happening> {
        self.0.iter().flatten().copied()
    }

    /// The figures that these events lead to where nothing ever goes wrong.
    fn expected(&self) -> Figures {
        let mut all: BTreeMap<usize, (Facts, Vec<Click>)> = BTreeMap::new();
        for recipient in 0..RECIPIENTS {
            all.insert(
                recipient,
                (Facts { sent_at: Some(Timestamp::from_seconds(SENT)), ..Facts::default() }, Vec::new()),
            );
        }
        for event in self.events() {
            let (facts, clicks) = all.get_mut(&event.recipient()).expect("a recipient");
            let (kind, at) = (event.kind(), event.at());
            let class = match kind {
                EventKind::HardBounce => Some(BounceClass::Hard),
                EventKind::SoftBounce => Some(BounceClass::Soft),
                _ => None,
            };
            facts.add(&Report { kind, at, class, reply: Reply::default(), diagnostic: None, verdict: None });
            if kind == EventKind::Clicked {
                clicks.push(Click { at, link: 1, own: None });
            }
        }
        let mut figures = Figures::default();
        for (mut facts, clicks) in all.into_values() {
            facts.set_clicks(summarise(clicks.iter().zip(judge(&clicks))));
            figures.add_all(&contribution(&facts, false).figures, 1);
        }
        figures
    }

    /// Posts all of it as providers do, each request until it is answered with 200. Counts the answers in `done`.
    pub fn post(self: Arc<Self>, api: &Api, done: &Arc<AtomicUsize>) -> JoinSet<()> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut posters = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (load, api, next, done) = (self.clone(), api.clone(), next.clone(), done.clone());
            posters.spawn(async move {
                while let Some(request) = load.0.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let body = request.iter().map(|event| event.payload()).collect();
                    insist(&api, &body).await;
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        posters
    }
}

/// Posts until it is taken. Only a server that is gone or asks for it is bothered again.
async fn insist(api: &Api, body: &Value) {
    loop {
        match api.deliver(SHOP.sign(body)).await {
            Ok(answer) if answer.status() == 200 => return,
            Ok(answer) => assert_eq!(answer.status(), 503),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How often to kill.
fn kills() -> usize {
    std::env::var("NACHFASS_TEST_KILLS").map_or(5, |number| number.parse().expect("NACHFASS_TEST_KILLS is a number"))
}

/// Configures the source, and imports the campaign that the load is about.
pub fn prepare(site: Site) -> (Site, String) {
    let site = site.with(&[&SHOP]);
    let list: String = (0..RECIPIENTS).map(|recipient| address(recipient) + "\n").collect();
    site.write("spring.csv", format!("email\n{list}"));
    let sent_at = Timestamp::from_seconds(SENT).to_string();
    let imported = site.run_json([
        "import",
        "--campaign",
        "spring",
        "--state",
        "sent",
        "--sent-at",
        &sent_at,
        "--json",
        "spring.csv",
    ]);
    let campaign = imported["campaignId"].as_str().expect("an id").to_owned();
    (site, campaign)
}

async fn nothing_is_lost_or_doubled_by_kill_9(site: Site) {
    let (site, campaign) = prepare(site);
    let kills = kills();
    let load = Arc::new(Load::new(kills * REQUESTS_A_KILL));
    let (api, done) = (site.client("admin"), Arc::new(AtomicUsize::new(0)));
    let mut running = site.start().await;
    let posters = load.clone().post(&api, &done);
    for kill in 0..kills {
        // Somewhere within the share of this kill; where exactly, the scheduler decides anew each time.
        let moment = kill * REQUESTS_A_KILL + REQUESTS_A_KILL / 2;
        eventually("the load goes on", async || (done.load(Ordering::SeqCst) >= moment).then_some(())).await;
        running.kill_and_restart(kill % running.count());
    }
    running.ready().await;
    posters.join_all().await;
    assert_complete(&site, &api, &campaign, &load, &mut running).await;
}

async fn sigterm_ends_it_cleanly_under_load(site: Site) {
    let (site, campaign) = prepare(site);
    let load = Arc::new(Load::new(2 * REQUESTS_A_KILL));
    let (api, done) = (site.client("admin"), Arc::new(AtomicUsize::new(0)));
    let mut running = site.start().await;
    let posters = load.clone().post(&api, &done);
    eventually("the load goes on", async || (done.load(Ordering::SeqCst) >= REQUESTS_A_KILL).then_some(())).await;
    for (name, process) in running.processes() {
        let status = process.terminate(Duration::from_secs(30)).await;
        assert_eq!(status.code(), Some(0), "{name}");
    }
    drop(running);

    let mut running = site.start().await;
    posters.join_all().await;
    assert_complete(&site, &api, &campaign, &load, &mut running).await;
}

/// Every event is there once, and the figures are those of an undisturbed run.
async fn assert_complete(site: &Site, api: &Api, campaign: &str, load: &Load, running: &mut Running<'_>) {
    api.applied().await;
    let mut wanted: Vec<(String, Timestamp)> =
        load.events().map(|event| (address(event.recipient()), event.at())).collect();
    wanted.sort_unstable();
    assert_eq!(events(api, campaign).await, wanted);
    assert_figures(api, campaign, load).await;
    site.assert_counted_right();
    running.processes().for_each(|(_, process)| process.check());
}

/// The figures of the campaign are those of an undisturbed run.
pub async fn assert_figures(api: &Api, campaign: &str, load: &Load) {
    let query = "query($id: ID!) { campaign(id: $id) { statistics {
        recipients softBounced hardBounced opened clicked opens clicks machineOpened machineClicked complained
    } } }";
    let data = api.ask(query, json!({ "id": campaign })).await;
    let figures = load.expected();
    let expected = json!({
        "recipients": figures.get(Figure::Recipients),
        "softBounced": figures.get(Figure::SoftBounced),
        "hardBounced": figures.get(Figure::HardBounced),
        "opened": figures.get(Figure::Opened),
        "clicked": figures.get(Figure::Clicked),
        "opens": figures.get(Figure::Opens),
        "clicks": figures.get(Figure::Clicks),
        "machineOpened": figures.get(Figure::MachineOpened),
        "machineClicked": figures.get(Figure::MachineClicked),
        "complained": figures.get(Figure::Complained),
    });
    assert_eq!(data["campaign"]["statistics"], expected);
}

/// Recipient and time of every event that is there.
async fn events(api: &Api, campaign: &str) -> Vec<(String, Timestamp)> {
    const QUERY: &str = "query($id: ID!, $at: String) { campaign(id: $id) { recipients(first: 50, after: $at) {
        nodes { email events(first: 80) { nodes { occurredAt } pageInfo { hasNextPage } } }
        pageInfo { hasNextPage endCursor }
    } } }";
    let (mut found, mut at) = (Vec::new(), Value::Null);
    loop {
        let data = api.ask(QUERY, json!({ "id": campaign, "at": at })).await;
        let page = &data["campaign"]["recipients"];
        for recipient in page["nodes"].as_array().expect("a list") {
            assert_eq!(recipient["events"]["pageInfo"]["hasNextPage"], false, "the test looks at the first page only");
            let email = recipient["email"].as_str().expect("an address");
            let times = recipient["events"]["nodes"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|event| event["occurredAt"].as_str());
            found.extend(times.map(|at| (email.to_owned(), at.and_then(|at| at.parse().ok()).expect("a time"))));
        }
        if page["pageInfo"]["hasNextPage"] == false {
            found.sort_unstable();
            return found;
        }
        at = page["pageInfo"]["endCursor"].clone();
    }
}
