//! Values that are chosen from a list: `--help` and completions show it, and a wrong one is refused with it.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use domain::Provider;
use service::Role;
use service::jobs::{JobKind, JobState, Queue};

/// Every role.
const ROLES: [Role; 3] = [Role::Viewer, Role::Marketer, Role::Admin];

pub fn role() -> impl TypedValueParser<Value = Role> {
    one_of(&ROLES, |role| role.name().to_lowercase())
}

pub fn provider() -> impl TypedValueParser<Value = Provider> {
    one_of(&Provider::ALL, |provider| provider.name().to_owned())
}

pub fn queue() -> impl TypedValueParser<Value = Queue> {
    one_of(Queue::ALL, |queue| queue.name().to_owned())
}

pub fn job_kind() -> impl TypedValueParser<Value = JobKind> {
    one_of(JobKind::ALL, |kind| in_words(kind.as_str()))
}

pub fn job_state() -> impl TypedValueParser<Value = JobState> {
    one_of(JobState::ALL, |state| in_words(state.as_str()))
}

/// `CHECK_ALERTS` as the command line writes it: `check-alerts`.
fn in_words(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// One of these, by its name on the command line or in GraphQL.
fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> String,
) -> impl TypedValueParser<Value = T> {
    let possible = all.iter().flat_map(|value| {
        let name = name(*value);
        let in_graphql = name.to_uppercase().replace('-', "_");
        let hidden = PossibleValue::new(in_graphql.clone()).hide(true);
        let lower = PossibleValue::new(in_graphql.to_lowercase()).hide(true);
        let has_words = name.contains('-');
        [Some(PossibleValue::new(name)), Some(hidden), has_words.then_some(lower)].into_iter().flatten()
    });
    let possible: Vec<PossibleValue> = possible.collect();
    PossibleValuesParser::new(possible).try_map(move |text: String| {
        let found = all.iter().copied().find(|value| name(*value) == in_words(&text));
        found.ok_or_else(|| format!("{text} is not known"))
    })
}
