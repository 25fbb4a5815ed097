//! What runs beside applying: an import into the same campaign, and recounts. None of them disturbs another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::campaign::CampaignState;
use domain::reading::Create;

use super::{Fixture, counts};
use crate::campaigns::{NewCampaign, find_or_create_campaign};
use crate::import::{Import, ImportOptions, Source};
use crate::recount::recount;
use crate::subject::Subject;
use crate::testing::TestDb;

const RECIPIENTS: usize = 150;
const DELIVERIES: usize = 40;

/// Deliveries of 50 events each: everybody is delivered to, opens, clicks and sometimes bounces, in no order.
fn deliveries() -> Vec<String> {
    let kinds = ["DELIVERED", "OPENED", "CLICKED", "SOFT_BOUNCE", "SENT"];
    let line = |serial: usize| {
        let (recipient, kind) = (serial * 7 % RECIPIENTS, kinds[serial * 3 % kinds.len()]);
        let url = if kind == "CLICKED" { format!("https://example.com/{}", serial % 4) } else { "-".to_owned() };
        format!("{kind} {} e{serial} c1 - m{recipient} r{recipient}@example.com {url}", serial * 37 % 5_000)
    };
    (0..DELIVERIES).map(|body| (0..50).map(|place| line(body * 50 + place)).collect::<Vec<_>>().join("\n")).collect()
}

fn file() -> String {
    let rows = (0..RECIPIENTS).map(|number| format!("r{number}@example.com,Name {number}\n"));
    std::iter::once("email,name\n".to_owned()).chain(rows).collect()
}

async fn campaign(fixture: &Fixture) -> i64 {
    let campaign = NewCampaign {
        key: "c1".to_owned(),
        name: "c1".to_owned(),
        subject: None,
        from_address: None,
        sent_at: None,
        state: CampaignState::Sending,
    };
    let (db, now) = (fixture.test.db.write(), fixture.services.now());
    find_or_create_campaign(db, &Subject::command_line(), now, campaign).await.expect("a campaign").id
}

async fn import(fixture: &Fixture, campaign: i64) {
    let source = Source::reader(std::io::Cursor::new(file().into_bytes()));
    let subject = Subject::command_line();
    let import = Import::start(&fixture.services, &subject, campaign, source, ImportOptions::default()).await;
    import.expect("started").run(|_| ()).await.expect("imported");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_import_and_recounts_beside_two_appliers() {
    for (test, other) in TestDb::each().await.into_iter().zip(TestDb::each().await) {
        let undisturbed = Fixture::new(other, Create::Recipients);
        import(&undisturbed, campaign(&undisturbed).await).await;
        undisturbed.store(&deliveries()).await;
        undisturbed.applier.apply_all().await.expect("applied");

        let fixture = Arc::new(Fixture::new(test, Create::Recipients));
        let id = campaign(&fixture).await;
        fixture.store(&deliveries()).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let recounts = {
            let (fixture, is_over) = (fixture.clone(), is_over.clone());
            tokio::spawn(async move {
                let mut recounts = 0;
                while !is_over.load(Ordering::SeqCst) {
                    // Repairing what needs no repair must not do any harm either.
                    let found = recount(&fixture.services, None, recounts % 2 == 1).await.expect("recounted");
                    assert_eq!(found.different, 0, "recount {recounts}");
                    recounts += 1;
                }
                recounts
            })
        };
        let importing = {
            let fixture = fixture.clone();
            tokio::spawn(async move { import(&fixture, id).await })
        };
        let appliers = [0, 1].map(|_| {
            let applier = fixture.applier.clone();
            tokio::spawn(async move { applier.apply_all().await.expect("applied").new })
        });
        let mut applied = 0;
        for applier in appliers {
            applied += applier.await.expect("an applier");
        }
        importing.await.expect("the import");
        is_over.store(true, Ordering::SeqCst);
        assert!(recounts.await.expect("recounts") > 0);

        assert_eq!(applied, u64::try_from(DELIVERIES * 50).expect("few"));
        assert_eq!(fixture.recounted().await.different, 0);
        assert_eq!(
            counts(&fixture.test.db, "SELECT count(*) FROM recipient").await,
            [i64::try_from(RECIPIENTS).expect("few")]
        );
        let (dump, expected) = (fixture.dump().await, undisturbed.dump().await);
        let different: Vec<_> =
            dump.lines().zip(expected.lines()).filter(|(left, right)| left != right).take(5).collect();
        assert!(dump == expected, "among others: {different:#?}");
        Arc::into_inner(fixture).expect("nobody else has it").test.close().await;
        undisturbed.test.close().await;
    }
}
