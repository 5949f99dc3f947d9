//! `thalweg dynamics audit`.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;
use thalweg::compose::features_audit::{DescentFault, FeaturesAudit};
use thalweg::descent::Result;
use thalweg::private::audit::{AuditReport, Verdict};
use thalweg::report::format::significant;

use crate::cli::Common;
use crate::cli::console::Console;

/// Try to break the guarantee of `features`: a lower bound on epsilon beside the claimed one
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg dynamics audit --epsilon 8
  thalweg dynamics audit --epsilon 8 --fault no-clip     a negative control: it must be found
  thalweg dynamics audit --epsilon 1 --trials 20000      small guarantees need more trials

The descent of `features`, clipping and noise included, is run thousands of times with and without one example that is hard to hide.
An adversary who knows everything else sees all weights of all steps, and tells the two apart as well as anybody can. `violated` means:
better than the guarantee allows. It ends with exit code 1.")]
pub(crate) struct Audit {
    /// The claimed epsilon of all steps together
    #[arg(long, value_name = "E", default_value_t = 8.0, allow_negative_numbers = true)]
    epsilon: f64,
    /// The claimed delta
    #[arg(long, value_name = "D", default_value_t = 1e-5, allow_negative_numbers = true)]
    delta: f64,
    /// The steps of a descent
    #[arg(long, value_name = "T", default_value_t = 100)]
    steps: u64,
    /// Descents with the example, and as many without
    #[arg(long, value_name = "N", default_value_t = 5000)]
    trials: u32,
    /// A sound descent is called violated with at most this probability
    #[arg(long, value_name = "P", default_value_t = 0.05, allow_negative_numbers = true)]
    significance: f64,
    /// Plant a fault that must be found
    #[arg(long, value_enum)]
    fault: Option<Planted>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Planted {
    /// Noise too small by a factor of 1.5
    Noise,
    /// Gradients that are not clipped
    NoClip,
}

#[derive(Serialize)]
struct Document {
    epsilon_lower_bound: f64,
    epsilon_upper_bound: f64,
    verdict: Verdict,
    delta: f64,
    significance: f64,
    mu_hat: Option<f64>,
    trials: u32,
    fault: Option<DescentFault>,
}

impl Audit {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let fault = self.fault.map(|fault| match fault {
            Planted::Noise => DescentFault::Noise,
            Planted::NoClip => DescentFault::NoClip,
        });
        let Self { epsilon, delta, steps, trials, significance, .. } = self;
        console.note(&format!("{trials} descents with one example and {trials} without it"));
        let audit = FeaturesAudit { epsilon, delta, steps, trials, significance, fault, seed: common.seed.unwrap_or(0) };
        let AuditReport { epsilon_lower_bound, epsilon_upper_bound, verdict, mu_hat, .. } = audit.run()?;
        let planted = if fault.is_some() { "\nfault      planted" } else { "" };
        let text = format!(
            "at least   epsilon {} (by the audit, at delta {delta})\nat most    epsilon {} (by the accountant)\nverdict    {verdict}{planted}",
            significant(epsilon_lower_bound, 4),
            significant(epsilon_upper_bound, 4),
        );
        let document = Document { epsilon_lower_bound, epsilon_upper_bound, verdict, delta, significance, mu_hat, trials, fault };
        console.result(&document, &text)?;
        Ok(if verdict == Verdict::Consistent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
