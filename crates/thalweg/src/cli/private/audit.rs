//! `thalweg private audit`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::compose::{Training, TrainingConfig};
use thalweg::descent::{Error, Participation, Result};
use thalweg::pages;
use thalweg::private::audit::{AuditReport, Fault, MechanismAudit, Verdict};
use thalweg::private::{Name, NoiseKey, PrivacyPlan};
use thalweg::report::format::significant;

use crate::cli::Common;
use crate::cli::console::Console;
use crate::cli::private::course::Course;

/// Try to break a guarantee: a lower bound on epsilon beside the accountant's upper bound
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg private audit --run private-1
  thalweg private audit --mechanism lr-bisr --steps 220 --schedule exponential:0.1 --separation 22 --participations 10
  thalweg private audit --run private-1 --fault noise          a negative control: it must be found

The audit runs the noise code of the training very many times, with and without one example, and asks how well the two can be told
apart. `violated` means that they can be told apart better than the guarantee allows, and ends with exit code 1.")]
pub(crate) struct Audit {
    /// Audit the plan of a recorded run
    #[arg(long, value_name = "ID", conflicts_with_all = ["mechanism", "steps", "schedule", "separation", "participations", "bands"])]
    run: Option<String>,
    /// Audit a mechanism by its name
    #[arg(long, value_name = "NAME", required_unless_present = "run", requires = "steps")]
    mechanism: Option<Name>,
    /// Its steps
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    #[command(flatten)]
    course: Course,
    /// The bandwidth, for the mechanisms that have one
    #[arg(long, value_name = "P")]
    bands: Option<usize>,
    /// The claimed epsilon, without a run
    #[arg(long, value_name = "X", default_value_t = 4.0, allow_negative_numbers = true)]
    epsilon: f64,
    /// The claimed delta, without a run
    #[arg(long, value_name = "X", default_value_t = 1e-5, allow_negative_numbers = true)]
    delta: f64,
    /// Trials with the canary, and as many without
    #[arg(long, value_name = "M", default_value_t = thalweg::private::audit::TRIALS)]
    canaries: usize,
    /// A sound system is called violated with at most this probability
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    significance: f64,
    /// Plant a fault that must be found: noise (too small by 1.5), participation (sensitivity of a single one), batch (the mean over
    /// the realised batch)
    #[arg(long, value_name = "FAULT")]
    fault: Option<Fault>,
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    audit: AuditReport,
    report: PathBuf,
}

impl Audit {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        // A negative control does not take the place of the audit that counts.
        let control = self.fault.map(|fault| format!("-fault-{fault}")).unwrap_or_default();
        let (plan, name, page) = match &self.run {
            Some(id) => {
                let folder = common.store().find(id)?;
                (plan_of_run(id, &folder.join("config.toml"))?, id.clone(), folder.join(format!("audit{control}.html")))
            }
            None => {
                let plan = self.plan()?;
                let name = plan.summary().mechanism.to_string();
                let page = common.runs.join(format!("audit-{name}{control}.html"));
                (plan, name, page)
            }
        };
        let mut audit = MechanismAudit::of(&plan).with_trials(self.canaries)?.with_significance(self.significance);
        if let Some(fault) = self.fault {
            audit = audit.with_fault(fault);
        }
        if let Some(seed) = common.seed {
            audit = audit.with_seed(seed);
        }
        console.note(&format!("{} trials with one example and {} without it", self.canaries, self.canaries));
        let audit = audit.run()?;
        let report = pages::write_audit_report(&name, &plan.summary(), &audit, common.out.as_deref().unwrap_or(&page))?;
        let text = describe(&audit, &report);
        let verdict = audit.verdict;
        console.result(&Document { audit, report }, &text)?;
        Ok(if verdict == Verdict::Consistent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn plan(&self) -> Result<PrivacyPlan> {
        let (Some(mechanism), Some(steps)) = (self.mechanism, self.steps) else {
            return Err(Error::input("--mechanism NAME with --steps N, or --run ID: say what is to be audited"));
        };
        let workload = self.course.workload(steps)?;
        let (separation, at_most) = self.course.participation(steps)?;
        let batches = Participation::Separated { separation, at_most };
        let plan = PrivacyPlan::new(self.epsilon, self.delta, mechanism, workload, batches).with_bands(self.bands);
        Ok(plan.with_expected_batch(EXAMPLES).build()?)
    }
}

/// The batch of an audited mechanism: several examples, so that dividing by the realised number makes a difference.
const EXAMPLES: f64 = 8.0;

fn plan_of_run(id: &str, config: &std::path::Path) -> Result<PrivacyPlan> {
    let config = TrainingConfig::read(config)?;
    let training = Training::prepare(&config, &NoiseKey::insecure(0))?;
    training.privacy.ok_or_else(|| Error::input(format!("{id} was trained without privacy: there is no guarantee to audit")))
}

fn describe(audit: &AuditReport, report: &std::path::Path) -> String {
    let mut lines = vec![
        format!("at least   epsilon {} (by the audit, at delta {})", significant(audit.epsilon_lower_bound, 4), audit.delta),
        format!("at most    epsilon {} (by the accountant)", significant(audit.epsilon_upper_bound, 4)),
        format!("verdict    {}", audit.verdict),
    ];
    if let Some(fault) = audit.fault {
        lines.push(format!("fault      {fault}, planted"));
    }
    lines.push(format!("report     {}", report.display()));
    lines.join("\n")
}
