//! Tables for people, in Markdown.

use std::fmt::Write;

use crate::comparison::{Comparison, Row, Spread};
use crate::goal::{Bound, Goal, goals};

/// Setting, goals, and every step of both sides.
pub fn page(comparison: &Comparison) -> String {
    let mut page = String::new();
    setting(comparison, &mut page);
    goal_table(&goals(comparison), &mut page);
    step_table(comparison, &mut page);
    event_log(comparison, &mut page);
    page
}

/// Writing to a string cannot fail.
macro_rules! line {
    ($page:expr, $($content:tt)*) => { writeln!($page, $($content)*).expect("a string takes every line") };
}

fn setting(comparison: &Comparison, page: &mut String) {
    let setting = &comparison.setting;
    line!(page, "{}, commit {}, {} rounds in turn, one thread.", setting.date, setting.commit, setting.rounds);
    line!(page, "{}. {}; {}.\n", setting.machine, setting.rustc, setting.peers);
}

fn goal_table(goals: &[Goal], page: &mut String) {
    line!(page, "| goal | bound | measured (rounds from, to) | |");
    line!(page, "|---|---|---|---|");
    for Goal { name, bound, measured, met } in goals {
        let verdict = if *met { "met" } else { "**missed**" };
        line!(page, "| {name} | {} | {} | {verdict} |", bound_text(*bound), spread_text(*measured));
    }
}

fn bound_text(bound: Bound) -> String {
    match bound {
        Bound::AtMost(value) => format!("at most {}", number(value)),
        Bound::Under(value) => format!("under {}", number(value)),
        Bound::AtLeast(value) => format!("at least {}", number(value)),
    }
}

fn spread_text(spread: Spread) -> String {
    format!("{} ({}, {})", number(spread.median), number(spread.least), number(spread.most))
}

/// Three significant digits; thousands as whole numbers.
fn number(value: f64) -> String {
    let digits = if value == 0.0 { 2 } else { (2.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn step_table(comparison: &Comparison, page: &mut String) {
    line!(page, "\n| step | engine | mode | CPU ms (rounds from, to) | peak MiB | of it after the start |");
    line!(page, "|---|---|---|---|---|---|");
    for row in &comparison.steps {
        let Row { engine, task, mode, .. } = row;
        let time = spread_text(Spread::of(&row.cpu_ms));
        let middle = |values: &[f64]| number(Spread::of(values).median);
        line!(page, "| {task} | {engine} | {mode} | {time} | {} | {} |", middle(&row.peak_mib), middle(&row.growth_mib()));
    }
}

fn event_log(comparison: &Comparison, page: &mut String) {
    let Some(first) = comparison.event_log.first() else { return };
    line!(page, "\n| event log, share of a run's CPU time | appending | and making durable |");
    line!(page, "|---|---|---|");
    for (at, run) in first.runs.iter().enumerate() {
        let rounds = comparison.event_log.iter().map(|log| &log.runs[at]);
        let (appending, share): (Vec<f64>, Vec<f64>) = rounds.map(|run| (run.appending, run.share)).unzip();
        let name = format!("{}, an event every {} steps", run.task, run.log_every);
        line!(page, "| {name} | {} | {} |", spread_text(Spread::of(&appending)), spread_text(Spread::of(&share)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let cases =
            [(0.401_23, "0.401"), (1.0, "1"), (0.2, "0.2"), (109.28, "109"), (3_313_100.9, "3313101"), (0.0243, "0.0243")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(100_000.0), "100000");
        assert_eq!(number(f64::NAN), "NaN");
    }
}
