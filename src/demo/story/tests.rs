use std::collections::HashSet;

use super::*;
use crate::demo::world::CAMPAIGNS;

/// The stories of each `every`-th recipient.
fn stories(seed: u64, every: usize) -> impl Iterator<Item = (Recipient, Vec<Step>)> {
    CAMPAIGNS.iter().flat_map(move |campaign| {
        (0..campaign.size).step_by(every).map(move |place| {
            let recipient = campaign.recipient(seed, place);
            let steps = story(campaign, seed, place, &recipient);
            (recipient, steps)
        })
    })
}

fn has(steps: &[Step], fits: impl Fn(What) -> bool) -> bool {
    steps.iter().any(|step| fits(step.what))
}

#[test]
fn a_seed_tells_the_same_stories() {
    let told = |seed| stories(seed, 97).map(|(_, steps)| steps).collect::<Vec<_>>();
    assert_eq!(told(1), told(1));
    assert_ne!(told(1), told(2));
}

#[test]
fn nothing_happens_to_who_is_skipped() {
    assert!(stories(1, 1).all(|(recipient, steps)| recipient.skip.is_none() || steps.is_empty()));
}

#[test]
fn what_happens_can_be_told_apart() {
    for (recipient, steps) in stories(1, 11) {
        assert!(steps.windows(2).all(|pair| pair[0].at <= pair[1].at));
        if recipient.channel != Channel::Sendgrid {
            let times: HashSet<i64> = steps.iter().map(|step| step.at).collect();
            assert_eq!(times.len(), steps.len());
        }
        assert!(steps.iter().all(|step| (0..END + SECOND).contains(&step.at)));
    }
}

#[test]
fn the_shares_are_those_of_real_campaigns() {
    let mut counts = [0_u32; 14];
    let mut sent = 0;
    for (recipient, steps) in stories(42, 1) {
        sent += u32::from(!steps.is_empty());
        let of = |kind| has(&steps, |what| what.kind() == kind);
        let scanned = recipient.company.is_some_and(|company| company.scanner != Scanner::None);
        let facts = [
            of(EventKind::Delivered),
            of(EventKind::HardBounce),
            of(EventKind::SoftBounce),
            of(EventKind::Blocked),
            of(EventKind::Deferred),
            of(EventKind::Rejected),
            has(&steps, |what| matches!(what, What::Opened(agent) if agent.bot.is_none())),
            has(&steps, |what| matches!(what, What::Opened(agent) if agent.bot.is_some())),
            !scanned && of(EventKind::Clicked),
            scanned && of(EventKind::Clicked),
            of(EventKind::Complained),
            of(EventKind::Unsubscribed),
            of(EventKind::Other),
            of(EventKind::HardBounce) && of(EventKind::Delivered),
        ];
        counts.iter_mut().zip(facts).for_each(|(count, fact)| *count += u32::from(fact));
    }
    let wanted = [
        ("delivered", 0.950..0.980),
        ("hard", 0.018..0.026),
        ("soft", 0.012..0.018),
        ("blocked", 0.003..0.006),
        ("deferred", 0.050..0.070),
        ("rejected", 0.001..0.004),
        ("read", 0.32..0.37),
        ("prefetched", 0.36..0.42),
        ("clicked", 0.05..0.07),
        ("scanned", 0.04..0.06),
        ("complained", 0.000_2..0.001),
        ("unsubscribed", 0.002..0.005),
        ("unknown", 0.000_1..0.001),
        ("bounced late", 0.001..0.004),
    ];
    for ((name, range), count) in wanted.into_iter().zip(counts) {
        let share = f64::from(count) / f64::from(sent);
        assert!(range.contains(&share), "{name}: {share}");
    }
}

#[test]
fn people_read_by_day() {
    let read = |hours: std::ops::Range<i64>| {
        let is_read = |step: &Step| matches!(step.what, What::Opened(agent) if agent.bot.is_none());
        let by_hour = |step: &Step| hours.contains(&((step.at / HOUR + FIRST_HOUR) % 24));
        stories(1, 7).flat_map(|(_, steps)| steps).filter(is_read).filter(by_hour).count()
    };
    assert!(read(9..12) > 8 * read(1..4));
}

#[test]
fn the_words_of_servers_mean_what_is_said_of_them() {
    use domain::smtp::{Reply, reconcile};
    for refusal in [HARD, SOFT, BLOCKED, DEFERRED].into_iter().flatten() {
        let reply = Reply::find(&refusal.line());
        assert_eq!(reply.code, Some(refusal.code));
        assert_eq!(reply.enhanced.map(|code| code.to_string()).as_deref(), Some(refusal.status));
        assert_eq!(reconcile(refusal.kind, None, reply), (refusal.kind, Some(refusal.class)), "{}", refusal.line());
    }
}
