//! The page of an audit.

use std::path::{Path, PathBuf};

use thalweg_descent::Result;
use thalweg_private::PlanSummary;
use thalweg_private::audit::{AuditReport, Verdict};
use thalweg_report::format::significant;
use thalweg_report::{Axis, Figure, Line, Page, Row, RowChart, Section, XyChart};

use crate::pages::{drawing, write};

/// Draws an audit: both bounds, and the scores with and without the audited example.
///
/// # Errors
/// When the page cannot be written.
pub fn write_audit_report(name: &str, plan: &PlanSummary, audit: &AuditReport, path: &Path) -> Result<PathBuf> {
    let verdict = match audit.verdict {
        Verdict::Consistent => "No contradiction: the runs cannot be told apart better than the guarantee allows.",
        Verdict::Violated => "Contradiction: the runs can be told apart better than the guarantee allows.",
    };
    let mut page = Page::new(format!("Audit of {name}")).subtitle(verdict);
    if let Some(fault) = audit.fault {
        page = page.banner(format!("A negative control: the fault “{fault}” was planted, and must be found."));
    }
    write(page.section(bounds(plan, audit)).section(scores(audit)?), path)
}

fn bounds(plan: &PlanSummary, audit: &AuditReport) -> Section {
    let chart = RowChart::new(Axis::new("epsilon"))
        .row(Row::new("the audit proves at least", audit.epsilon_lower_bound, None))
        .row(Row::new("the accountant allows at most", audit.epsilon_upper_bound, None));
    let mut facts = vec![
        ("verdict", audit.verdict.to_string()),
        ("epsilon, at least", significant(audit.epsilon_lower_bound, 5)),
        ("epsilon, at most", significant(audit.epsilon_upper_bound, 5)),
        ("delta", audit.delta.to_string()),
        ("mechanism", plan.mechanism.to_string()),
        ("batches", plan.participation.to_string()),
        ("noise multiplier", significant(plan.noise_multiplier, 6)),
        ("trials with the example, without", format!("{}, {}", audit.canaries_inside, audit.canaries_outside)),
        ("false alarm with probability at most", significant(audit.significance, 2)),
    ];
    if let Some(mu) = audit.mu_hat {
        facts.push(("mu, at least", significant(mu, 5)));
        facts.push(("mu, by the noise multiplier", significant(1.0 / plan.noise_multiplier, 5)));
    }
    Section::new("Both bounds").facts(facts).figure(Figure::rows("Epsilon from below and from above", &chart))
}

fn scores(audit: &AuditReport) -> Result<Section> {
    let histogram = &audit.histogram;
    let bins = histogram.inside.len().max(1) as f64;
    let share = |counts: &[u64]| -> Vec<(f64, f64)> {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        let middle = |bin: usize| histogram.low + (histogram.high - histogram.low) * (bin as f64 + 0.5) / bins;
        counts.iter().enumerate().map(|(bin, count)| (middle(bin), *count as f64 / total)).collect()
    };
    let chart = XyChart::new(Axis::new("score"), Axis::new("share of trials").percent())
        .line(Line::new("with the example", share(&histogram.inside)))
        .line(Line::new("without it", share(&histogram.outside)));
    let figure = drawing(Figure::xy("Scores of the best attack", &chart))?
        .caption("Each trial is a whole run. The better the two curves are apart, the larger the epsilon that they prove.");
    Ok(Section::new("How well the runs can be told apart").figure(figure))
}
