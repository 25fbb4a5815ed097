//! Times as text, many of them: as [`Timestamp`]'s own form, which is too slow for millions.

use std::fmt::Write;

use domain::Timestamp;

const DAY: i64 = 86_400;

/// Adds a moment in the form of RFC 3339, in UTC: `2026-01-31T09:30:00Z`, with a fraction where there is one.
pub fn push(text: &mut String, at: Timestamp) {
    let (days, second) = (at.seconds().div_euclid(DAY), at.seconds().rem_euclid(DAY));
    let (year, month, day) = date(days);
    if !(0..10_000).contains(&year) {
        // Writing to a String cannot fail.
        write!(text, "{at}").ok();
        return;
    }
    push_two(text, year / 100);
    push_two(text, year % 100);
    for (mark, number) in [('-', month), ('-', day), ('T', second / 3_600), (':', second / 60 % 60), (':', second % 60)]
    {
        text.push(mark);
        push_two(text, number);
    }
    match at.micros().rem_euclid(1_000_000) {
        0 => {}
        micros if micros % 1_000 == 0 => {
            write!(text, ".{:03}", micros / 1_000).ok();
        }
        micros => {
            write!(text, ".{micros:06}").ok();
        }
    }
    text.push('Z');
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. In years that begin in March the leap day is the
/// last one, and so are all irregularities: <https://howardhinnant.github.io/date_algorithms.html>.
const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (year + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

fn push_two(text: &mut String, number: i64) {
    let digit = |number: i64| u32::try_from(number).ok().and_then(|number| char::from_digit(number, 10));
    text.extend([digit(number / 10), digit(number % 10)].into_iter().flatten());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_moments_own_text(
            micros in prop_oneof![-70_000_000_000_000_000_i64..300_000_000_000_000_000, -5_000_000_i64..5_000_000],
            unit in prop_oneof![Just(1_i64), Just(1_000), Just(1_000_000)],
        ) {
            let at = Timestamp::from_micros(micros - micros % unit);
            let mut text = String::new();
            push(&mut text, at);
            prop_assert_eq!(text, at.to_string());
        }
    }
}
