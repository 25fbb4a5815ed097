//! What was measured, and how it is shown: the median of all runs, beside the peer and the target.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::collections::HashMap;

/// What a ratio has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// This much of the peer, or more.
    AtLeast(f64),
    /// This much of the peer, or less.
    AtMost(f64),
    /// The figure itself, or more.
    FigureAtLeast(f64),
    /// The figure itself, or less.
    FigureAtMost(f64),
}

/// A figure of one run.
#[derive(Clone, Debug)]
struct Sample {
    figure: f64,
    peer: Option<f64>,
}

/// What is said of a figure.
#[derive(Clone, Debug)]
struct Row {
    label: String,
    unit: &'static str,
    peer: &'static str,
    target: Option<Target>,
}

/// All figures, in the order in which they came first.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    samples: HashMap<String, Vec<Sample>>,
}

impl Report {
    /// A figure without a peer.
    pub fn figure(&mut self, label: &str, figure: f64, unit: &'static str, target: Option<Target>) {
        self.add(Row { label: label.to_owned(), unit, peer: "", target }, Sample { figure, peer: None });
    }

    /// A figure and that of a peer, in the same unit.
    pub fn compare(
        &mut self,
        label: &str,
        figures: (f64, f64),
        unit: &'static str,
        peer: &'static str,
        target: Option<Target>,
    ) {
        let sample = Sample { figure: figures.0, peer: Some(figures.1) };
        self.add(Row { label: label.to_owned(), unit, peer, target }, sample);
    }

    fn add(&mut self, row: Row, sample: Sample) {
        let samples = self.samples.entry(row.label.clone()).or_default();
        if samples.is_empty() {
            self.rows.push(row);
        }
        samples.push(sample);
    }

    /// Prints the table.
    pub fn print(&self) {
        println!("| measured | figure | peer | ratio | target | |");
        println!("|---|--:|--:|--:|--:|---|");
        for row in &self.rows {
            let samples = self.samples.get(&row.label).map(Vec::as_slice).unwrap_or_default();
            let figure = median(samples.iter().map(|sample| sample.figure));
            let peer = median(samples.iter().filter_map(|sample| sample.peer));
            let ratio = median(samples.iter().filter_map(|sample| Some(sample.figure / sample.peer?)));
            let (target, reached) = verdict(row.target, figure, ratio);
            let peer = peer.map_or_else(String::new, |peer| format!("{} {} {}", row.peer, number(peer), row.unit));
            println!(
                "| {} | {} {} | {} | {} | {target} | {reached} |",
                row.label,
                figure.map(number).unwrap_or_default(),
                row.unit,
                peer.trim(),
                ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default(),
            );
        }
    }
}

fn verdict(target: Option<Target>, figure: Option<f64>, ratio: Option<f64>) -> (String, &'static str) {
    let say = |reached: bool| if reached { "reached" } else { "missed" };
    match target {
        None => (String::new(), ""),
        Some(Target::AtLeast(least)) => (format!("≥ {least}"), say(ratio.is_some_and(|ratio| ratio >= least))),
        Some(Target::AtMost(most)) => (format!("≤ {most}"), say(ratio.is_some_and(|ratio| ratio <= most))),
        Some(Target::FigureAtLeast(least)) => (format!("≥ {least}"), say(figure.is_some_and(|figure| figure >= least))),
        Some(Target::FigureAtMost(most)) => (format!("≤ {most}"), say(figure.is_some_and(|figure| figure <= most))),
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_that_of_the_values() {
        assert_eq!(median([].into_iter()), None);
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
    }

    #[test]
    fn a_target_is_of_the_ratio_or_of_the_figure() {
        assert_eq!(verdict(Some(Target::AtLeast(0.4)), Some(1.0), Some(0.4)), ("≥ 0.4".to_owned(), "reached"));
        assert_eq!(verdict(Some(Target::AtMost(1.2)), Some(1.0), Some(1.3)), ("≤ 1.2".to_owned(), "missed"));
        assert_eq!(verdict(Some(Target::FigureAtMost(200.0)), Some(90.0), None), ("≤ 200".to_owned(), "reached"));
    }
}
