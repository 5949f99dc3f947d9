//! The page of a study.

use std::path::PathBuf;

use thalweg_descent::Result;
use thalweg_report::format::significant;
use thalweg_report::{Axis, Cell, Column, Figure, Finding, Interval, NumberFormat, Page, Row, RowChart, Section, Table};

use crate::pages::{drawing, write};
use crate::study::statistics::percent;
use crate::study::{Claim, ClaimOutcome, Intervals, Laboratory, Outcome, STUDY, StudyFile};

/// Draws `report.html` in a study's folder.
///
/// # Errors
/// When the page cannot be written.
pub fn write_study_report(laboratory: &Laboratory, outcome: &Outcome) -> Result<PathBuf> {
    let study = laboratory.study();
    let text = std::fs::read_to_string(laboratory.folder().join(STUDY)).unwrap_or_default();
    let mut page = Page::new(&study.title)
        .subtitle(format!("{} of {} runs are finished", outcome.finished, outcome.cells))
        .section(findings(study, outcome));
    if outcome.claims.iter().any(|claim| claim.decision.as_ref().is_some_and(|decision| !decision.differences.is_empty())) {
        page = page.section(differences(study, outcome));
    }
    if !outcome.settings.is_empty() {
        page = page.section(settings(study, outcome)?);
    }
    page = page.section(
        Section::new("How it was decided")
            .prose("The rule below was fixed, with the whole file, before the first run. The noise of a study comes from its seeds, so that anybody can repeat it: its runs protect nobody.")
            .source("the study file", text),
    );
    write(page, &laboratory.folder().join("report.html"))
}

fn findings(study: &StudyFile, outcome: &Outcome) -> Section {
    let section = Section::new("Verdicts").prose(format!("Claimed by {}.", study.source));
    let section = match outcome.intervals.describe(outcome.claims.len()) {
        Some(sentence) => section.prose(sentence),
        None => section,
    };
    outcome.claims.iter().fold(section, |section, claim| finding(study, outcome.intervals, section, claim))
}

fn finding(study: &StudyFile, intervals: Intervals, section: Section, outcome: &ClaimOutcome) -> Section {
    let ClaimOutcome { claim, decision } = outcome;
    let Some(decision) = decision else {
        return section.prose(format!("{} No verdict yet: runs are missing.", claim.says));
    };
    let measured = decision.measured.map_or_else(|| "nothing".to_owned(), |m| difference_text(study, claim, m.mean));
    let mut finding = Finding::new(&claim.says, measured, decision.verdict).reason(&decision.reason);
    if let Some(measured) = decision.measured {
        let (low, high) = (significant(measured.low(), 3), significant(measured.high(), 3));
        let percent = percent(intervals.each);
        finding = finding.interval(format!("{percent} %: {low} to {high}, {} seeds", decision.differences.len()));
    }
    section.finding(finding)
}

fn difference_text(study: &StudyFile, claim: &Claim, mean: f64) -> String {
    format!("{} in {}, {} against {}, paired by seed", significant(mean, 3), study.rule.quantity, claim.better, claim.than)
}

fn differences(study: &StudyFile, outcome: &Outcome) -> Section {
    let mut chart = RowChart::new(Axis::new(format!("difference in {}", study.rule.quantity)));
    // One line for the threshold, where all claims have the same.
    if let [first, rest @ ..] = &study.claims[..]
        && rest.iter().all(|claim| claim.threshold == first.threshold)
    {
        chart = chart.threshold("threshold", first.threshold);
    }
    for ClaimOutcome { claim, decision } in &outcome.claims {
        let Some((decision, measured)) = decision.as_ref().and_then(|decision| Some((decision, decision.measured?))) else {
            continue;
        };
        let interval = Interval::spanning(measured.low(), measured.high());
        let label = format!("{} − {}", claim.better, claim.than);
        chart = chart.row(Row::new(label, measured.mean, interval).values(decision.differences.iter().copied()));
    }
    let caption = "Dot and bar: the mean over seeds and its interval. Small dots: the single seeds.";
    Section::new("Differences").figure(Figure::rows("Paired differences", &chart).caption(caption))
}

fn settings(study: &StudyFile, outcome: &Outcome) -> Result<Section> {
    let format = NumberFormat::Significant(4);
    let mut table = Table::new([
        Column::text("setting"),
        Column::number(&study.rule.quantity, format),
        Column::number("seeds", NumberFormat::Count),
        Column::text("tuned on other seeds"),
    ]);
    for setting in &outcome.settings {
        let mean = setting.mean.map_or(Cell::Empty, |mean| Cell::Estimate(mean.mean, mean.half_width));
        let tuned = setting.tuned.clone().unwrap_or_default();
        drawing(table.row([setting.name.as_str().into(), mean, (setting.values.len() as f64).into(), tuned.into()]))?;
    }
    let percent = percent(study.rule.confidence);
    Ok(Section::new("Settings").prose(format!("Means with intervals of {percent} % each.")).table(table))
}
