//! What the figures must be in the end, by the rules of `domain` and without the way there.

use std::collections::{BTreeMap, HashMap};

use domain::Timestamp;
use domain::clicks::{Click, judge, summarise};
use domain::contribution::{Figures, Moment, contribution};
use domain::facts::{Facts, Report};
use domain::machine::{MachineReason, Verdict};
use domain::smtp::Reply;

use super::story::{Step, What, story};
use super::world::{CAMPAIGNS, Campaign, Recipient};

/// The figures that the demo must lead to in a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The campaign's key.
    pub campaign: &'static str,
    /// Its different events.
    pub events: u64,
    /// Its figures.
    pub figures: Figures,
    /// How many recipients each thing happened to.
    pub moments: BTreeMap<Moment, u64>,
}

/// The figures that the story of a seed leads to, where its campaigns are imported as sent.
#[must_use]
pub fn expected(seed: u64) -> Vec<Expected> {
    expected_of_every(seed, 1)
}

/// The figures where only the story of every `nth` recipient is told, as by [`super::stream::Plan::of_every`].
#[must_use]
pub fn expected_of_every(seed: u64, nth: u32) -> Vec<Expected> {
    CAMPAIGNS.iter().map(|campaign| expected_of(campaign, seed, nth)).collect()
}

fn expected_of(campaign: &'static Campaign, seed: u64, nth: u32) -> Expected {
    let mut expected =
        Expected { campaign: campaign.key, events: 0, figures: Figures::default(), moments: BTreeMap::new() };
    for place in 0..campaign.size {
        let recipient = campaign.recipient(seed, place);
        let is_told = place.is_multiple_of(nth);
        let steps = if is_told { story(campaign, seed, place, &recipient) } else { Vec::new() };
        let share = contribution(&facts(campaign, &recipient, &steps), false);
        expected.events += u64::try_from(steps.len()).unwrap_or(u64::MAX);
        expected.figures.add_all(&share.figures, 1);
        for (_, moment) in share.moments {
            *expected.moments.entry(moment).or_default() += 1;
        }
    }
    expected
}

/// What the steps add up to.
fn facts(campaign: &Campaign, recipient: &Recipient, steps: &[Step]) -> Facts {
    let sent_at = recipient.skip.is_none().then(|| campaign.sent_at(Timestamp::default()));
    let mut facts = Facts { skip: recipient.skip, sent_at, ..Facts::default() };
    let mut clicks = Vec::new();
    let mut links: HashMap<&str, i64> = HashMap::new();
    for step in steps {
        let at = Timestamp::from_millis(step.at);
        let words = if let What::Refused(refusal) = step.what { Some(refusal.line()) } else { None };
        let verdict = step.what.is_machine().then_some(Verdict::Machine(MachineReason::ProviderFlag));
        facts.add(&Report {
            kind: step.what.kind(),
            at,
            class: step.what.class(),
            reply: words.as_deref().map(Reply::find).unwrap_or_default(),
            diagnostic: words.as_deref(),
            verdict,
        });
        if let What::Clicked(_, url) = step.what {
            let next = i64::try_from(links.len()).unwrap_or(i64::MAX);
            clicks.push(Click { at, link: *links.entry(url).or_insert(next), own: verdict });
        }
    }
    let verdicts = judge(&clicks);
    facts.set_clicks(summarise(clicks.iter().zip(verdicts)));
    facts
}

impl Expected {
    /// How many recipients it happened to.
    #[must_use]
    pub fn count(&self, moment: Moment) -> u64 {
        self.moments.get(&moment).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
