//! Campaigns and what their figures consist of, over both databases.

use domain::campaign::CampaignState;
use domain::{BounceClass, Timestamp};

use super::*;
use crate::recipients::paging::PageArgs;
use crate::recipients::tests::fixture::{CAMPAIGN, Fixture};
use crate::subject::Role;
use domain::privacy::HIDDEN;

const HOUR: i64 = Timestamp::HOUR;

async fn seeded() -> Vec<Fixture> {
    let fixtures = Fixture::each(&[]).await;
    for fixture in &fixtures {
        for sql in [
            "UPDATE campaign_statistics SET recipients = 30, sent_only = 30 WHERE campaign_id = 1",
            "INSERT INTO domain_statistics (campaign_id, domain, recipients) VALUES \
                (1, 'small.example', 3), (1, 'large.example', 20), (1, 'gone.example', 0), (1, 'a.example', 3), (2, 'x.example', 9)",
            "INSERT INTO link_statistics (link_id, campaign_id, clicks, clickers, machine_clicks) VALUES (2, 1, 5, 4, 3)",
            "INSERT INTO bounce_statistics (campaign_id, bounce_class, smtp_code, enhanced_code, recipients) VALUES \
                (1, 1, 550, '5.1.1', 2), (1, 8, 0, '', 7), (1, 2, 450, '', 0)",
        ] {
            fixture.run(sql, []).await;
        }
        let hours: [(i64, i64, i64); 5] = [(-1, 9, 0), (0, 1, 2), (23, 3, 0), (24, 0, 0), (30, 0, 4)];
        for (hour, sent, opened) in hours {
            let sql = "INSERT INTO campaign_hour (campaign_id, hour, sent, opened) VALUES (1, $1, $2, $3)";
            fixture.run(sql, [(hour * HOUR).into(), sent.into(), opened.into()]).await;
        }
    }
    fixtures
}

#[tokio::test]
async fn the_timeline_has_what_happened_by_hour_and_by_day() {
    for fixture in seeded().await {
        let reader = fixture.reader(Role::Viewer);
        let read = async |interval, from: Option<i64>, to: Option<i64>| {
            let moment = |at: Option<i64>| at.map(Timestamp::from_micros);
            let points = reader.timeline(CAMPAIGN, interval, moment(from), moment(to)).await.expect("points");
            points.into_iter().map(|point| (point.at.micros() / HOUR, point.sent, point.opened)).collect::<Vec<_>>()
        };
        let hours = [(-1, 9, 0), (0, 1, 2), (23, 3, 0), (30, 0, 4)];
        assert_eq!(read(Interval::Hour, None, None).await, hours);
        assert_eq!(read(Interval::Day, None, None).await, [(-24, 9, 0), (0, 4, 2), (24, 0, 4)]);
        // The hour that holds `from` is part of it; what begins at `to` is not.
        assert_eq!(read(Interval::Hour, Some(1), Some(23 * HOUR)).await, hours[1..2]);
        assert_eq!(read(Interval::Day, Some(23 * HOUR), None).await, [(0, 4, 2), (24, 0, 4)]);
        fixture.close().await;
    }
}

#[tokio::test]
async fn figures_are_broken_down_by_domain_link_and_reason() {
    for fixture in seeded().await {
        let (marketer, viewer) = (fixture.reader(Role::Marketer), fixture.reader(Role::Viewer));
        let domains = async |reader: &crate::Reader, first| {
            let domains = reader.domains(CAMPAIGN, first).await.expect("domains");
            domains.into_iter().map(|part| part.domain).collect::<Vec<_>>()
        };
        assert_eq!(domains(&marketer, 9).await, ["large.example", "a.example", "small.example"]);
        assert_eq!(domains(&marketer, 1).await, ["large.example"]);
        assert_eq!(domains(&viewer, 9).await, ["large.example", HIDDEN, HIDDEN]);
        assert!(marketer.domains(CAMPAIGN, 1_001).await.is_err());

        let links = marketer.links(CAMPAIGN, 9).await.expect("links");
        assert_eq!(links.iter().map(|link| (link.id, link.clicks)).collect::<Vec<_>>(), [(2, 5), (1, 0), (3, 0)]);
        assert_eq!(links[1].url, "https://example.com/a?t=erika");
        assert_eq!(viewer.links(CAMPAIGN, 9).await.expect("links")[1].url, "https://example.com");

        let reasons = viewer.bounce_reasons(CAMPAIGN).await.expect("reasons");
        let reason = |class, smtp_code, enhanced_code: Option<&str>, recipients| BounceReasonCount {
            class,
            smtp_code,
            enhanced_code: enhanced_code.map(str::to_owned),
            recipients,
        };
        assert_eq!(
            reasons,
            [reason(BounceClass::Unknown, None, None, 7), reason(BounceClass::Hard, Some(550), Some("5.1.1"), 2)]
        );
        fixture.close().await;
    }
}

#[tokio::test]
async fn campaigns_are_found_ordered_and_read_with_their_figures_in_one_statement() {
    for fixture in seeded().await {
        for (id, name, sent_at) in [(3_i64, "Autumn 100%", Some(5_i64)), (4, "Spring", Some(3)), (5, "Winter", None)] {
            let sql = "INSERT INTO campaign (id, key, name, state, sent_at, parent_id, created_by, created_at) \
                VALUES ($1, $2, $3, 3, $4, 1, 'cli', 0)";
            fixture.run(sql, [id.into(), format!("key-{id}").into(), name.to_owned().into(), sent_at.into()]).await;
        }
        let reader = fixture.reader(Role::Viewer);
        fixture.statements();
        let find = async |query: &CampaignQuery| {
            let mut ids = Vec::new();
            let mut after = None;
            loop {
                let args = PageArgs { first: Some(2), after: after.clone(), ..PageArgs::default() };
                let page = reader.campaigns(query, &args).await.expect("a page");
                assert_eq!(fixture.statements(), 1);
                ids.extend(page.rows.iter().map(|campaign| campaign.id));
                if !page.has_next {
                    return ids;
                }
                after = page.end_cursor().expect("sealed");
            }
        };
        let query = |order, descending, filter: CampaignFilter| CampaignQuery { filter, order, descending };
        let all = CampaignFilter::default;
        assert_eq!(find(&query(CampaignOrder::CreatedAt, false, all())).await, [1, 2, 3, 4, 5]);
        assert_eq!(find(&query(CampaignOrder::CreatedAt, true, all())).await, [5, 4, 3, 2, 1]);
        assert_eq!(find(&query(CampaignOrder::Name, false, all())).await, [3, 2, 1, 4, 5]);
        assert_eq!(find(&query(CampaignOrder::SentAt, true, all())).await, [3, 4, 5, 2, 1]);
        let search = |text: &str| CampaignFilter { search: Some(text.to_owned()), ..all() };
        assert_eq!(find(&query(CampaignOrder::Name, false, search("SPRING"))).await, [1, 4]);
        assert_eq!(find(&query(CampaignOrder::Name, false, search("0%"))).await, [3]);
        let drafts = CampaignFilter { states: vec![CampaignState::Draft], ..all() };
        assert_eq!(find(&query(CampaignOrder::Name, false, drafts)).await, [2]);

        let campaign = reader.campaign(CAMPAIGN).await.expect("a campaign").expect("there");
        assert_eq!((campaign.statistics.sent(), campaign.statistics.updated_at.micros()), (30, 7));
        let without_figures = reader.campaign(3).await.expect("a campaign").expect("there");
        assert_eq!(without_figures.statistics, CampaignStatistics::default());
        let reminders = reader.reminders(&[1, 2]).await.expect("reminders");
        assert_eq!(reminders[&1].iter().map(|campaign| campaign.id).collect::<Vec<_>>(), [3, 4, 5]);
        assert!(reader.campaign(9).await.expect("an answer").is_none());
        fixture.close().await;
    }
}
