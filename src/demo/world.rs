//! Who is written to: three campaigns and their recipients, all made up.
//!
//! A recipient is a function of the seed and its place, so that nobody has to keep 50,000 of them in memory. Its address lies in a
//! domain that is reserved for examples: no mail to it could ever reach anybody.

use std::io::Read;

use domain::Timestamp;
use domain::status::SkipReason;

use super::dice::{Dice, HOUR, Purpose};
use super::names::{self, BRANCHES, COMPANIES, Company, FIRST_NAMES, LAST_NAMES, MAILBOXES, OWNERS};
use super::signing::Channel;

/// A campaign of the demo.
#[derive(Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Its key.
    pub key: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The subject of its mails.
    pub subject: &'static str,
    /// Whom its mails are from.
    pub from: &'static str,
    /// How many rows its list of recipients has, doubles and invalid addresses included.
    pub size: u32,
    /// When the first mail goes out, in milliseconds since the beginning of the demo.
    pub begin: i64,
    /// How long it takes until the last one has gone out, in milliseconds.
    pub span: i64,
    /// Its links.
    pub links: &'static [&'static str],
    /// What sends it: each channel up to, but not including, this place in the list.
    channels: &'static [(u32, Channel)],
    /// Its list is written as a German Excel writes it: semicolons, German headings, a byte order mark.
    is_german_list: bool,
}

/// The campaigns, the largest first.
pub const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        key: "demo-herbstkatalog",
        name: "Herbstkatalog",
        subject: "Ihr Herbstkatalog ist da: 40 Seiten Ideen für Büro und Lager",
        from: "katalog@versandhaus.example",
        size: 30_000,
        begin: 0,
        span: 6 * HOUR,
        links: &[
            "https://www.versandhaus.example/katalog",
            "https://www.versandhaus.example/katalog/regale?utm_source=newsletter&utm_medium=email",
            "https://www.versandhaus.example/katalog/schreibtische",
            "https://www.versandhaus.example/angebot-der-woche",
            "https://www.versandhaus.example/haendler?plz=",
            "https://www.versandhaus.example/blog/ordnung-im-lager",
            "https://www.versandhaus.example/impressum",
            "https://www.versandhaus.example/abmelden",
        ],
        channels: &[(30_000, Channel::Sendgrid)],
        is_german_list: true,
    },
    Campaign {
        key: "demo-version-8",
        name: "Version 8 is out",
        subject: "What is new in version 8, in five minutes",
        from: "product@versandhaus.example",
        size: 15_000,
        begin: 25 * HOUR,
        span: 4 * HOUR,
        links: &[
            "https://product.versandhaus.example/version-8",
            "https://product.versandhaus.example/version-8/video",
            "https://product.versandhaus.example/docs/upgrade",
            "https://product.versandhaus.example/pricing",
            "https://product.versandhaus.example/webinar?session=2",
            "https://product.versandhaus.example/unsubscribe",
        ],
        channels: &[(15_000, Channel::Mailgun)],
        is_german_list: false,
    },
    Campaign {
        key: "demo-hausmesse",
        name: "Einladung zur Hausmesse",
        subject: "Sie sind eingeladen: Hausmesse am Hafen, mit Führung durch das neue Lager",
        from: "messe@versandhaus.example",
        size: 5_000,
        begin: 29 * HOUR,
        span: HOUR,
        links: &[
            "https://messe.versandhaus.example/anmelden",
            "https://messe.versandhaus.example/programm",
            "https://messe.versandhaus.example/anfahrt",
            "https://messe.versandhaus.example/absagen",
        ],
        channels: &[(3_500, Channel::Postmark), (5_000, Channel::Brevo)],
        is_german_list: true,
    },
];

/// Every so many rows there is one with the address of the row before …
const DOUBLE_EVERY: u32 = 250;
/// … and one whose address is none.
const INVALID_EVERY: u32 = 350;
/// Numbers that scatter places over the names: prime, and no divisor of the number of names.
const SCATTER: u64 = 7_919;

/// A recipient of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The sender's own id of it, unique in the campaign.
    pub id: String,
    /// Its address, or what stands there instead of one.
    pub email: String,
    /// Its first name.
    pub first_name: &'static str,
    /// Its last name.
    pub last_name: &'static str,
    /// Where it works; `None` for a private mailbox.
    pub company: Option<&'static Company>,
    /// Who looks after it.
    pub owner: &'static str,
    /// Its id in the CRM.
    pub crm_id: u32,
    /// What its company does.
    pub branch: &'static str,
    /// What sends its mail.
    pub channel: Channel,
    /// Why the import skips it, and nothing is sent.
    pub skip: Option<SkipReason>,
}

impl Campaign {
    /// Its recipient at a place of the list, from 0.
    #[must_use]
    pub fn recipient(&self, seed: u64, place: u32) -> Recipient {
        let number = self.first_number() + place;
        let mut dice = Dice::new(seed, Purpose::Recipient, number.into());
        let (first_name, last_name, repeat) = name_of(seed, number);
        let company = dice.per_mille(550).then(|| dice.pick(COMPANIES)).flatten();
        let domain = company.map_or_else(|| dice.word(MAILBOXES), |company| company.domain);
        let (first, last) = (names::in_address(first_name), names::in_address(last_name));
        let skip = skip_at(place);
        // Nobody else has the same first name, last name and `repeat`, so no two of these are the same.
        let email = match (skip, company) {
            (Some(SkipReason::Duplicate), _) => self.recipient(seed, place.saturating_sub(1)).email.to_uppercase(),
            (Some(_), _) => format!("{first}.{last}{}{domain}", dice.word(&["@@", " at ", ".", "(at)"])),
            (None, Some(_)) if repeat == 0 => format!("{first}.{last}@{domain}"),
            (None, Some(_)) => format!("{first}.{last}{}@{domain}", repeat + 1),
            (None, None) => format!("{first}_{last}{}@{domain}", 58 + 7 * repeat),
        };
        Recipient {
            id: format!("r{:06}", place + 1),
            email,
            first_name,
            last_name,
            company,
            owner: dice.word(OWNERS),
            crm_id: 100_000 + number,
            branch: dice.word(BRANCHES),
            channel: self.channel(place),
            skip,
        }
    }

    /// Its list of recipients, as a file for the import. It is written while it is read.
    #[must_use]
    pub fn list(&'static self, seed: u64) -> RecipientList {
        RecipientList { campaign: self, seed, next: None, ready: Vec::new(), taken: 0 }
    }

    /// When it goes out, where the demo begins at `beginning`.
    #[must_use]
    pub const fn sent_at(&self, beginning: Timestamp) -> Timestamp {
        beginning.plus_micros(self.begin * 1_000)
    }

    /// When the mail to the recipient at a place goes out: they are sent one after the other.
    #[must_use]
    pub fn send_time(&self, place: u32) -> i64 {
        self.begin + self.span * i64::from(place) / i64::from(self.size.max(1))
    }

    /// The number of its first recipient, counted over all campaigns.
    #[must_use]
    pub fn first_number(&self) -> u32 {
        CAMPAIGNS.iter().take_while(|other| other.key != self.key).map(|other| other.size).sum()
    }

    fn channel(&self, place: u32) -> Channel {
        let mut channels = self.channels.iter();
        channels.find(|(end, _)| place < *end).map_or(Channel::Sendgrid, |(_, channel)| *channel)
    }
}

/// A first name, a last name, and how many recipients before this one have both of them.
fn name_of(seed: u64, number: u32) -> (&'static str, &'static str, u32) {
    let (first_names, names) = (FIRST_NAMES.len(), FIRST_NAMES.len() * LAST_NAMES.len());
    let all = u64::try_from(names).unwrap_or(u64::MAX);
    let scattered = (u64::from(number) * SCATTER + seed % all) % all;
    let place = usize::try_from(scattered).unwrap_or_default();
    let first = FIRST_NAMES.get(place % first_names).copied().unwrap_or_default();
    let last = LAST_NAMES.get(place / first_names).copied().unwrap_or_default();
    (first, last, u32::try_from(u64::from(number) / all).unwrap_or_default())
}

/// Why the import skips the row at this place. The row before a double is never skipped itself.
const fn skip_at(place: u32) -> Option<SkipReason> {
    if place % DOUBLE_EVERY == DOUBLE_EVERY - 1 {
        Some(SkipReason::Duplicate)
    } else if place % INVALID_EVERY == INVALID_EVERY - 1 {
        Some(SkipReason::InvalidAddress)
    } else {
        None
    }
}

/// A list of recipients as a CSV file, see [`Campaign::list`].
#[derive(Debug)]
pub struct RecipientList {
    campaign: &'static Campaign,
    seed: u64,
    /// The next row; `None` before the heading.
    next: Option<u32>,
    ready: Vec<u8>,
    taken: usize,
}

impl RecipientList {
    /// The next line, with its end; `None` after the last.
    fn line(&mut self) -> Option<String> {
        let Some(place) = self.next else {
            self.next = Some(0);
            let heading = if self.campaign.is_german_list {
                "\u{feff}E-Mail;Vorname;Nachname;Firma;Betreuer;CRM-ID;Empfänger-ID;Branche\r\n"
            } else {
                "email,first name,last name,company,owner,crm id,recipient id,branch\n"
            };
            return Some(heading.to_owned());
        };
        if place >= self.campaign.size {
            return None;
        }
        self.next = Some(place + 1);
        let recipient = self.campaign.recipient(self.seed, place);
        let crm_id = recipient.crm_id.to_string();
        let cells = [
            recipient.email.as_str(),
            recipient.first_name,
            recipient.last_name,
            recipient.company.map_or("", |company| company.name),
            recipient.owner,
            &crm_id,
            &recipient.id,
            recipient.branch,
        ];
        let (separator, end) = if self.campaign.is_german_list { (";", "\r\n") } else { (",", "\n") };
        Some(cells.map(cell).join(separator) + end)
    }
}

/// A cell, in quotation marks where it needs them.
fn cell(text: &str) -> String {
    if text.contains([',', ';', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

impl Read for RecipientList {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.taken == self.ready.len() {
            self.ready = self.line().map(String::into_bytes).unwrap_or_default();
            self.taken = 0;
        }
        let count = self.ready.get(self.taken..).unwrap_or_default().read(buffer)?;
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use domain::email::{EmailAddress, key_of};

    use super::*;

    fn everybody(seed: u64) -> impl Iterator<Item = Recipient> {
        CAMPAIGNS.iter().flat_map(move |campaign| (0..campaign.size).map(move |place| campaign.recipient(seed, place)))
    }

    #[test]
    fn fifty_thousand_are_written_to() {
        assert_eq!(CAMPAIGNS.iter().map(|campaign| campaign.size).sum::<u32>(), 50_000);
        assert!(CAMPAIGNS.iter().all(|campaign| (4..=8).contains(&campaign.links.len())));
        assert_eq!(OWNERS.len(), 12);
    }

    #[test]
    fn no_address_could_be_anybodys() {
        for recipient in everybody(1) {
            let text = recipient.email.to_lowercase();
            let domain = text.rsplit(['@', ' ', ')']).next().unwrap_or_default();
            let reserved = ["example", "test", "example.com", "example.net", "example.org"];
            assert!(reserved.iter().any(|end| domain == *end || domain.ends_with(&format!(".{end}"))), "{text}");
        }
    }

    #[test]
    fn addresses_are_unique_but_for_the_doubles() {
        let mut seen = HashSet::new();
        for recipient in everybody(5) {
            let key = key_of(&recipient.email);
            match recipient.skip {
                None => {
                    assert!(EmailAddress::parse(&recipient.email).is_ok(), "{}", recipient.email);
                    assert!(seen.insert(key), "{}", recipient.email);
                }
                Some(SkipReason::Duplicate) => assert!(seen.contains(&key), "{}", recipient.email),
                Some(_) => assert!(EmailAddress::parse(&recipient.email).is_err(), "{}", recipient.email),
            }
        }
    }

    #[test]
    fn a_list_has_a_line_for_each_recipient() {
        for campaign in CAMPAIGNS {
            let mut text = String::new();
            campaign.list(1).read_to_string(&mut text).expect("it is UTF-8");
            assert_eq!(text.lines().count(), usize::try_from(campaign.size).expect("it is small") + 1);
            assert!(text.contains(&campaign.recipient(1, campaign.size - 1).id));
        }
    }

    #[test]
    fn cells_are_quoted_where_they_need_it() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("Werkzeug \"Profi\", Kiel"), "\"Werkzeug \"\"Profi\"\", Kiel\"");
    }
}
