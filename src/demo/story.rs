//! What happens to each mail in 72 hours, with the shares and the timing of real campaigns.
//!
//! A story is a function of the seed and the recipient. Times are milliseconds since the beginning of the demo, which is eight o'clock
//! in the morning where the recipients live: people read their mail by day.

use domain::{BounceClass, EventKind, Provider};

use super::dice::{Dice, HOUR, MINUTE, Purpose, SECOND};
use super::names::Scanner;
use super::signing::Channel;
use super::world::{Campaign, Recipient};

/// How long the demo lasts.
pub const END: i64 = 72 * HOUR;

/// The hour of the day at which it begins.
pub const FIRST_HOUR: i64 = 8;

/// How likely it is, in thousandths, that somebody who could read a mail in an hour of the day does.
const READING_BY_HOUR: [u32; 24] = [
    60, 30, 20, 20, 30, 90, 260, 520, 900, 1_000, 980, 900, 800, 780, 820, 800, 720, 620, 520, 480, 460, 400, 280, 140,
];

/// The words with which a server refuses a mail, and what they mean.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What happened, by the codes in the words.
    pub kind: EventKind,
    /// Why.
    pub class: BounceClass,
    /// The reply code.
    pub code: u16,
    /// The enhanced status code.
    pub status: &'static str,
    /// What follows the codes.
    pub words: &'static str,
}

const fn refusal(kind: EventKind, class: BounceClass, code: u16, status: &'static str, words: &'static str) -> Refusal {
    Refusal { kind, class, code, status, words }
}

impl Refusal {
    /// The whole line.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {} {}", self.code, self.status, self.words)
    }
}

const HARD: &[Refusal] = &[
    refusal(
        EventKind::HardBounce,
        BounceClass::Hard,
        550,
        "5.1.1",
        "The email account that you tried to reach does not exist",
    ),
    refusal(EventKind::HardBounce, BounceClass::Hard, 550, "5.1.1", "User unknown in virtual mailbox table"),
    refusal(EventKind::HardBounce, BounceClass::Hard, 550, "5.1.10", "Recipient not found by address lookup"),
    refusal(EventKind::HardBounce, BounceClass::Hard, 550, "5.2.1", "This mailbox is disabled"),
];

const SOFT: &[Refusal] = &[
    refusal(EventKind::SoftBounce, BounceClass::MailboxFull, 552, "5.2.2", "The mailbox is over its quota"),
    refusal(
        EventKind::SoftBounce,
        BounceClass::Soft,
        421,
        "4.3.2",
        "System not accepting network messages, message expired",
    ),
    refusal(EventKind::SoftBounce, BounceClass::Dns, 451, "4.4.1", "Connection timed out, message expired"),
];

const BLOCKED: &[Refusal] = &[
    refusal(
        EventKind::Blocked,
        BounceClass::Block,
        550,
        "5.7.1",
        "Message rejected due to the reputation of the sending address",
    ),
    refusal(EventKind::Blocked, BounceClass::Block, 554, "5.7.1", "The sending address is on a block list"),
];

const DEFERRED: &[Refusal] = &[
    refusal(EventKind::Deferred, BounceClass::Block, 451, "4.7.1", "Greylisted, please try again later"),
    refusal(EventKind::Deferred, BounceClass::Soft, 450, "4.2.0", "Mailbox busy, try again later"),
    refusal(EventKind::Deferred, BounceClass::Dns, 421, "4.4.5", "Too many connections"),
];

/// A program that opens mails or follows links.
#[derive(Debug, PartialEq, Eq)]
pub struct Agent {
    /// What it calls itself.
    pub user_agent: &'static str,
    /// What it is where it is no person's, in Mailgun's words. That it is one can be told from a single event.
    pub bot: Option<&'static str>,
}

const BROWSERS: &[Agent] = &[
    person(
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    ),
    person(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    ),
    person(
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    ),
    person("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4.0"),
    person(
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
    ),
];

const PROXIES: &[Agent] = &[
    Agent { user_agent: "Mozilla/5.0", bot: Some("apple") },
    Agent { user_agent: "Mozilla/5.0", bot: Some("apple") },
    Agent {
        user_agent: "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
        bot: Some("gmail"),
    },
];

const KNOWN_SCANNER: Agent = Agent { user_agent: "Barracuda Sentinel (EE)", bot: Some("generic") };

/// It gives itself away only by following all links at once.
const DISGUISED_SCANNER: Agent = person(
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Safari/537.36",
);

const fn person(user_agent: &'static str) -> Agent {
    Agent { user_agent, bot: None }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The provider takes the mail over.
    Queued,
    /// It arrives.
    Delivered,
    /// It is refused: for now, for good, or for the sender's sake.
    Refused(&'static Refusal),
    /// The provider does not send it.
    Rejected,
    /// Its pixel is fetched.
    Opened(&'static Agent),
    /// One of its links is followed.
    Clicked(&'static Agent, &'static str),
    /// It is reported as spam.
    Complained,
    /// Its recipient unsubscribes.
    Unsubscribed,
    /// It is answered automatically.
    AutoReply,
    /// Something that only the provider has a word for.
    Unknown,
}

impl What {
    /// What it is in nachfass's words.
    #[must_use]
    pub const fn kind(self) -> EventKind {
        match self {
            Self::Queued => EventKind::Queued,
            Self::Delivered => EventKind::Delivered,
            Self::Refused(refusal) => refusal.kind,
            Self::Rejected => EventKind::Rejected,
            Self::Opened(_) => EventKind::Opened,
            Self::Clicked(..) => EventKind::Clicked,
            Self::Complained => EventKind::Complained,
            Self::Unsubscribed => EventKind::Unsubscribed,
            Self::AutoReply => EventKind::AutoReply,
            Self::Unknown => EventKind::Other,
        }
    }

    /// Why the mail was refused.
    #[must_use]
    pub const fn class(self) -> Option<BounceClass> {
        match self {
            Self::Refused(refusal) => Some(refusal.class),
            Self::AutoReply => Some(BounceClass::AutoReply),
            _ => None,
        }
    }

    /// Whether a single event shows that it was no person.
    #[must_use]
    pub const fn is_machine(self) -> bool {
        matches!(self, Self::Opened(Agent { bot: Some(_), .. }) | Self::Clicked(Agent { bot: Some(_), .. }, _))
    }
}

/// Something that happens to a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, in milliseconds since the beginning: in whole seconds where the provider reports no more.
    pub at: i64,
    /// What.
    pub what: What,
}

/// All that happens to the mail to a recipient and is reported, in the order of time; nothing where none is sent.
#[must_use]
pub fn story(campaign: &'static Campaign, seed: u64, place: u32, recipient: &Recipient) -> Vec<Step> {
    if recipient.skip.is_some() {
        return Vec::new();
    }
    let dice = Dice::new(seed, Purpose::Story, u64::from(campaign.first_number() + place));
    let mut teller = Teller { dice, campaign, steps: Vec::new() };
    teller.tell(campaign.send_time(place), recipient);
    finish(teller.steps, recipient.channel)
}

/// Leaves out what the provider does not report and what happens after the end, and lets no two things happen at the same moment:
/// a provider without event ids could not tell them apart.
fn finish(mut steps: Vec<Step>, channel: Channel) -> Vec<Step> {
    steps.retain(|step| step.at < END && reports(channel, step.what));
    steps.sort_by_key(|step| step.at);
    let mut free = 0;
    for step in &mut steps {
        step.at = step.at.max(free);
        free = step.at + 1;
        if channel.provider() == Provider::Sendgrid {
            step.at -= step.at % SECOND;
        }
    }
    steps
}

/// Whether a provider has a word for it.
const fn reports(channel: Channel, what: What) -> bool {
    match what {
        What::Queued => !matches!(channel, Channel::Postmark),
        What::Rejected => !matches!(channel, Channel::Brevo),
        What::AutoReply => matches!(channel, Channel::Postmark),
        _ => true,
    }
}

struct Teller {
    dice: Dice,
    campaign: &'static Campaign,
    steps: Vec<Step>,
}

impl Teller {
    fn add(&mut self, at: i64, what: What) {
        self.steps.push(Step { at, what });
    }

    /// Adds a refusal in the words of some server.
    fn refuse(&mut self, at: i64, table: &'static [Refusal]) {
        if let Some(refusal) = self.dice.pick(table) {
            self.add(at, What::Refused(refusal));
        }
    }

    fn tell(&mut self, turn: i64, recipient: &Recipient) {
        let sent = turn + self.dice.between(0, 20 * SECOND);
        self.add(sent, What::Queued);
        let tried = sent + self.dice.delay(4 * SECOND, 0.9);
        match self.dice.below(10_000) {
            0..20 => self.add(tried, What::Rejected),
            20..220 => self.refuse(tried, HARD),
            220..260 => self.refuse(tried, BLOCKED),
            260..410 => {
                self.refuse(tried, SOFT);
                if self.dice.per_mille(400) {
                    let later = tried + self.dice.delay(3 * HOUR, 0.6);
                    self.arrive(later, recipient);
                }
            }
            410..1_000 => {
                let arrived = self.defer(tried);
                self.arrive(arrived, recipient);
            }
            _ => self.arrive(tried, recipient),
        }
        if self.dice.below(10_000) < 3 {
            let later = self.dice.between(0, HOUR);
            self.add(tried + later, What::Unknown);
        }
    }

    /// Some deferrals; returns when the mail is taken at last.
    fn defer(&mut self, first: i64) -> i64 {
        let mut at = first;
        for _ in 0..self.dice.times(350) {
            self.refuse(at, DEFERRED);
            at += self.dice.delay(12 * MINUTE, 0.8);
        }
        at
    }

    /// The mail is accepted; what follows.
    fn arrive(&mut self, at: i64, recipient: &Recipient) {
        self.add(at, What::Delivered);
        if self.dice.per_mille(2) {
            let later = at + self.dice.delay(20 * MINUTE, 1.2);
            return self.refuse(later, HARD);
        }
        if self.dice.per_mille(12) {
            let later = at + self.dice.delay(15 * SECOND, 0.7);
            self.add(later, What::AutoReply);
        }
        match recipient.company.map_or(Scanner::None, |company| company.scanner) {
            Scanner::None => {}
            Scanner::Known => self.scan(at, &KNOWN_SCANNER),
            Scanner::Disguised => self.scan(at, &DISGUISED_SCANNER),
        }
        if self.dice.per_mille(400) {
            self.prefetch(at);
        }
        let read = if self.dice.per_mille(360) { self.read(at) } else { None };
        self.object(read, at);
    }

    /// A scanner follows all links within a second.
    fn scan(&mut self, arrived: i64, agent: &'static Agent) {
        let begun = arrived + self.dice.between(300, 2 * SECOND);
        for link in self.campaign.links {
            let at = begun + self.dice.between(0, 900);
            self.add(at, What::Clicked(agent, link));
        }
    }

    /// A proxy fetches the pixel, whether anybody reads the mail or not.
    fn prefetch(&mut self, arrived: i64) {
        let Some(proxy) = self.dice.pick(PROXIES) else { return };
        let mut at = arrived;
        for _ in 0..self.dice.times(300) {
            at += self.dice.delay(9 * MINUTE, 1.4);
            self.add(at, What::Opened(proxy));
        }
    }

    /// Somebody reads the mail, perhaps again, and perhaps follows links. Returns when it was read last, if there was time for it.
    fn read(&mut self, arrived: i64) -> Option<i64> {
        let browser = self.dice.pick(BROWSERS)?;
        let mut at = self.by_day(arrived, 2 * HOUR);
        let first = at;
        for _ in 0..self.dice.times(430) {
            self.add(at, What::Opened(browser));
            at = self.by_day(at, 5 * HOUR);
        }
        if self.dice.per_mille(175) {
            let mut at = first;
            for _ in 0..self.dice.times(400) {
                at += self.dice.between(3 * SECOND, 2 * MINUTE);
                if let Some(link) = self.dice.pick(self.campaign.links) {
                    self.add(at, What::Clicked(browser, link));
                }
            }
        }
        Some(first).filter(|first| *first < END)
    }

    /// Complaints and unsubscriptions: mostly after reading, at times at the sight of the subject.
    fn object(&mut self, read: Option<i64>, arrived: i64) {
        let chance = self.dice.below(100_000);
        let what = match (read, chance) {
            (Some(_), 0..80) | (None, 0..35) => What::Complained,
            (Some(_), 80..700) | (None, 35..165) => What::Unsubscribed,
            _ => return,
        };
        let at = read.unwrap_or(arrived) + self.dice.delay(MINUTE, 0.8);
        self.add(at, what);
    }

    /// A moment after `from` at which a person may have looked into the mailbox.
    fn by_day(&mut self, from: i64, median: i64) -> i64 {
        let mut at = from + self.dice.delay(median, 1.5);
        // Who does not look now looks later: at night, that is the next morning.
        for _ in 0..40 {
            let hour = usize::try_from((at / HOUR + FIRST_HOUR) % 24).unwrap_or_default();
            if self.dice.per_mille(READING_BY_HOUR.get(hour).copied().unwrap_or(1_000)) {
                break;
            }
            at += self.dice.between(10 * MINUTE, 90 * MINUTE);
        }
        at
    }
}

#[cfg(test)]
mod tests;
