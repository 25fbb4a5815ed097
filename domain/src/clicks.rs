//! Judging the clicks of one recipient together: security scanners follow many links of a message at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::Timestamp;
use crate::facts::ClickSummary;
use crate::machine::{MachineReason, Verdict};

/// One click, as far as judging it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Click {
    /// When.
    pub at: Timestamp,
    /// Which link: any number that differs between links.
    pub link: i64,
    /// What the event alone told.
    pub own: Option<Verdict>,
}

/// A burst: this many distinct links …
pub const BURST_LINKS: usize = 3;
/// … within this many microseconds. A second, because several providers give times in whole seconds.
pub const BURST_MICROS: i64 = 1_000_000;

/// The verdict on each click, in the order given: a machine's by the event alone, or as part of a burst; else a person's.
///
/// It depends on the set of clicks only, not on their order, so that a late click can change the verdict of earlier ones.
#[must_use]
pub fn judge(clicks: &[Click]) -> Vec<Verdict> {
    let mut order: Vec<(usize, &Click)> = clicks.iter().enumerate().collect();
    order.sort_by_key(|(_, click)| click.at);
    let mut verdicts: Vec<Verdict> = clicks.iter().map(|click| click.own.unwrap_or(Verdict::Human)).collect();
    // A sliding window that ends at each click in turn, with a count per link. Each click is marked at most once, so the time is
    // linear even if all clicks happen at the same moment.
    let mut links: HashMap<i64, usize> = HashMap::new();
    let (mut start, mut judged) = (0, 0);
    for (end, (_, last)) in order.iter().enumerate() {
        *links.entry(last.link).or_default() += 1;
        while let Some((_, first)) = order.get(start).filter(|(_, first)| last.at.since(first.at) > BURST_MICROS) {
            leave(&mut links, first.link);
            start += 1;
        }
        if links.len() < BURST_LINKS {
            continue;
        }
        for (index, _) in order.get(start.max(judged)..=end).unwrap_or_default() {
            if let Some(verdict) = verdicts.get_mut(*index).filter(|verdict| !verdict.is_machine()) {
                *verdict = Verdict::Machine(MachineReason::Burst);
            }
        }
        judged = end + 1;
    }
    verdicts
}

/// Removes one click on a link from the window.
fn leave(links: &mut HashMap<i64, usize>, link: i64) {
    if let Entry::Occupied(mut count) = links.entry(link) {
        *count.get_mut() = count.get().saturating_sub(1);
        if *count.get() == 0 {
            count.remove();
        }
    }
}

/// What judged clicks add up to.
#[must_use]
pub fn summarise<'a>(clicks: impl IntoIterator<Item = (&'a Click, Verdict)>) -> ClickSummary {
    let mut summary = ClickSummary::default();
    for (click, verdict) in clicks {
        if verdict.is_machine() {
            summary.machine = summary.machine.saturating_add(1);
            continue;
        }
        summary.human = summary.human.saturating_add(1);
        summary.first = Some(summary.first.map_or(click.at, |first| first.min(click.at)));
        summary.last = Some(summary.last.map_or(click.at, |last| last.max(click.at)));
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn click(millis: i64, link: i64) -> Click {
        Click { at: Timestamp::from_millis(millis), link, own: None }
    }

    fn machines(clicks: &[Click]) -> Vec<bool> {
        judge(clicks).into_iter().map(Verdict::is_machine).collect()
    }

    #[test]
    fn many_links_at_once_are_a_scanner() {
        assert_eq!(machines(&[click(0, 1), click(300, 2), click(900, 3)]), [true; 3]);
        assert_eq!(machines(&[click(0, 1), click(300, 2), click(1_500, 3)]), [false; 3]);
        assert_eq!(machines(&[click(0, 1), click(1, 1), click(2, 1), click(3, 1)]), [false; 4]);
    }

    #[test]
    fn a_person_who_clicks_later_is_still_a_person() {
        assert_eq!(machines(&[click(60_000, 1), click(0, 1), click(10, 2), click(20, 3)]), [false, true, true, true]);
    }

    #[test]
    fn simultaneous_clicks_take_linear_time() {
        let clicks: Vec<Click> = (0..200_000).map(|link| click(0, link)).collect();
        assert!(judge(&clicks).into_iter().all(Verdict::is_machine));
    }

    #[test]
    fn a_late_click_changes_earlier_verdicts() {
        let early = [click(0, 1), click(500, 2)];
        assert_eq!(machines(&early), [false, false]);
        assert_eq!(machines(&[early[0], early[1], click(900, 3)]), [true; 3]);
    }

    proptest! {
        #[test]
        fn the_order_does_not_matter(
            (clicks, shuffled) in proptest::collection::vec((0_i64..4_000, 1_i64..5, any::<bool>()), 0..20).prop_flat_map(|raw| {
                let clicks: Vec<Click> = raw.into_iter().map(|(millis, link, machine)| Click {
                    own: machine.then_some(Verdict::Machine(MachineReason::KnownScanner)),
                    ..click(millis, link)
                }).collect();
                (Just(clicks.clone()), Just(clicks).prop_shuffle())
            }))
        {
            let summary = |clicks: &[Click]| summarise(clicks.iter().zip(judge(clicks)));
            prop_assert_eq!(summary(&clicks), summary(&shuffled));
        }

        #[test]
        fn bursts_match_their_definition(
            raw in proptest::collection::vec((0_i64..6_000, 1_i64..6, any::<bool>()), 0..30),
        ) {
            let clicks: Vec<Click> = raw.into_iter().map(|(millis, link, machine)| Click {
                own: machine.then_some(Verdict::Machine(MachineReason::KnownScanner)),
                ..click(millis, link)
            }).collect();
            for (click, verdict) in clicks.iter().zip(judge(&clicks)) {
                // A second that begins with a click contains this one and enough distinct links.
                let in_burst = clicks.iter().any(|first| {
                    let within = |other: &&Click| (0..=BURST_MICROS).contains(&other.at.since(first.at));
                    let links: std::collections::BTreeSet<i64> =
                        clicks.iter().filter(within).map(|other| other.link).collect();
                    within(&click) && links.len() >= BURST_LINKS
                });
                let own = click.own.unwrap_or(Verdict::Human);
                let expected = if in_burst && !own.is_machine() { Verdict::Machine(MachineReason::Burst) } else { own };
                prop_assert_eq!(verdict, expected);
            }
        }

        #[test]
        fn more_clicks_never_acquit(raw in proptest::collection::vec((0_i64..4_000, 1_i64..5), 1..20)) {
            let clicks: Vec<Click> = raw.into_iter().map(|(millis, link)| click(millis, link)).collect();
            let fewer = machines(&clicks[..clicks.len() - 1]);
            let all = machines(&clicks);
            prop_assert!(fewer.iter().zip(&all).all(|(before, after)| !before || *after));
        }
    }
}
