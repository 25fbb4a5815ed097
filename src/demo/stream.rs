//! All requests of the demo, in the order in which they would arrive: some late, some twice, many out of order.
//!
//! What is kept is which step of whose story arrives when, 16 bytes each. The body of a request is made when its turn comes.

use domain::Timestamp;
use serde_json::Value;

use super::dice::{Dice, HOUR, MINUTE, Purpose, SECOND};
use super::payload::Happening;
use super::signing::{Channel, Keys};
use super::story::story;
use super::world::{CAMPAIGNS, Campaign};

/// So many of a thousand events are reported minutes to hours late.
const LATE_PER_MILLE: u32 = 30;
/// So many of a thousand requests come twice.
const TWICE_PER_MILLE: u32 = 20;
/// As long events are gathered into a batch, in milliseconds.
const BATCH_WINDOW: i64 = 20 * SECOND;

/// A step of somebody's story that arrives.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: i64,
    place: u32,
    step: u16,
    campaign: u8,
    channel: Channel,
}

/// A request: so many arrivals from the first on.
#[derive(Clone, Copy, Debug)]
struct Parcel {
    at: i64,
    first: u32,
    count: u32,
}

/// A request to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Who posts it.
    pub channel: Channel,
    /// When, in milliseconds since the beginning of the demo.
    pub at: i64,
    /// How many events it holds.
    pub events: u32,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Which requests there are, and when.
#[derive(Debug)]
pub struct Plan {
    seed: u64,
    arrivals: Vec<Arrival>,
    parcels: Vec<Parcel>,
}

impl Plan {
    /// The plan of a seed. It takes a moment: all stories are told once.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of_every(seed, 1)
    }

    /// The plan in which only the story of every `nth` recipient is told: the same mixture in a fraction of the time.
    #[must_use]
    pub fn of_every(seed: u64, nth: u32) -> Self {
        let everything = (0..).zip(CAMPAIGNS).flat_map(|(index, campaign)| {
            let told = (0..campaign.size).filter(move |place| place.is_multiple_of(nth));
            told.flat_map(move |place| arrivals(seed, index, campaign, place))
        });
        let mut arrivals: Vec<Arrival> = everything.collect();
        arrivals.sort_by_key(|arrival| (arrival.channel, arrival.at, arrival.place, arrival.step));
        let mut parcels = parcels(&arrivals);
        let mut dice = Dice::new(seed, Purpose::Repeats, 0);
        let again = |parcel: &Parcel| {
            let is_repeated = dice.per_mille(TWICE_PER_MILLE);
            let later = parcel.at + dice.between(5 * SECOND, HOUR);
            is_repeated.then_some(Parcel { at: later, ..*parcel })
        };
        let repeats: Vec<Parcel> = parcels.iter().filter_map(again).collect();
        parcels.extend(repeats);
        parcels.sort_by_key(|parcel| (parcel.at, parcel.first));
        Self { seed, arrivals, parcels }
    }

    /// How many requests there are.
    #[must_use]
    pub const fn requests(&self) -> usize {
        self.parcels.len()
    }

    /// How many different events there are.
    #[must_use]
    pub const fn events(&self) -> usize {
        self.arrivals.len()
    }

    /// The requests of a demo that began at `beginning`, all signed at `signed_at`. Each is made when it is asked for.
    pub fn postings(
        self,
        beginning: Timestamp,
        signed_at: Timestamp,
    ) -> impl Iterator<Item = Posting> + Send + 'static {
        let keys = Keys::new(self.seed);
        let Self { seed, arrivals, parcels } = self;
        parcels.into_iter().filter_map(move |parcel| {
            let first = usize::try_from(parcel.first).ok()?;
            let count = usize::try_from(parcel.count).ok()?;
            let included = arrivals.get(first..first + count)?;
            let channel = included.first()?.channel;
            let events = included.iter().filter_map(|arrival| arrival.payload(seed, beginning)).collect();
            let (headers, body) = keys.sign(channel, events, signed_at);
            Some(Posting { channel, at: parcel.at, events: parcel.count, headers, body })
        })
    }
}

impl Arrival {
    fn payload(&self, seed: u64, beginning: Timestamp) -> Option<Value> {
        let campaign = CAMPAIGNS.get(usize::from(self.campaign))?;
        let recipient = campaign.recipient(seed, self.place);
        let steps = story(campaign, seed, self.place, &recipient);
        let step = steps.get(usize::from(self.step))?;
        let happening = Happening {
            campaign,
            recipient: &recipient,
            seed,
            number: campaign.first_number() + self.place,
            step: self.step,
            at: beginning.plus_micros(step.at * 1_000),
            what: step.what,
        };
        Some(happening.payload())
    }
}

/// When the steps of a recipient's story are reported.
fn arrivals(seed: u64, index: u8, campaign: &'static Campaign, place: u32) -> impl Iterator<Item = Arrival> {
    let recipient = campaign.recipient(seed, place);
    let mut dice = Dice::new(seed, Purpose::Arrival, u64::from(campaign.first_number() + place));
    let steps = story(campaign, seed, place, &recipient);
    (0..).zip(steps).map(move |(number, step)| {
        // A provider's machines report independently of each other: what lies close together arrives in any order.
        let mut at = step.at + dice.between(200, 15 * SECOND);
        if dice.per_mille(LATE_PER_MILLE) {
            at += dice.delay(25 * MINUTE, 1.0).clamp(MINUTE, 6 * HOUR);
        }
        Arrival { at, place, step: number, campaign: index, channel: recipient.channel }
    })
}

/// Puts arrivals that follow each other at the same channel into requests.
fn parcels(arrivals: &[Arrival]) -> Vec<Parcel> {
    let mut parcels: Vec<Parcel> = Vec::with_capacity(arrivals.len());
    let mut begun: Option<Arrival> = None;
    for (place, arrival) in (0..).zip(arrivals) {
        let joins = begun.zip(parcels.last_mut()).filter(|(begun, parcel)| {
            let has_room = usize::try_from(parcel.count).is_ok_and(|count| count < arrival.channel.batch());
            begun.channel == arrival.channel && has_room && arrival.at - begun.at < BATCH_WINDOW
        });
        if let Some((_, parcel)) = joins {
            parcel.count += 1;
            parcel.at = arrival.at;
        } else {
            parcels.push(Parcel { at: arrival.at, first: place, count: 1 });
            begun = Some(*arrival);
        }
    }
    parcels
}

#[cfg(test)]
mod tests;
