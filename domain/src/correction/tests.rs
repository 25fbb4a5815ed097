//! What is suggested for which address, and what never is.

use proptest::prelude::*;

use super::providers::LARGE;
use super::typing::{SLIP, Word};
use super::*;

fn evidence(email: &str) -> Evidence<'_> {
    Evidence { email, ..Evidence::default() }
}

fn best(email: &str) -> Option<(String, SuggestionReason)> {
    let best = suggest(&evidence(email)).into_iter().next()?;
    Some((best.email.as_str().to_owned(), best.reason))
}

#[test]
fn slips_are_corrected() {
    use SuggestionReason::{Malformed, TldSlip, TypoDomain};
    for (email, domain, reason) in [
        ("Erika.Muster@gmial.com", "gmail.com", TypoDomain),
        ("Erika.Muster@gmil.com", "gmail.com", TypoDomain),
        ("Erika.Muster@gmaill.com", "gmail.com", TypoDomain),
        ("Erika.Muster@gnail.com", "gmail.com", TypoDomain),
        ("Erika.Muster@hotmial.com", "hotmail.com", TypoDomain),
        ("Erika.Muster@hotmal.com", "hotmail.com", TypoDomain),
        ("Erika.Muster@outlok.de", "outlook.de", TypoDomain),
        ("Erika.Muster@yaho.de", "yahoo.de", TypoDomain),
        ("Erika.Muster@t-onlin.de", "t-online.de", TypoDomain),
        ("Erika.Muster@tonline.de", "t-online.de", TypoDomain),
        ("Erika.Muster@frenet.de", "freenet.de", TypoDomain),
        ("Erika.Muster@gxm.de", "gmx.de", TypoDomain),
        ("Erika.Muster@wbe.de", "web.de", TypoDomain),
        ("Erika.Muster@gmail.con", "gmail.com", TldSlip),
        ("Erika.Muster@gmial.con", "gmail.com", TypoDomain),
        ("Erika.Muster@gmail.de", "gmail.com", TldSlip),
        ("Erika.Muster@t-online.dee", "t-online.de", TldSlip),
        ("Erika.Muster@gmx.ed", "gmx.de", TldSlip),
        ("Erika.Muster@kleinfirma.cmo", "kleinfirma.com", TldSlip),
        ("Erika.Muster@gmailcom", "gmail.com", Malformed),
        ("Erika.Muster@webde", "web.de", Malformed),
        ("Erika.Muster@kleinfirma.de.", "kleinfirma.de", Malformed),
        ("Erika.Muster@kleinfirma,de", "kleinfirma.de", Malformed),
        ("<Erika.Muster@kleinfirma..de>", "kleinfirma.de", Malformed),
        ("Erika.Muster@@kleinfirma.de", "kleinfirma.de", Malformed),
        ("Erika.Muster@gmail.con,", "gmail.com", TldSlip),
    ] {
        assert_eq!(best(email), Some((format!("Erika.Muster@{domain}"), reason)), "{email}");
    }
}

#[test]
fn what_only_looks_like_a_slip_is_left_alone() {
    for domain in [
        "mailo.com",
        "gmx.de",
        "gmx.net",
        "gmx.co.uk",
        "yandex.ru",
        "ymail.com",
        "mail.com",
        "email.com",
        "hotmail.fr",
        "live.de",
        "aon.at",
        "inbox.lv",
        "kleinfirma.example",
        "gma.de",
        "wen.com",
        "ge.com",
        "muster-bau.de",
        "mdr.de",
    ] {
        assert_eq!(suggest(&evidence(&format!("a@{domain}"))), Vec::new(), "{domain}");
    }
}

#[test]
fn mail_that_is_taken_speaks_a_little_against_a_slip() {
    let sure = |exchange| {
        let evidence = Evidence { exchange, ..evidence("a@gmil.com") };
        suggest(&evidence).first().map(|suggestion| suggestion.confidence).expect("a suggestion")
    };
    let [exists, unknown, missing] = [Exchange::Exists, Exchange::Unknown, Exchange::Missing].map(sure);
    assert!(exists < unknown && unknown < missing, "{exists} {unknown} {missing}");
    assert!(exists >= 70, "gmil.com takes mail, and is a slip all the same: {exists}");
    assert!(depends_on_exchange("a@gmil.com", &[]));
    assert!(!depends_on_exchange("a@kleinfirma.example", &[]));
}

#[test]
fn what_people_did_is_learned_the_more_often_the_surer() {
    let sure = |pairs: &[(&str, u32)]| {
        let learned: Vec<Learned> =
            pairs.iter().map(|(domain, count)| Learned { domain: (*domain).to_owned(), count: *count }).collect();
        let evidence = Evidence { learned: &learned, ..evidence("a@alte-firma.example") };
        suggest(&evidence).first().map(|it| (it.email.domain().to_owned(), it.confidence, it.reason))
    };
    assert_eq!(sure(&[("neue-firma.example", 1)]), None, "somebody may have changed employers");
    let (domain, twice, reason) = sure(&[("neue-firma.example", 2)]).expect("two of them have not");
    assert_eq!((domain.as_str(), reason), ("neue-firma.example", SuggestionReason::Learned));
    let (_, often, _) = sure(&[("neue-firma.example", 20)]).expect("twenty neither");
    assert!(often > twice, "{often} {twice}");
    assert_eq!(sure(&[("neue-firma.example", 2), ("andere.example", 2)]), None, "they do not agree");
    let (_, similar, _) = sure(&[("alte-firma.exampel", 1)]).expect("one looks like the other");
    assert!(similar >= FLOOR);
    let learned = [Learned { domain: "kleinfirma.example".to_owned(), count: 50 }];
    let provider = Evidence { learned: &learned, ..evidence("a@gmx.de") };
    assert_eq!(suggest(&provider), Vec::new(), "people who leave a provider do not make it wrong");
}

#[test]
fn the_same_person_may_have_another_address() {
    let others = ["erika@privat.example".to_owned(), "erika.muster@gmail.com".to_owned(), "kaputt".to_owned()];
    let evidence = Evidence { others: &others, ..evidence("erika.muster@gmial.com") };
    let found = suggest(&evidence);
    let both = found.first().expect("a suggestion");
    assert_eq!((both.email.as_str(), both.reason), ("erika.muster@gmail.com", SuggestionReason::TypoDomain));
    let alone = suggest(&Evidence { others: &[], ..evidence }).first().map(|it| it.confidence).expect("a suggestion");
    assert!(both.confidence > alone, "two signs say more than one");
    let of_person = |it: &&Suggestion| it.reason == SuggestionReason::OtherAddress;
    let other: Vec<_> = found.iter().filter(of_person).map(|it| it.email.as_str()).collect();
    assert_eq!(other, ["erika@privat.example"]);
}

fn any_domain() -> impl Strategy<Value = String> {
    let mangled = (proptest::sample::select(LARGE), 0_usize..12, proptest::char::range('a', 'z')).prop_map(
        |(domain, place, letter)| {
            let mut letters: Vec<char> = domain.chars().collect();
            let place = place % letters.len();
            letters[place] = letter;
            letters.into_iter().collect::<String>()
        },
    );
    prop_oneof![mangled, "[a-z]{1,10}\\.[a-z]{2,4}", proptest::sample::select(LARGE).prop_map(str::to_owned)]
}

proptest! {
    #[test]
    fn suggestions_are_other_valid_addresses_and_sure_enough(
        local in "[A-Za-z0-9.,@ ]{1,12}",
        domain in any_domain(),
        others in proptest::collection::vec("[a-z]{1,8}@[a-z]{1,8}\\.(com|de|c)", 0..3),
        learned in proptest::collection::vec((any_domain(), 0_u32..30), 0..3),
        exchange in proptest::sample::select(&[Exchange::Exists, Exchange::Missing, Exchange::Unknown][..]),
    ) {
        let email = format!("{local}@{domain}");
        let learned: Vec<Learned> = learned.into_iter().map(|(domain, count)| Learned { domain, count }).collect();
        let evidence = Evidence { email: &email, learned: &learned, others: &others, exchange };
        let found = suggest(&evidence);
        prop_assert_eq!(&found, &suggest(&evidence), "the same again");
        for (place, suggestion) in found.iter().enumerate() {
            prop_assert!(EmailAddress::parse(suggestion.email.as_str()).is_ok());
            prop_assert_ne!(suggestion.email.key(), &key_of(&email));
            prop_assert!((FLOOR..=CEILING).contains(&suggestion.confidence), "{:?}", suggestion);
            let is_once = found.iter().skip(place + 1).all(|other| other.email.key() != suggestion.email.key());
            prop_assert!(is_once, "each address once");
            if is_real_provider(&domain) && EmailAddress::parse(&email).is_ok() {
                prop_assert_eq!(suggestion.reason, SuggestionReason::OtherAddress);
            }
        }
        prop_assert!(found.is_sorted_by_key(|suggestion| Reverse(suggestion.confidence)));
    }

    #[test]
    fn any_text_may_be_asked_about(text in "\\PC{0,80}") {
        let _found = suggest(&evidence(&text));
    }

    #[test]
    fn slips_cost_as_many_as_they_are(left in "[a-z.-]{0,10}", right in "[a-z.-]{0,10}", farthest in 0_u32..600) {
        let (one, other) = (Word::new(&left), Word::new(&right));
        let cost = one.distance(&other, u32::MAX).expect("nothing is further");
        let slips = u32::try_from(strsim::osa_distance(&left, &right)).expect("few");
        prop_assert!(cost >= slips * SLIP.start() && cost <= slips * SLIP.end(), "{} for {} slips", cost, slips);
        prop_assert_eq!(other.distance(&one, u32::MAX), Some(cost));
        prop_assert_eq!(one.distance(&other, farthest), (cost <= farthest).then_some(cost), "to stop early changes nothing");
        prop_assert_eq!(cost == 0, left == right);
    }

    #[test]
    fn one_slip_in_a_long_name_is_found(place in 1_usize..6, domain in proptest::sample::select(&["gmail.com", "hotmail.com", "outlook.com", "freenet.de"][..])) {
        let mut letters: Vec<char> = domain.chars().collect();
        let removed = letters.remove(place);
        let mistyped: String = letters.into_iter().collect();
        prop_assume!(!is_real_provider(&mistyped) && removed != '.');
        let best = best(&format!("a@{mistyped}"));
        prop_assert_eq!(best.map(|(email, _)| email), Some(format!("a@{domain}")), "{}", mistyped);
    }
}
