//! What the CRM is told by itself.

use domain::email::EmailAddress;

use super::{How, World};
use crate::addresses::{AddressSet, actions};
use crate::batch::{Batch, Column};
use crate::crm::reports::{self, ReportKind};
use crate::jobs::{JobFilter, JobKind};
use crate::subject::Subject;

async fn report_jobs(world: &World) -> Vec<i64> {
    let reader = world.services.access(Subject::command_line()).reader();
    let filter = JobFilter { kind: Some(JobKind::ReportToCrm), state: None };
    reader.jobs(&filter, None, 10).await.expect("read").iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn the_crm_hears_who_has_left() {
    for world in World::each(3, 1).await {
        let emails =
            ["p2@example.com", "other1@example.org"].map(|email| EmailAddress::parse(email).expect("an address"));
        let job = world.marketer().mark_former_employees(AddressSet::Emails(emails.into())).await.expect("ordered");
        let job = world.claim(job.id).await.expect("a job");
        actions::run(&world.services, &job).await.expect("marked");
        let jobs = report_jobs(&world).await;
        assert_eq!(jobs.len(), 1);
        world.crm.expect([How::LostAnswer, How::Busy]);
        world.work_off(jobs[0]).await;
        let left: Vec<String> = world.crm.with(|state| {
            let left = state.persons.values().filter(|(person, _)| person.is_former_employee);
            left.map(|(person, _)| person.id.clone()).collect()
        });
        assert_eq!(left, ["p2"]);
        world.close().await;
    }
}

#[tokio::test]
async fn a_bounce_is_told_once_at_most() {
    for how in [How::Well, How::Busy, How::LostAnswer, How::Hang, How::HangBefore] {
        for world in World::each(2, 0).await {
            let mut batch = Batch::new(&[("key", Column::Text)]);
            batch.push(["p1@example.com".into()]);
            let sql = "SELECT a.id FROM {rows} CROSS JOIN address a WHERE a.email_key = rows.key";
            let rows = batch.query(world.services.db.read(), sql, []).await.expect("read");
            let address: i64 = rows[0].try_get_by_index(0).expect("a number");
            let transaction = world.services.db.begin_keyed().await.expect("begun");
            reports::note(&transaction, &[(address, ReportKind::Bounce)], "system", world.services.now())
                .await
                .expect("noted");
            transaction.commit().await.expect("committed");
            world.crm.expect([how]);
            world.work_off(report_jobs(&world).await[0]).await;
            let heard = world.crm.with(|state| state.bounces.get("p1@example.com").copied().unwrap_or_default());
            assert_eq!(heard, usize::from(how != How::HangBefore), "{how:?}");
            let in_doubt = world.count("SELECT count(*) FROM crm_report WHERE state = 5").await;
            let may_be_lost = matches!(how, How::LostAnswer | How::Hang | How::HangBefore);
            assert_eq!(in_doubt, i64::from(may_be_lost), "{how:?}");
            world.close().await;
        }
    }
}
