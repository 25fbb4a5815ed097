//! What fields cost: the measure is a plain field of one row, which is 1. [`MAX_COMPLEXITY`](super::limits::MAX_COMPLEXITY) limits the sum.
//!
//! What has the database look at many rows for each that it shows costs more, and waits for its [`turn`].

use async_graphql::Context;
use service::recipients::paging::DEFAULT_SIZE;

use super::filter::{AddressFilter, CampaignFilter, EventFilter};
use crate::concurrency::{Heavy, Turn};

/// A search text: it is looked for in every row.
const SEARCH: usize = 500;
/// A condition that is answered from an index or a column of the row.
const CONDITION: usize = 20;
/// A condition that has other tables looked up for each row.
const LOOKUP: usize = 200;
/// How many rows are counted for the price of one field.
const COUNTED: usize = 100;

/// What a page costs: as much as its rows, and what finding them costs. A page without rows costs as much as one row, because what stands
/// beside its rows is read all the same.
pub(super) fn page_cost(first: Option<i32>, last: Option<i32>, row: usize) -> usize {
    let default = i32::try_from(DEFAULT_SIZE).unwrap_or_default();
    let rows = usize::try_from(first.or(last).unwrap_or(default)).unwrap_or_default();
    rows.max(1).saturating_mul(row).saturating_add(1)
}

/// What counting up to `max` costs.
pub(super) fn count_cost(max: i32) -> usize {
    usize::try_from(max).unwrap_or_default() / COUNTED + CONDITION
}

/// What looking for a text costs.
pub(super) fn search_cost(search: Option<&String>) -> usize {
    if search.is_some() { SEARCH } else { 0 }
}

/// What a condition costs, where there is one.
pub(super) fn condition_cost<T>(condition: Option<&T>) -> usize {
    if condition.is_some() { CONDITION } else { 0 }
}

/// What a condition costs that looks at other tables, where there is one.
pub(super) fn lookup_cost<T>(condition: Option<&T>) -> usize {
    if condition.is_some() { LOOKUP } else { 0 }
}

/// What finding campaigns costs.
pub(super) fn campaigns_cost(filter: Option<&CampaignFilter>) -> usize {
    filter.map_or(0, CampaignFilter::cost)
}

/// What finding addresses costs.
pub(super) fn addresses_cost(filter: Option<&AddressFilter>) -> usize {
    filter.map_or(0, AddressFilter::cost)
}

/// What finding events costs.
pub(super) fn events_cost(filter: Option<&EventFilter>) -> usize {
    condition_cost(filter)
}

/// Waits until an expensive statement may begin, and keeps others of the request waiting until what it answers is dropped. Where `is_heavy`
/// does not hold there is nothing to wait for.
pub(super) async fn turn(ctx: &Context<'_>, is_heavy: bool) -> Option<Turn> {
    match ctx.data_opt::<Heavy>() {
        Some(heavy) if is_heavy => heavy.turn().await,
        _ => None,
    }
}

/// Whether finding something at this price takes a turn.
pub(super) const fn is_heavy(cost: usize) -> bool {
    cost >= LOOKUP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_costs_its_rows_and_never_nothing() {
        assert_eq!(page_cost(Some(100), None, 7), 701);
        assert_eq!(page_cost(None, Some(2), 7), 15);
        assert_eq!(page_cost(Some(0), None, 7), 8);
        assert_eq!(page_cost(Some(-1), None, 7), 8);
        assert_eq!(page_cost(Some(i32::MAX), None, usize::MAX), usize::MAX);
        assert_eq!(count_cost(1_000_000), 10_020);
        assert_eq!(count_cost(-1), 20);
    }
}
