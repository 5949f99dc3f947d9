//! The part of the tour in which theory is drawn over descent.

use serde::Serialize;
use thalweg_descent::{Error, Result};
use thalweg_dynamics::icl::experiment::Outcome;
use thalweg_report::Section;
use thalweg_report::format::significant;

use crate::pages::dynamics::mode_curve;
use crate::tour::VARIANCES;

/// How far the descent of a linear transformer is from two theories of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InContextFigures {
    /// The runs of stochastic descent.
    pub runs: usize,
    /// Root mean squared distance from the exact flow at this context length.
    pub rms_exact: f64,
    /// The same from the published curve.
    pub rms_published: f64,
    /// The distance from the right theory that the spread over runs lets one expect.
    pub rms_expected: f64,
    #[serde(skip)]
    outcome: Outcome,
}

impl InContextFigures {
    /// Reads them from the experiment.
    ///
    /// # Errors
    /// When it had no runs.
    pub fn of(outcome: Outcome) -> Result<Self> {
        let report = &outcome.report;
        match (&outcome.measured, report.rms.exact, report.rms.published, report.expected_rms) {
            (Some(band), Some(rms_exact), Some(rms_published), Some(rms_expected)) => {
                Ok(Self { runs: band.runs.len(), rms_exact, rms_published, rms_expected, outcome })
            }
            _ => Err(Error::piece("reading the tour's in-context learning", "it has no runs")),
        }
    }

    /// In words, for the terminal.
    pub fn sentence(&self) -> String {
        format!(
            "in-context learning: {} runs of descent lie {} from the exact theory (their spread lets expect {}) and {} from the published one",
            self.runs,
            significant(self.rms_exact, 2),
            significant(self.rms_expected, 2),
            significant(self.rms_published, 2)
        )
    }

    /// The section of the page: the weakest mode, where the theories part most.
    pub(super) fn section(&self) -> Result<Section> {
        let weakest = VARIANCES.len() - 1;
        let section = Section::new("Theory over measurement")
            .prose(format!(
                "A linear transformer learns to regress from examples in its context. Two theories say how each mode of its weights \
                 grows; {} runs of stochastic descent say which is right. The published curve is exact for endless contexts, the exact \
                 one for the contexts at hand.",
                self.runs
            ))
            .facts([
                ("distance of descent from the exact curves", significant(self.rms_exact, 3)),
                ("... from the published curves", significant(self.rms_published, 3)),
                ("... that the spread over runs lets one expect", significant(self.rms_expected, 3)),
            ])
            .figure(mode_curve(weakest, VARIANCES[weakest], &self.outcome)?);
        Ok(section)
    }
}
