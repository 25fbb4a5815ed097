//! Corrections on both databases, from what is asked for to what stands in the tables.

mod by_hand;
mod files;
mod pushes;
mod suggestions;

use domain::campaign::CampaignState;
use domain::correction::CorrectionState;
use domain::email::EmailAddress;
use domain::status::RecipientStatus;

use super::{Correction, CorrectionFilter, NewCorrection};
use crate::access::{Marketer, Reader};
use crate::db::execute;
use crate::error::{Refusal, Result, ServiceError};
use crate::import::tests::Fixture;
use crate::jobs::{self, ClaimedJob, JobKind, Which};
use crate::recipients::paging::PageArgs;
use crate::recount::recount;
use crate::subject::Subject;
use crate::testing::work_off;

fn marketer(fixture: &Fixture) -> Marketer {
    fixture.services.access(Subject::command_line()).marketer().expect("a marketer")
}

fn reader(fixture: &Fixture) -> Reader {
    fixture.services.access(Subject::command_line()).reader()
}

fn correction(old: &str, new: &str) -> NewCorrection {
    let new = EmailAddress::parse(new).expect("an address");
    NewCorrection { old: old.to_owned(), new, person: None, reason: None }
}

async fn correct(fixture: &Fixture, old: &str, new: &str) -> Correction {
    let corrected = marketer(fixture).correct_address(correction(old, new)).await.expect("corrected");
    work_off(&fixture.services).await;
    corrected
}

fn refused<T: std::fmt::Debug>(result: Result<T>) -> Refusal {
    match result {
        Err(ServiceError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

async fn run(fixture: &Fixture, sql: &str) {
    execute(fixture.services.db.write(), sql, []).await.expect(sql);
}

/// Address, domain, `READY` or the like, and whether it was corrected, of each recipient in the order of their keys.
async fn recipients(fixture: &Fixture) -> Vec<String> {
    let sql = "SELECT r.email, a.email_key, r.domain, r.status, r.skip_reason, r.corrected_at FROM recipient r \
               JOIN address a ON a.id = r.address_id ORDER BY r.campaign_id, r.number";
    let line = |row: &sea_orm::QueryResult| {
        let text = |index| row.try_get_by_index::<String>(index).expect("a text");
        assert_eq!(text(0).to_lowercase(), text(1), "the address and the row of it");
        assert!(text(1).ends_with(&format!("@{}", text(2))) || text(2).is_empty(), "the domain is the address's");
        let status = RecipientStatus::from_code(row.try_get_by_index(3).expect("a number")).expect("a status");
        let skip =
            row.try_get_by_index::<Option<i16>>(4).expect("a number").and_then(domain::status::SkipReason::from_code);
        let corrected = row.try_get_by_index::<Option<i64>>(5).expect("a number").is_some();
        let word = skip.map_or(status.as_str(), |skip| skip.as_str());
        format!("{} {word}{}", text(0), if corrected { " corrected" } else { "" })
    };
    fixture.rows(sql).await.iter().map(line).collect()
}

/// Everything is counted as it stands.
async fn check(fixture: &Fixture) {
    let found = recount(&fixture.services, None, false).await.expect("counted");
    assert_eq!(found.different, 0, "{found:?}");
}

/// A campaign that was sent, to these, each of whom bounced because there is no such mailbox.
async fn sent_in_vain(fixture: &Fixture, key: &str, emails: &[&str]) -> i64 {
    let before = fixture.campaign;
    let campaign = fixture.campaign(key, CampaignState::Sent).await;
    let file: String = emails.iter().map(|email| format!("{email}\n")).collect();
    let source = crate::import::Source::reader(std::io::Cursor::new(format!("email\n{file}")));
    let subject = Subject::command_line();
    let options = crate::import::ImportOptions::default();
    let import = crate::import::Import::start(&fixture.services, &subject, campaign, source, options).await;
    import.expect("started").run(|_| ()).await.expect("imported");
    assert_ne!(before, campaign);
    for email in emails {
        bounce(fixture, campaign, email).await;
    }
    recount(&fixture.services, None, true).await.expect("counted");
    work_off(&fixture.services).await;
    campaign
}

async fn bounce(fixture: &Fixture, campaign: i64, email: &str) {
    let key = domain::email::key_of(email);
    let at = fixture.services.now().micros();
    let hard = RecipientStatus::HardBounced.code();
    run(fixture, &format!(
        "UPDATE recipient SET status = {hard}, hard_bounced_at = {at}, failure_gravity = 3, failure_at = {at}, failure_class = 1, \
            failure_smtp_code = 550 WHERE campaign_id = {campaign} AND email_key = '{key}' AND status = 2"
    ))
    .await;
    run(fixture, &format!(
        "UPDATE address SET outcomes = 'H{at}', health = 3, blocked_at = {at}, block_reason = 1 WHERE email_key = '{key}'"
    ))
    .await;
}

async fn corrections(fixture: &Fixture, filter: CorrectionFilter) -> Vec<Correction> {
    reader(fixture).corrections(&filter, &PageArgs::default()).await.expect("listed").rows
}

async fn in_state(fixture: &Fixture, state: CorrectionState) -> Vec<(String, String)> {
    let filter = CorrectionFilter { states: vec![state], ..CorrectionFilter::default() };
    let pairs = corrections(fixture, filter).await.into_iter().map(|it| (it.old_email, it.new_email));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort();
    pairs
}

/// The job of this kind that is due, as a worker has it.
async fn claim(fixture: &Fixture, kind: JobKind) -> ClaimedJob {
    let services = &fixture.services;
    let job = fixture.count(&format!("SELECT max(id) FROM job WHERE kind = {} AND state IN (1, 2)", kind.code())).await;
    let claimed = jobs::claim(services, Which::Id(job), "w", services.now(), services.lease_until()).await;
    claimed.expect("asked").expect("the job")
}
