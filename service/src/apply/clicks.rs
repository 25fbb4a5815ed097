//! Clicks: kept one by one, judged together for each recipient, counted for each link.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::Timestamp;
use domain::clicks::{Click, judge, summarise};
use domain::facts::ClickSummary;
use domain::machine::Verdict;
use sea_orm::ConnectionTrait;

use super::pending::{Pending, RecipientKey, sha256_hex, verdict_code, verdict_from_code};
use crate::batch::{Batch, Column};
use crate::error::Result;
use crate::rollup::{LinkFigures, RollUp};

/// A click as it is stored, and the verdict that was on it so far: `None` for a new one.
struct Stored {
    id: i64,
    attempt: i32,
    click: Click,
    verdict: Option<Verdict>,
}

/// Keeps new clicks, judges all clicks of their recipients anew, those of each attempt together, and returns what these add up to.
///
/// A link counts the clicks of all attempts: they happened. The recipients are locked by the caller.
pub async fn record<C: ConnectionTrait>(
    connection: &C,
    new: &[&Pending],
    rollup: &mut RollUp,
) -> Result<BTreeMap<(RecipientKey, i32), ClickSummary>> {
    let links = links(connection, new).await?;
    let mut clicks = known(connection, new).await?;
    for event in new {
        let (Some(key), Some(url)) = (event.matched, url(event)) else { continue };
        let Some(link) = links.get(&(key.campaign, url)).copied() else { continue };
        let click = Click { at: event.occurred_at, link, own: event.verdict };
        clicks.entry(key).or_default().push(Stored { id: event.id, attempt: event.attempt, click, verdict: None });
    }
    let mut summaries = BTreeMap::new();
    let mut figures: BTreeMap<(i64, i64), [LinkFigures; 2]> = BTreeMap::new();
    let mut inserts = Batch::new(CLICK_COLUMNS);
    let mut changes = Batch::new(&[("campaign_id", Column::Big), ("id", Column::Big), ("verdict", Column::Small)]);
    for (key, stored) in &clicks {
        let mut judged = Vec::with_capacity(stored.len());
        let attempts: BTreeSet<i32> = stored.iter().map(|stored| stored.attempt).collect();
        for attempt in attempts {
            let own: Vec<&Stored> = stored.iter().filter(|stored| stored.attempt == attempt).collect();
            let all: Vec<Click> = own.iter().map(|stored| stored.click).collect();
            let verdicts = judge(&all);
            summaries.insert((*key, attempt), summarise(all.iter().zip(verdicts.iter().copied())));
            judged.extend(own.into_iter().zip(verdicts));
        }
        count_links(&mut figures, key.campaign, &judged);
        for (stored, verdict) in judged {
            let code = verdict_code(Some(verdict)).unwrap_or_default();
            match stored.verdict {
                None => inserts.push([
                    key.campaign.into(),
                    stored.id.into(),
                    key.number.into(),
                    stored.click.link.into(),
                    stored.click.at.micros().into(),
                    verdict_code(stored.click.own).into(),
                    code.into(),
                    stored.attempt.into(),
                ]),
                Some(before) if before != verdict => changes.push([key.campaign.into(), stored.id.into(), code.into()]),
                Some(_) => {}
            }
        }
    }
    if !inserts.is_empty() {
        let sql = "INSERT INTO click (campaign_id, id, recipient, link_id, occurred_at, own_verdict, verdict, attempt) \
                   SELECT campaign_id, id, recipient, link_id, occurred_at, own_verdict, verdict, attempt FROM {rows}";
        inserts.execute(connection, sql, []).await?;
    }
    if !changes.is_empty() {
        let sql = "UPDATE click SET verdict = rows.verdict FROM {rows} \
                   WHERE click.campaign_id = rows.campaign_id AND click.id = rows.id";
        changes.execute(connection, sql, []).await?;
    }
    for ((campaign, link), [before, after]) in figures {
        rollup.change_link(campaign, link, before, after);
    }
    Ok(summaries)
}

const CLICK_COLUMNS: &[(&str, Column)] = &[
    ("campaign_id", Column::Big),
    ("id", Column::Big),
    ("recipient", Column::Big),
    ("link_id", Column::Big),
    ("occurred_at", Column::Big),
    ("own_verdict", Column::Small),
    ("verdict", Column::Small),
    ("attempt", Column::Int),
];

/// A click without a link counts all the same, under an empty one.
fn url(event: &Pending) -> Option<String> {
    Some(event.url.clone().unwrap_or_default())
}

/// The links of the clicks by campaign and URL, made where they are missing.
async fn links<C: ConnectionTrait>(connection: &C, clicks: &[&Pending]) -> Result<HashMap<(i64, String), i64>> {
    let wanted: BTreeSet<(i64, String)> =
        clicks.iter().filter_map(|event| Some((event.matched?.campaign, url(event)?))).collect();
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("url", Column::Text), ("url_hash", Column::Text)]);
    for (campaign, url) in wanted {
        let hash = sha256_hex(url.as_bytes());
        batch.push([campaign.into(), url.into(), hash.into()]);
    }
    let sql = "SELECT rows.campaign_id, rows.url, tracked_link.id FROM {rows} LEFT JOIN tracked_link \
               ON tracked_link.campaign_id = rows.campaign_id AND tracked_link.url_hash = rows.url_hash";
    let mut ids = HashMap::new();
    let read = |rows: Vec<sea_orm::QueryResult>, ids: &mut HashMap<(i64, String), i64>| -> Result<bool> {
        let mut complete = true;
        for row in rows {
            match row.try_get_by_index::<Option<i64>>(2)? {
                Some(id) => {
                    ids.insert((row.try_get_by_index(0)?, row.try_get_by_index(1)?), id);
                }
                None => complete = false,
            }
        }
        Ok(complete)
    };
    if read(batch.clone().query(connection, sql, []).await?, &mut ids)? {
        return Ok(ids);
    }
    let insert = "INSERT INTO tracked_link (campaign_id, url, url_hash) SELECT campaign_id, url, url_hash FROM {rows} \
                  WHERE true ORDER BY campaign_id, url_hash ON CONFLICT (campaign_id, url_hash) DO NOTHING";
    batch.clone().execute(connection, insert, []).await?;
    read(batch.query(connection, sql, []).await?, &mut ids)?;
    Ok(ids)
}

/// The clicks of these recipients that are known already.
async fn known<C: ConnectionTrait>(connection: &C, clicks: &[&Pending]) -> Result<BTreeMap<RecipientKey, Vec<Stored>>> {
    let keys: BTreeSet<RecipientKey> = clicks.iter().filter_map(|event| event.matched).collect();
    let mut batch = Batch::new(&[("campaign_id", Column::Big), ("recipient", Column::Big)]);
    keys.into_iter().for_each(|key| batch.push([key.campaign.into(), key.number.into()]));
    let sql = "SELECT click.campaign_id, click.recipient, click.id, click.occurred_at, click.link_id, click.own_verdict, \
               click.verdict, click.attempt FROM {rows} \
               JOIN click ON click.campaign_id = rows.campaign_id AND click.recipient = rows.recipient";
    let mut found: BTreeMap<RecipientKey, Vec<Stored>> = BTreeMap::new();
    for row in batch.query(connection, sql, []).await? {
        let key = RecipientKey { campaign: row.try_get_by_index(0)?, number: row.try_get_by_index(1)? };
        let click = Click {
            at: Timestamp::from_micros(row.try_get_by_index(3)?),
            link: row.try_get_by_index(4)?,
            own: verdict_from_code(row.try_get_by_index(5)?),
        };
        let verdict = verdict_from_code(Some(row.try_get_by_index(6)?)).or(Some(Verdict::Human));
        let (id, attempt) = (row.try_get_by_index(2)?, row.try_get_by_index(7)?);
        found.entry(key).or_default().push(Stored { id, attempt, click, verdict });
    }
    Ok(found)
}

/// Adds what one recipient's clicks count for links: before and after the new verdicts.
fn count_links(figures: &mut BTreeMap<(i64, i64), [LinkFigures; 2]>, campaign: i64, judged: &[(&Stored, Verdict)]) {
    let mut clicked: BTreeSet<(i64, usize)> = BTreeSet::new();
    for (stored, after) in judged {
        let link = stored.click.link;
        let sides = figures.entry((campaign, link)).or_default();
        for ((place, side), verdict) in sides.iter_mut().enumerate().zip([stored.verdict, Some(*after)]) {
            match verdict {
                Some(Verdict::Human) => {
                    side.clicks += 1;
                    side.clickers += i64::from(clicked.insert((link, place)));
                }
                Some(Verdict::Machine(_)) => side.machine_clicks += 1,
                None => {}
            }
        }
    }
}
