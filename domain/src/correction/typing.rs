//! How far the fingers have to slip to write one word in place of another.

/// The rows of the keyboards that addresses are written on; each is shifted to the right by half a key against the one above it.
const KEYBOARDS: [[&str; 4]; 2] =
    [["1234567890-", "qwertyuiop", "asdfghjkl", "zxcvbnm,.-"], ["1234567890", "qwertzuiop", "asdfghjkl", "yxcvbnm,.-"]];

/// Two letters in the wrong order.
const TRANSPOSED: u32 = 60;
/// The key beside the one that is meant.
const BESIDE: u32 = 60;
/// Any other key.
const ANOTHER: u32 = 100;
/// A letter twice instead of once, or once instead of twice.
const DOUBLED: u32 = 50;
/// A letter too many or too few.
const SURPLUS: u32 = 80;

/// The least and the most that a single slip counts.
#[cfg(test)]
pub(super) const SLIP: std::ops::RangeInclusive<u32> = DOUBLED..=ANOTHER;

/// A word as it is typed, to be compared with others.
#[derive(Clone, Debug)]
pub(super) struct Word {
    keys: Vec<Key>,
}

impl Word {
    /// Looks up where its letters are on the keyboards.
    pub(super) fn new(word: &str) -> Self {
        let key = |letter| Key { letter, places: KEYBOARDS.map(|keyboard| place(&keyboard, letter)) };
        Self { keys: word.chars().map(key).collect() }
    }

    /// How far apart two words are: the sum of the slips that make one of the other, by the way that costs least. Letters that change
    /// places are one slip (optimal string alignment). `None` where that is more than `farthest`; most words are, and it shows soon.
    pub(super) fn distance(&self, other: &Self, farthest: u32) -> Option<u32> {
        let (left, right) = (self.keys.as_slice(), other.keys.as_slice());
        let surplus_letters = u32::try_from(left.len().abs_diff(right.len())).unwrap_or(u32::MAX);
        if surplus_letters.saturating_mul(DOUBLED) > farthest {
            return None;
        }
        // The costs of the beginnings: of the row before the last, the last, and the one that is being worked out.
        let mut first: Vec<u32> = Vec::new();
        let mut last: Vec<u32> = vec![0];
        for at in 0..right.len() {
            let before = last.last().copied().unwrap_or_default();
            last.push(before + surplus(right, at));
        }
        for row in 0..left.len() {
            let mut next: Vec<u32> = Vec::with_capacity(last.len());
            next.push(at(&last, 0) + surplus(left, row));
            for column in 0..right.len() {
                let (one, other) = (left.get(row), right.get(column));
                let replaced = at(&last, column) + replacing(one, other);
                let removed = at(&last, column + 1) + surplus(left, row);
                let added = at(&next, column) + surplus(right, column);
                let mut cost = replaced.min(removed).min(added);
                let letter = |key: Option<&Key>| key.map(|key| key.letter);
                let (one, other) = (letter(one), letter(other));
                let are_crossed = || one == letter(right.get(column - 1)) && letter(left.get(row - 1)) == other;
                if row > 0 && column > 0 && one != other && are_crossed() {
                    cost = cost.min(at(&first, column - 1) + TRANSPOSED);
                }
                next.push(cost);
            }
            first = std::mem::replace(&mut last, next);
            // Every way on leads through one of these two rows, and costs no less.
            if first.iter().chain(&last).all(|cost| *cost > farthest) {
                return None;
            }
        }
        last.last().copied().filter(|cost| *cost <= farthest)
    }
}

fn at(costs: &[u32], place: usize) -> u32 {
    costs.get(place).copied().unwrap_or(u32::MAX / 2)
}

/// A letter, and where it is on each of the keyboards: its row and its column.
#[derive(Clone, Copy, Debug)]
struct Key {
    letter: char,
    places: [Option<(usize, usize)>; 2],
}

/// What it costs that the letter at `place` is there at all.
fn surplus(word: &[Key], place: usize) -> u32 {
    let letter = |place: usize| word.get(place).map(|key| key.letter);
    let is_double = place > 0 && letter(place) == letter(place - 1);
    if is_double { DOUBLED } else { SURPLUS }
}

fn replacing(one: Option<&Key>, other: Option<&Key>) -> u32 {
    match (one, other) {
        (Some(one), Some(other)) if one.letter == other.letter => 0,
        (Some(one), Some(other)) if are_beside(one, other) => BESIDE,
        _ => ANOTHER,
    }
}

/// Whether two keys touch each other on one of the keyboards.
fn are_beside(one: &Key, other: &Key) -> bool {
    one.places.iter().zip(&other.places).any(|places| {
        let (Some(one), Some(other)) = places else { return false };
        let (upper, lower) = if one <= other { (one, other) } else { (other, one) };
        match lower.0 - upper.0 {
            0 => lower.1.abs_diff(upper.1) == 1,
            1 => upper.1 == lower.1 || upper.1 == lower.1 + 1,
            _ => false,
        }
    })
}

/// The row and the column of a key.
fn place(keyboard: &[&str], letter: char) -> Option<(usize, usize)> {
    keyboard.iter().enumerate().find_map(|(row, keys)| Some((row, keys.chars().position(|key| key == letter)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_touch_on_either_keyboard() {
        let are_beside = |one: char, other: char| {
            let word = Word::new(&format!("{one}{other}"));
            are_beside(&word.keys[0], &word.keys[1])
        };
        for (one, other) in
            [('n', 'm'), ('g', 'h'), ('y', 'x'), ('z', 'u'), ('y', 'u'), ('a', 'q'), ('k', 'm'), ('z', 'x')]
        {
            assert!(are_beside(one, other) && are_beside(other, one), "{one} {other}");
        }
        for (one, other) in [('g', 'm'), ('a', 'l'), ('q', 'z'), ('a', 'a'), ('ä', 'a')] {
            assert!(!are_beside(one, other), "{one} {other}");
        }
    }

    #[test]
    fn slips_are_weighed() {
        for (one, other, cost) in [
            ("gmail", "gmail", 0),
            ("gmial", "gmail", TRANSPOSED),
            ("gmaul", "gmail", BESIDE),
            ("gmabl", "gmail", ANOTHER),
            ("gmaill", "gmail", DOUBLED),
            ("gmal", "gmail", SURPLUS),
            ("gmail.con", "gmail.com", BESIDE),
            ("", "gmx", 3 * SURPLUS),
            ("gmial.con", "gmail.com", TRANSPOSED + BESIDE),
        ] {
            let (left, right) = (Word::new(one), Word::new(other));
            for (left, right) in [(&left, &right), (&right, &left)] {
                assert_eq!(left.distance(right, u32::MAX), Some(cost), "{one} {other}");
                assert_eq!(left.distance(right, cost), Some(cost), "{one} {other}");
                assert_eq!(cost.checked_sub(1).and_then(|less| left.distance(right, less)), None, "{one} {other}");
            }
        }
    }
}
