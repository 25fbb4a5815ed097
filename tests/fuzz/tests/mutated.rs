//! Every target with mutations of its seeds: the same each time, for as many cases as a test run has time for.
//!
//! `NACHFASS_FUZZ_SECONDS=N` makes each target go on for N seconds, each time with other mutations.

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use fuzzing::{TARGETS, Target};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// As many mutations a target gets without being told a time. Some are slow where nothing is optimised.
fn cases(target: &Target) -> u32 {
    match target.name {
        "cursor" | "sealed_token" | "graphql_nested" => 300,
        "graphql_text" | "graphql_request" | "import_csv" | "import_jsonl" => 1_000,
        _ => 2_000,
    }
}

/// No input takes longer, not even unoptimised on a busy machine.
const SLOW: Duration = Duration::from_secs(10);

/// Something that is done to an input.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index, Index),
    Word(Index, Index),
    Repeat(Index, Index, u16),
    Copy(Index, Index, Index),
    Cross(Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    prop_oneof![
        3 => (index(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        2 => (index(), index()).prop_map(|(from, to)| Change::Remove(from, to)),
        4 => (index(), index()).prop_map(|(at, word)| Change::Word(at, word)),
        1 => (index(), index(), 1_u16..600).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        2 => (index(), index(), index()).prop_map(|(from, to, at)| Change::Copy(from, to, at)),
        1 => (index(), index()).prop_map(|(seed, at)| Change::Cross(seed, at)),
    ]
}

/// The longest input that is made.
const MAX_INPUT: usize = 8 << 10;

fn apply(target: &Target, seeds: &[Vec<u8>], mut data: Vec<u8>, change: &Change) -> Vec<u8> {
    let part = |data: &[u8], from: &Index, to: &Index| {
        let (one, other) = (from.index(data.len() + 1), to.index(data.len() + 1));
        // Short parts are likelier to leave something that is read.
        let end = one.max(other).min(one.min(other) + 64);
        one.min(other)..end
    };
    let insert = |data: &mut Vec<u8>, at: &Index, bytes: &[u8]| {
        let at = at.index(data.len() + 1);
        data.splice(at..at, bytes.iter().copied());
    };
    match change {
        Change::Flip(at, bit) if !data.is_empty() => {
            let at = at.index(data.len());
            data[at] ^= 1 << (bit % 8);
        }
        Change::Flip(..) => {}
        Change::Insert(at, byte) => insert(&mut data, at, &[*byte]),
        Change::Remove(from, to) => drop(data.drain(part(&data, from, to))),
        Change::Word(at, word) => {
            let word = if target.words.is_empty() { "\n" } else { target.words[word.index(target.words.len())] };
            insert(&mut data, at, word.as_bytes());
        }
        Change::Repeat(from, to, times) => {
            let part = part(&data, from, to);
            let repeated = data[part].repeat(usize::from(*times));
            insert(&mut data, from, &repeated);
        }
        Change::Copy(from, to, at) => {
            let copy = data[part(&data, from, to)].to_vec();
            insert(&mut data, at, &copy);
        }
        Change::Cross(seed, at) => {
            let other = &seeds[seed.index(seeds.len())];
            let at = at.index(data.len().min(other.len()) + 1);
            data.truncate(at);
            data.extend(&other[at..]);
        }
    }
    data.truncate(MAX_INPUT);
    data
}

fn check(target: &Target, data: &[u8]) -> Result<(), TestCaseError> {
    let begin = Instant::now();
    let run = target.run;
    let outcome = catch_unwind(|| run(data));
    prop_assert!(outcome.is_ok(), "{} panics at {:?}", target.name, String::from_utf8_lossy(data));
    prop_assert!(
        begin.elapsed() < SLOW,
        "{} takes {:?} for {:?}",
        target.name,
        begin.elapsed(),
        String::from_utf8_lossy(data)
    );
    Ok(())
}

/// On a thread with the stack that GraphQL is executed with.
fn mutate(name: &'static str) {
    const STACK_BYTES: usize = 32 << 20;
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    thread.spawn(move || mutate_here(name)).expect("a thread").join().expect("no mistake");
}

fn mutate_here(name: &str) {
    let target = fuzzing::find(name).expect("a target");
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for seed in &seeds {
        check(target, seed).expect("a seed");
    }
    let seconds = std::env::var("NACHFASS_FUZZ_SECONDS").ok().map(|text| text.parse().expect("a number of seconds"));
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut done = 0;
    for round in 0_u64.. {
        let mut runner = runner(cases(target), until.is_some().then_some(round));
        let strategy = (any::<Index>(), vec(change(), 1..12));
        let tested = runner.run(&strategy, |(seed, changes)| {
            let data = seeds[seed.index(seeds.len())].clone();
            check(target, &changes.iter().fold(data, |data, change| apply(target, &seeds, data, change)))
        });
        tested.unwrap_or_else(|error| panic!("{name}: {error}"));
        done += cases(target);
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
    }
    println!("{name}: {done} inputs");
}

/// The same numbers each time, or others in each round.
fn runner(cases: u32, round: Option<u64>) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = match round {
        None => TestRng::deterministic_rng(RngAlgorithm::ChaCha),
        Some(_) => return TestRunner::new(config),
    };
    TestRunner::new_with_rng(config, rng)
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                mutate(stringify!($name));
            }
        )*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

targets! {
    webhook_brevo, webhook_generic, webhook_mailersend, webhook_mailgun, webhook_mailjet, webhook_mailtrap, webhook_mandrill,
    webhook_postal, webhook_postmark, webhook_resend, webhook_scaleway, webhook_sendgrid, webhook_ses, webhook_sparkpost,
    webhook_unisender, graphql_text, graphql_nested, graphql_request, cursor, global_id, import_csv, import_jsonl, filter,
    sealed_token, export_link, email, smtp_reply, formula, time,
}

#[test]
fn every_target_is_tested_and_has_a_program() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, TESTED);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("fuzz/Cargo.toml");
    for name in names {
        assert!(folder.join(format!("fuzz_targets/{name}.rs")).exists(), "{name} has no program in fuzz/");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
    }
}

#[test]
fn every_provider_is_fuzzed() {
    assert_eq!(fuzzing::webhooks::COVERED.len(), domain::Provider::ALL.len());
    for provider in domain::Provider::ALL {
        assert!(fuzzing::find(&format!("webhook_{}", provider.name())).is_some(), "{}", provider.name());
    }
}
