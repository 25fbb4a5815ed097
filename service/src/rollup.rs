//! Changing the roll-ups beside the rows that they count.
//!
//! The differences of a transaction are gathered here and written by four statements at its end, in key order: roll-up rows are the
//! ones that everybody wants, so they are locked last and in the same order by all.

use std::collections::{BTreeMap, HashMap};

use domain::Timestamp;
use domain::contribution::{BounceReason, Contribution, Figure, Figures, Moment};
use sea_orm::{ConnectionTrait, DbErr};

use crate::batch::{Batch, Column};
use crate::by_status::ByStatus;
use crate::recount::Rows;

/// The differences that a transaction makes to the roll-ups.
#[derive(Debug, Default)]
pub struct RollUp {
    campaigns: BTreeMap<i64, Figures>,
    domains: HashMap<i64, HashMap<String, Figures>>,
    hours: BTreeMap<(i64, i64), [i64; MOMENTS]>,
    bounces: BTreeMap<(i64, BounceReason), i64>,
    links: BTreeMap<(i64, i64), LinkFigures>,
    /// Not a figure, but written with them.
    pub by_status: ByStatus,
}

/// What is counted of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkFigures {
    /// Clicks of persons.
    pub clicks: i64,
    /// Recipients who clicked.
    pub clickers: i64,
    /// Clicks of machines.
    pub machine_clicks: i64,
}

const MOMENTS: usize = Moment::ALL.len();

impl RollUp {
    /// A row of `campaign` changed its contribution from `before` to `after`; a new row had none before.
    pub fn change(&mut self, campaign: i64, domain: &str, before: &Contribution, after: &Contribution) {
        if before == after {
            return;
        }
        let mut difference = after.figures;
        difference.add_all(&before.figures, -1);
        self.campaigns.entry(campaign).or_default().add_all(&difference, 1);
        if !difference.is_zero() {
            let domains = self.domains.entry(campaign).or_default();
            match domains.get_mut(domain) {
                Some(figures) => figures.add_all(&difference, 1),
                None => {
                    domains.insert(domain.to_owned(), difference);
                }
            }
        }
        for (sign, contribution) in [(-1, before), (1, after)] {
            for (hour, moment) in &contribution.moments {
                let hour = self.hours.entry((campaign, hour.micros())).or_default();
                let place = usize::try_from(moment.code() - 1).unwrap_or_default();
                if let Some(count) = hour.get_mut(place) {
                    *count += sign;
                }
            }
            if let Some(reason) = contribution.bounce {
                *self.bounces.entry((campaign, reason)).or_default() += sign;
            }
        }
    }

    /// What clicks count for a link changed.
    pub fn change_link(&mut self, campaign: i64, link: i64, before: LinkFigures, after: LinkFigures) {
        if before != after {
            self.touch(campaign);
            let figures = self.links.entry((campaign, link)).or_default();
            figures.clicks += after.clicks - before.clicks;
            figures.clickers += after.clickers - before.clickers;
            figures.machine_clicks += after.machine_clicks - before.machine_clicks;
        }
    }

    /// Writes a row for the campaign even if nothing of it changes.
    pub fn touch(&mut self, campaign: i64) {
        self.campaigns.entry(campaign).or_default();
    }

    /// The rows by table, as [`crate::recount`] compares them.
    pub(crate) fn rows(&self) -> BTreeMap<&'static str, Rows> {
        let mut tables: BTreeMap<&'static str, Rows> = BTreeMap::new();
        let mut put = |table, key: String, counts: &[i64]| {
            tables.entry(table).or_default().insert(key, counts.to_vec());
        };
        for figures in self.campaigns.values() {
            put("campaign_statistics", String::new(), figures.values());
        }
        for (domain, figures) in self.domains.values().flatten() {
            put("domain_statistics", domain.clone(), figures.values());
        }
        for ((_, hour), counts) in &self.hours {
            put("campaign_hour", hour.to_string(), counts);
        }
        for ((_, reason), count) in &self.bounces {
            let enhanced = reason.enhanced_code.map(|code| code.to_string()).unwrap_or_default();
            let code = smtp_code(reason.smtp_code).unwrap_or_default();
            put("bounce_statistics", format!("{}/{code}/{enhanced}", reason.class.code()), &[*count]);
        }
        tables
    }

    /// The campaigns whose figures change.
    pub fn campaigns(&self) -> impl Iterator<Item = i64> {
        self.campaigns.keys().copied()
    }

    /// Writes the differences.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn write<C: ConnectionTrait>(mut self, connection: &C, now: Timestamp) -> Result<(), DbErr> {
        std::mem::take(&mut self.by_status).write(connection).await?;
        // The campaign's own row first: it stands for the lock on all of the campaign's figures, see `recount`. Behind it only
        // what must be: other transactions wait for it.
        self.write_campaigns(connection, now).await?;
        self.write_domains(connection).await?;
        self.write_hours(connection).await?;
        self.write_bounces(connection).await?;
        self.write_links(connection).await
    }

    async fn write_campaigns<C: ConnectionTrait>(&self, connection: &C, now: Timestamp) -> Result<(), DbErr> {
        let rows: Vec<_> = self.campaigns.iter().map(|(campaign, figures)| (*campaign, None, *figures)).collect();
        let values = figure_batch(rows);
        if values.is_empty() {
            return Ok(());
        }
        let (names, sums) = (figure_names(""), figure_sums("campaign_statistics"));
        let sql = format!(
            "INSERT INTO campaign_statistics (campaign_id, {names}, updated_at) \
             SELECT campaign_id, {names}, {{1}} FROM {{rows}} WHERE true ORDER BY campaign_id \
             ON CONFLICT (campaign_id) DO UPDATE SET {sums}, updated_at = excluded.updated_at"
        );
        values.execute(connection, &sql, [now.micros().into()]).await.map(|_| ())
    }

    async fn write_domains<C: ConnectionTrait>(&self, connection: &C) -> Result<(), DbErr> {
        let mut rows: Vec<_> = Vec::new();
        for (campaign, domains) in &self.domains {
            let changed = domains.iter().filter(|(_, figures)| !figures.is_zero());
            rows.extend(changed.map(|(domain, figures)| (*campaign, Some(domain.clone()), *figures)));
        }
        rows.sort_unstable_by(|left, right| (left.0, &left.1).cmp(&(right.0, &right.1)));
        let values = figure_batch(rows);
        if values.is_empty() {
            return Ok(());
        }
        let (names, sums) = (figure_names(""), figure_sums("domain_statistics"));
        let sql = format!(
            "INSERT INTO domain_statistics (campaign_id, domain, {names}) \
             SELECT campaign_id, domain, {names} FROM {{rows}} WHERE true \
             ON CONFLICT (campaign_id, domain) DO UPDATE SET {sums}"
        );
        values.execute(connection, &sql, []).await.map(|_| ())
    }

    async fn write_hours<C: ConnectionTrait>(&self, connection: &C) -> Result<(), DbErr> {
        let mut batch = Batch::new(HOUR_COLUMNS);
        for ((campaign, hour), counts) in &self.hours {
            let [sent, delivered, soft, hard, opened, clicked, complained, unsubscribed] = *counts;
            if counts.iter().any(|count| *count != 0) {
                batch.push(
                    [*campaign, *hour, sent, delivered, soft, hard, opened, clicked, complained, unsubscribed]
                        .map(Into::into),
                );
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        let names = Moment::ALL.iter().map(|moment| moment.as_str()).collect::<Vec<_>>();
        let sums: Vec<String> =
            names.iter().map(|name| format!("{name} = campaign_hour.{name} + excluded.{name}")).collect();
        let sql = format!(
            "INSERT INTO campaign_hour (campaign_id, hour, {names}) SELECT campaign_id, hour, {names} FROM {{rows}} WHERE true \
             ON CONFLICT (campaign_id, hour) DO UPDATE SET {sums}",
            names = names.join(", "),
            sums = sums.join(", "),
        );
        batch.execute(connection, &sql, []).await.map(|_| ())
    }

    async fn write_bounces<C: ConnectionTrait>(&self, connection: &C) -> Result<(), DbErr> {
        let mut batch = Batch::new(&[
            ("campaign_id", Column::Big),
            ("bounce_class", Column::Small),
            ("smtp_code", Column::Small),
            ("enhanced_code", Column::Text),
            ("recipients", Column::Big),
        ]);
        for ((campaign, reason), count) in self.bounces.iter().filter(|(_, count)| **count != 0) {
            batch.push([
                (*campaign).into(),
                reason.class.code().into(),
                smtp_code(reason.smtp_code).unwrap_or_default().into(),
                reason.enhanced_code.map(|code| code.to_string()).unwrap_or_default().into(),
                (*count).into(),
            ]);
        }
        if batch.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO bounce_statistics (campaign_id, bounce_class, smtp_code, enhanced_code, recipients) \
                   SELECT campaign_id, bounce_class, smtp_code, enhanced_code, recipients FROM {rows} WHERE true \
                   ON CONFLICT (campaign_id, bounce_class, smtp_code, enhanced_code) \
                   DO UPDATE SET recipients = bounce_statistics.recipients + excluded.recipients";
        batch.execute(connection, sql, []).await.map(|_| ())
    }

    async fn write_links<C: ConnectionTrait>(&self, connection: &C) -> Result<(), DbErr> {
        let mut batch = Batch::new(LINK_COLUMNS);
        for ((campaign, link), figures) in &self.links {
            batch.push([*link, *campaign, figures.clicks, figures.clickers, figures.machine_clicks].map(Into::into));
        }
        if batch.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO link_statistics (link_id, campaign_id, clicks, clickers, machine_clicks) \
                   SELECT link_id, campaign_id, clicks, clickers, machine_clicks FROM {rows} WHERE true \
                   ON CONFLICT (link_id) DO UPDATE SET clicks = link_statistics.clicks + excluded.clicks, \
                   clickers = link_statistics.clickers + excluded.clickers, \
                   machine_clicks = link_statistics.machine_clicks + excluded.machine_clicks";
        batch.execute(connection, sql, []).await.map(|_| ())
    }
}

const LINK_COLUMNS: &[(&str, Column)] = &[
    ("link_id", Column::Big),
    ("campaign_id", Column::Big),
    ("clicks", Column::Big),
    ("clickers", Column::Big),
    ("machine_clicks", Column::Big),
];

/// An SMTP reply code as it is stored.
pub(crate) fn smtp_code(code: Option<u16>) -> Option<i16> {
    code.and_then(|code| i16::try_from(code).ok())
}

/// The columns of the figures, each with a prefix, separated by commas.
pub(crate) fn figure_names(prefix: &str) -> String {
    Figure::ALL.iter().map(|figure| format!("{prefix}{}", figure.as_str())).collect::<Vec<_>>().join(", ")
}

/// The columns of the moments, separated by commas.
pub(crate) fn moment_names() -> String {
    Moment::ALL.iter().map(|moment| moment.as_str()).collect::<Vec<_>>().join(", ")
}

fn figure_sums(table: &str) -> String {
    let sum = |figure: &Figure| format!("{name} = {table}.{name} + excluded.{name}", name = figure.as_str());
    Figure::ALL.iter().map(sum).collect::<Vec<_>>().join(", ")
}

fn figure_batch(rows: Vec<(i64, Option<String>, Figures)>) -> Batch {
    let mut batch = Batch::new(FIGURE_COLUMNS);
    for (campaign, domain, figures) in rows {
        let mut values = figures.values().iter().map(|count| (*count).into());
        batch.push_row([campaign.into(), domain.into()].into_iter().chain(&mut values));
    }
    batch
}

const HOUR_COLUMNS: &[(&str, Column)] = &[
    ("campaign_id", Column::Big),
    ("hour", Column::Big),
    ("sent", Column::Big),
    ("delivered", Column::Big),
    ("soft_bounced", Column::Big),
    ("hard_bounced", Column::Big),
    ("opened", Column::Big),
    ("clicked", Column::Big),
    ("complained", Column::Big),
    ("unsubscribed", Column::Big),
];

const FIGURE_COLUMNS: &[(&str, Column)] = &[
    ("campaign_id", Column::Big),
    ("domain", Column::Text),
    ("recipients", Column::Big),
    ("ready", Column::Big),
    ("sent_only", Column::Big),
    ("delivered_only", Column::Big),
    ("read", Column::Big),
    ("clicked_only", Column::Big),
    ("soft_bounced", Column::Big),
    ("hard_bounced", Column::Big),
    ("blocked", Column::Big),
    ("complained_only", Column::Big),
    ("unsubscribed_only", Column::Big),
    ("canceled", Column::Big),
    ("opened", Column::Big),
    ("machine_opened", Column::Big),
    ("clicked", Column::Big),
    ("machine_clicked", Column::Big),
    ("complained", Column::Big),
    ("unsubscribed", Column::Big),
    ("opens", Column::Big),
    ("clicks", Column::Big),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_figures_and_moments() {
        let names = |columns: &[(&'static str, Column)]| columns[2..].iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(FIGURE_COLUMNS), Figure::ALL.iter().map(|figure| figure.as_str()).collect::<Vec<_>>());
        assert_eq!(names(HOUR_COLUMNS), Moment::ALL.iter().map(|moment| moment.as_str()).collect::<Vec<_>>());
    }
}
