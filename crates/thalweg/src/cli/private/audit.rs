//! `thalweg private audit`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use thalweg::compose::{AuditedTraining, Training, TrainingConfig, load_data};
use thalweg::descent::{Error, Participation, Result};
use thalweg::pages;
use thalweg::private::audit::{AuditReport, CANARIES, Fault, MechanismAudit, TRIALS, Verdict};
use thalweg::private::{Name, NoiseKey, PlanSummary, PrivacyPlan};
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
  thalweg private audit --run private-1 --training             train again, with canaries among the examples
  thalweg private audit --run private-1 --training --fault no-noise

The audit runs the noise code of the training very many times, with and without one example, and asks how well the two can be told
apart. `violated` means that they can be told apart better than the guarantee allows, and ends with exit code 1.

With --training the whole training is done again: batches, gradients, clipping and loop included. Canaries take the place of some
examples, each in or out by a coin, and everything released is searched for them. One training tells less than many trials: it
finds gross errors anywhere (no noise, forgotten participations), and a noise that is 1.5 times too small it does not see.")]
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
    /// Trials with the canary, and as many without [default: 100000]; with --training, the canaries in it [default: 1000, or half of
    /// the examples]
    #[arg(long, value_name = "M")]
    canaries: Option<usize>,
    /// Train again, with canaries among the examples, and search what is released for them
    #[arg(long, requires = "run", conflicts_with = "significance")]
    training: bool,
    /// A sound system is called violated with at most this probability
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    significance: f64,
    /// Plant a fault that must be found: noise (too small by 1.5), participation (sensitivity of a single one), batch (the mean over
    /// the realised batch), no-noise (as if forgotten)
    #[arg(long, value_name = "FAULT")]
    fault: Option<Fault>,
}

/// What came of it, of which plan, of what name, and where its page goes.
type Audited = (AuditReport, PlanSummary, String, PathBuf);

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    audit: AuditReport,
    report: PathBuf,
}

impl Audit {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let (audit, plan, name, page) =
            if self.training { self.of_training(common, console)? } else { self.of_mechanism(common, console)? };
        let report = pages::write_audit_report(&name, &plan, &audit, common.out.as_deref().unwrap_or(&page))?;
        let text = describe(&audit, &report);
        let verdict = audit.verdict;
        console.result(&Document { audit, report }, &text)?;
        Ok(if verdict == Verdict::Consistent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn of_mechanism(&self, common: &Common, console: &Console) -> Result<Audited> {
        let control = self.control();
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
        let trials = self.canaries.unwrap_or(TRIALS);
        let mut audit = MechanismAudit::of(&plan).with_trials(trials)?.with_significance(self.significance);
        if let Some(fault) = self.fault {
            audit = audit.with_fault(fault);
        }
        if let Some(seed) = common.seed {
            audit = audit.with_seed(seed);
        }
        console.note(&format!("{trials} trials with one example and {trials} without it"));
        Ok((audit.run()?, plan.summary(), name, page))
    }

    fn of_training(&self, common: &Common, console: &Console) -> Result<Audited> {
        let Some(id) = &self.run else {
            return Err(Error::input("--training needs --run ID: say which training is to be audited"));
        };
        let folder = common.store().find(id)?;
        let config = TrainingConfig::read(&folder.join("config.toml"))?;
        let key = match common.seed {
            Some(seed) => NoiseKey::insecure(seed),
            None => NoiseKey::generate()?,
        };
        let canaries = match self.canaries {
            Some(canaries) => canaries,
            None => CANARIES.min(load_data(&config.data, config.training.seed)?.train.len() / 2),
        };
        let audited = AuditedTraining::prepare(&config, canaries, self.fault, &key)?;
        console.note(&format!("{} steps with {canaries} canaries in the place of as many examples", audited.steps()));
        let bar = console.progress(audited.steps());
        let plan = audited.plan().clone();
        let audit = audited.run(|step| bar.set_position(step));
        bar.finish_and_clear();
        Ok((audit?, plan, id.clone(), folder.join(format!("audit-training{}.html", self.control()))))
    }

    /// A negative control does not take the place of the audit that counts.
    fn control(&self) -> String {
        self.fault.map(|fault| format!("-fault-{fault}")).unwrap_or_default()
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
