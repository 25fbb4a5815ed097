//! What somebody was sent by a campaign and the reminders of a rule: which of it is the mail itself, and which are reminders.
//!
//! A campaign may have been sent to the same recipient several times, as attempts: because the mail had failed, or because a rule reminds
//! so. The attempts before the first that the rule asked for are the mail itself; from each that it asked for on they are a reminder. Of
//! each the last counts for what became of it, and what people answered to any of them counts.

use domain::Timestamp;
use domain::facts::Facts;

/// What is known of somebody's mails.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mails {
    /// Of the campaign's.
    pub facts: Facts,
    /// Of the reminders that the rule has made, by round.
    pub reminders: Vec<Facts>,
    /// Which rounds these are, in the same order.
    pub rounds: Vec<i64>,
    /// Of the attempts of these mails that were followed by another.
    pub other_attempts: Vec<Facts>,
}

/// By what a rule reminded somebody.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Means {
    /// A recipient of another campaign, of which this is known.
    Campaign(Box<Facts>),
    /// Another attempt, the how manieth.
    Attempt(i64),
    /// Another attempt, which was taken back before it was sent.
    TakenBack,
    /// They became a member of a selection then. What was made of that nobody reports: they count as reminded from that moment on.
    Selection(Timestamp),
}

impl Mails {
    /// Sorts the attempts of somebody, the first one first and the one under way last, by the reminders that a rule has made for them, in
    /// the order of the rounds.
    pub(super) fn new(attempts: Vec<(i64, Facts)>, reminders: Vec<(i64, Means)>) -> Self {
        let asked_for: Vec<i64> = reminders
            .iter()
            .filter_map(|(_, means)| if let Means::Attempt(attempt) = means { Some(*attempt) } else { None })
            .collect();
        let mut mails = Self::default();
        let mut attempts = attempts.into_iter().peekable();
        // Those before `until`: the last of them, and the others to where they belong. There is one at least, unless it was removed.
        let mut before = |until: Option<i64>, others: &mut Vec<Facts>| -> Facts {
            let mut last: Option<Facts> = None;
            while let Some((_, facts)) = attempts.next_if(|(attempt, _)| until.is_none_or(|until| *attempt < until)) {
                others.extend(last.replace(facts));
            }
            last.unwrap_or_default()
        };
        mails.facts = before(asked_for.first().copied(), &mut mails.other_attempts);
        let mut next = asked_for.iter().skip(1).copied();
        for (round, means) in reminders {
            let facts = match means {
                Means::Campaign(facts) => *facts,
                Means::Attempt(_) => before(next.next(), &mut mails.other_attempts),
                Means::TakenBack => Facts { canceled: true, ..Facts::default() },
                Means::Selection(at) => Facts { sent_at: Some(at), ..Facts::default() },
            };
            mails.reminders.push(facts);
            mails.rounds.push(round);
        }
        mails
    }

    /// Of the reminders before a round.
    pub(super) fn reminders_before(&self, round: i64) -> &[Facts] {
        let earlier = self.rounds.partition_point(|of| *of < round);
        self.reminders.get(..earlier).unwrap_or_default()
    }

    /// The round of the next reminder.
    pub(super) fn next_round(&self) -> i64 {
        self.rounds.last().map_or(1, |round| round + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(number: i32) -> Facts {
        Facts { machine_opens: number, ..Facts::default() }
    }

    fn attempts(count: i32) -> Vec<(i64, Facts)> {
        (1..=count).map(|attempt| (i64::from(attempt), mail(attempt))).collect()
    }

    #[test]
    fn attempts_belong_to_the_mail_until_the_rule_asks_for_one() {
        let none = Mails::new(attempts(3), Vec::new());
        assert_eq!((none.facts, none.other_attempts), (mail(3), vec![mail(1), mail(2)]));

        // The first failed and was repeated; the rule asked for the third, which was repeated as well, and for the fifth.
        let reminders =
            vec![(1, Means::Attempt(3)), (2, Means::Selection(Timestamp::from_seconds(9))), (4, Means::Attempt(5))];
        let mails = Mails::new(attempts(5), reminders);
        assert_eq!(mails.facts, mail(2));
        assert_eq!(mails.other_attempts, [mail(1), mail(3)]);
        let handed = Facts { sent_at: Some(Timestamp::from_seconds(9)), ..Facts::default() };
        assert_eq!(mails.reminders, [mail(4), handed, mail(5)]);
        assert_eq!(mails.reminders_before(4), &mails.reminders[..2]);
        assert_eq!((mails.reminders_before(1), mails.next_round()), (&[][..], 5));
    }

    #[test]
    fn what_was_taken_back_is_no_attempt_any_more() {
        let mails = Mails::new(attempts(1), vec![(1, Means::TakenBack)]);
        assert_eq!(mails.facts, mail(1));
        assert_eq!(mails.reminders, [Facts { canceled: true, ..Facts::default() }]);
        assert_eq!(Mails::new(attempts(1), Vec::new()).next_round(), 1);
    }
}
