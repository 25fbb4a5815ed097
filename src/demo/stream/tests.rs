use std::collections::HashSet;

use connectors::providers::{Request, webhook};
use connectors::sources::SourceSettings;
use domain::Event;

use super::*;
use crate::demo::story::Step;
use crate::demo::{beginning, sources};

const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);

fn source_of(channel: Channel, seed: u64) -> SourceSettings {
    sources(seed).into_iter().find(|source| source.name == channel.source()).expect("each channel has a source")
}

/// What an adapter makes of a request, once it has believed it.
fn read_back(posting: &Posting, source: &SourceSettings) -> Vec<Event> {
    let headers: Vec<(String, String)> =
        posting.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let request = Request {
        headers: &headers,
        body: &posting.body,
        urls: &[],
        received_at: NOW,
        campaign_keys: &source.campaign_keys,
        recipient_keys: &source.recipient_keys,
        certificate: None,
    };
    let adapter = webhook(source.provider);
    if !source.secrets.is_empty() {
        adapter.verify(&request, &source.secrets, NOW).expect("the signature fits");
    }
    for pair in &source.basic_auth {
        use base64::Engine;
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        assert_eq!(request.header("authorization"), Some(format!("Basic {encoded}").as_str()));
    }
    let reading = adapter.read(&request).expect("it is the provider's");
    assert_eq!(reading.failures, []);
    reading.events
}

/// Whether an event says just what happened.
fn tells(event: &Event, step: &Step, recipient_email: &str) -> bool {
    use crate::demo::story::What;
    let url = if let What::Clicked(_, url) = step.what { Some(url) } else { None };
    let code = if let What::Refused(refusal) = step.what { Some(refusal.code) } else { None };
    event.kind == step.what.kind()
        && event.occurred_at == beginning(NOW).plus_micros(step.at * 1_000)
        && event.bounce_class == step.what.class()
        && event.verdict.is_some_and(|verdict| verdict.is_machine()) == step.what.is_machine()
        && event.url.as_deref() == url
        && (code.is_none() || event.smtp_code == code)
        && event.recipient.as_deref() == Some(recipient_email)
}

#[test]
fn every_request_is_read_back_as_what_happened() {
    let seed = 7;
    let plan = Plan::new(seed);
    let (arrivals, parcels) = (plan.arrivals, plan.parcels);
    let sources = Channel::ALL.map(|channel| source_of(channel, seed));
    // A sample of what is the same code a hundred thousand times, and all of what has few requests.
    let sample = |(index, parcel): &(usize, Parcel)| {
        let channel = arrivals[usize::try_from(parcel.first).expect("it is small")].channel;
        matches!(channel, Channel::Postmark | Channel::Brevo) || index % 97 == 0
    };
    let wanted: HashSet<usize> = parcels.iter().copied().enumerate().filter(sample).map(|(index, _)| index).collect();
    let mut ids = HashSet::new();
    let picked = Plan { seed, arrivals: arrivals.clone(), parcels: parcels_at(&parcels, &wanted) };
    let chosen = picked.parcels.clone();
    for (posting, parcel) in picked.postings(beginning(NOW), NOW).zip(&chosen) {
        let source = sources.iter().find(|source| source.name == posting.channel.source()).expect("it has one");
        let events = read_back(&posting, source);
        let first = usize::try_from(parcel.first).expect("it is small");
        let included = &arrivals[first..][..events.len()];
        assert_eq!(events.len(), usize::try_from(posting.events).expect("it is small"));
        for (event, arrival) in events.iter().zip(included) {
            let campaign = &CAMPAIGNS[usize::from(arrival.campaign)];
            let recipient = campaign.recipient(seed, arrival.place);
            let steps = story(campaign, seed, arrival.place, &recipient);
            let step = &steps[usize::from(arrival.step)];
            assert!(tells(event, step, &recipient.email), "{step:?}: {event:?}");
            assert_eq!(event.campaign.as_deref(), Some(campaign.key));
            assert_eq!(event.recipient_ref.as_deref(), Some(recipient.id.as_str()));
            ids.insert((event.provider, event.event_id.clone(), arrival.campaign, arrival.place, arrival.step));
        }
    }
    // One id for one thing that happened.
    let keys: HashSet<_> = ids.iter().map(|(provider, id, ..)| (provider, id)).collect();
    assert_eq!(keys.len(), ids.len());
}

fn parcels_at(parcels: &[Parcel], wanted: &HashSet<usize>) -> Vec<Parcel> {
    parcels.iter().enumerate().filter(|(index, _)| wanted.contains(index)).map(|(_, parcel)| *parcel).collect()
}

#[test]
fn everything_that_happens_is_reported_and_some_of_it_twice() {
    let plan = Plan::new(3);
    let mut times = vec![0_u8; plan.arrivals.len()];
    for parcel in &plan.parcels {
        let first = usize::try_from(parcel.first).expect("it is small");
        let count = usize::try_from(parcel.count).expect("it is small");
        times[first..first + count].iter_mut().for_each(|times| *times += 1);
    }
    assert!(times.iter().all(|times| (1..=2).contains(times)));
    let requests = plan.parcels.len();
    let different = plan.parcels.iter().map(|parcel| parcel.first).collect::<HashSet<_>>().len();
    let twice = requests - different;
    assert!((requests * 15..requests * 25).contains(&(twice * 1_000)), "{twice} of {requests}");

    let told: usize =
        crate::demo::expected(3).iter().map(|expected| usize::try_from(expected.events).expect("few")).sum();
    assert_eq!(plan.events(), told);
    let steps: HashSet<_> =
        plan.arrivals.iter().map(|arrival| (arrival.campaign, arrival.place, arrival.step)).collect();
    assert_eq!(steps.len(), told);
}

#[test]
fn what_happens_is_reported_out_of_order() {
    let plan = Plan::new(3);
    assert!(plan.parcels.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let mut own: Vec<&Arrival> = plan.arrivals.iter().collect();
    own.sort_by_key(|arrival| (arrival.campaign, arrival.place, arrival.step));
    let of_one = |pair: &&[&Arrival]| (pair[0].campaign, pair[0].place) == (pair[1].campaign, pair[1].place);
    let pairs: Vec<_> = own.windows(2).filter(of_one).collect();
    let swapped = pairs.iter().filter(|pair| pair[0].at > pair[1].at).count();
    assert!(swapped * 20 > pairs.len(), "{swapped} of {}", pairs.len());
}

#[test]
fn a_seed_gives_the_same_requests() {
    let requests = |seed| -> Vec<Posting> {
        let plan = Plan::new(seed);
        let parcels = plan.parcels.iter().step_by(4_000).copied().collect();
        Plan { parcels, ..plan }.postings(beginning(NOW), NOW).collect()
    };
    assert_eq!(requests(11), requests(11));
    assert_ne!(requests(11), requests(12));
}

#[test]
fn a_retry_is_the_same_request() {
    let plan = Plan::new(1);
    let mut parcels = plan.parcels.clone();
    parcels.sort_by_key(|parcel| (parcel.first, parcel.at));
    let twice: Vec<Parcel> =
        parcels.windows(2).filter(|pair| pair[0].first == pair[1].first).step_by(60).flatten().copied().collect();
    assert!(twice.len() > 10);
    let postings: Vec<Posting> = Plan { parcels: twice, ..plan }.postings(beginning(NOW), NOW).collect();
    for pair in postings.chunks(2) {
        assert_eq!((&pair[0].headers, &pair[0].body), (&pair[1].headers, &pair[1].body));
        assert!(pair[0].at < pair[1].at);
    }
}
