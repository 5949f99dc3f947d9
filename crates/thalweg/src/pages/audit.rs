//! The page of an audit.

use std::path::{Path, PathBuf};

use thalweg_descent::Result;
use thalweg_private::PlanSummary;
use thalweg_private::audit::{AuditReport, Method, Verdict};
use thalweg_report::format::significant;
use thalweg_report::{Axis, Figure, Line, Page, Row, RowChart, Section, XyChart};

use crate::pages::{drawing, write};

/// Draws an audit: both bounds, and the scores with and without the audited example.
///
/// # Errors
/// When the page cannot be written.
pub fn write_audit_report(name: &str, plan: &PlanSummary, audit: &AuditReport, path: &Path) -> Result<PathBuf> {
    let verdict = match (audit.verdict, is_of_training(audit)) {
        (Verdict::Consistent, false) => "No contradiction: the runs cannot be told apart better than the guarantee allows.",
        (Verdict::Violated, false) => "Contradiction: the runs can be told apart better than the guarantee allows.",
        (Verdict::Consistent, true) => "No contradiction: the training hides its canaries as well as the guarantee demands.",
        (Verdict::Violated, true) => "Contradiction: the training hides its canaries worse than the guarantee demands.",
    };
    let mut page = Page::new(format!("Audit of {name}")).subtitle(verdict);
    if let Some(fault) = audit.fault {
        page = page.banner(format!("A negative control: the fault “{fault}” was planted, and must be found."));
    }
    write(page.section(bounds(plan, audit)).section(scores(audit)?), path)
}

/// Whether canaries in one training were searched for, and not the trials of a mechanism told apart.
fn is_of_training(audit: &AuditReport) -> bool {
    matches!(audit.method, Method::OneRun | Method::OneRunFdp)
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
        (
            if is_of_training(audit) { "canaries in, out" } else { "trials with the example, without" },
            format!("{}, {}", audit.canaries_inside, audit.canaries_outside),
        ),
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
    let words = if is_of_training(audit) { &OF_TRAINING } else { &OF_TRIALS };
    let chart = XyChart::new(Axis::new("score"), Axis::new(words.of).percent())
        .line(Line::new(words.inside, share(&histogram.inside)))
        .line(Line::new(words.outside, share(&histogram.outside)));
    let figure = drawing(Figure::xy("Scores of the best attack", &chart))?.caption(words.caption);
    Ok(Section::new(words.title).figure(figure))
}

/// What the picture of the scores says.
struct Words {
    title: &'static str,
    of: &'static str,
    inside: &'static str,
    outside: &'static str,
    caption: &'static str,
}

const OF_TRIALS: Words = Words {
    title: "How well the runs can be told apart",
    of: "share of trials",
    inside: "with the example",
    outside: "without it",
    caption: "Each trial is a whole run. The better the two curves are apart, the larger the epsilon that they prove.",
};

const OF_TRAINING: Words = Words {
    title: "How well canaries in the training can be told from those left out",
    of: "share of canaries",
    inside: "in",
    outside: "left out",
    caption: "Each canary is an example with a direction of its own, in the training or left out by a coin. Its score is what an \
              adversary who sees every update finds in that direction.",
};
