//! What a study may say of a claim.

use std::fmt;

/// The outcome of a claim's rule, which was written before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The interval lies wholly on the claimed side.
    Holds,
    /// The interval lies wholly on the other side.
    DoesNotHold,
    /// The interval covers both sides, or there were too few seeds.
    Inconclusive,
    /// The claim needs what this machine lacks (data, hardware, time).
    NotTestableHere,
}

impl Verdict {
    /// The verdict in words, the same on the terminal, in JSON and on the page.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does not hold",
            Self::Inconclusive => "inconclusive",
            Self::NotTestableHere => "not testable here",
        }
    }

    /// A sign that tells verdicts apart without colour.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Holds => "✓",
            Self::DoesNotHold => "✕",
            Self::Inconclusive => "≈",
            Self::NotTestableHere => "–",
        }
    }

    pub(crate) fn css_class(self) -> &'static str {
        match self {
            Self::Holds => "badge holds",
            Self::DoesNotHold => "badge fails",
            Self::Inconclusive => "badge unsure",
            Self::NotTestableHere => "badge untestable",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One claim and what came of it: *claimed, measured, interval, verdict*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub(crate) claimed: String,
    pub(crate) measured: String,
    pub(crate) interval: Option<String>,
    pub(crate) verdict: Verdict,
    pub(crate) reason: Option<String>,
}

impl Finding {
    /// A finding without interval or reason.
    ///
    /// `measured` is the estimate as text, written with [`crate::format`].
    pub fn new(claimed: impl Into<String>, measured: impl Into<String>, verdict: Verdict) -> Self {
        Self { claimed: claimed.into(), measured: measured.into(), interval: None, verdict, reason: None }
    }

    /// Adds the interval, for example `95 %: 0.4 to 1.9 points, 10 seeds`.
    #[must_use]
    pub fn interval(mut self, interval: impl Into<String>) -> Self {
        self.interval = Some(interval.into());
        self
    }

    /// Adds the rule that decided, or why the claim could not be tested.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}
