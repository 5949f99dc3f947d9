//! `thalweg private plan`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use thalweg::descent::{Error, Result};
use thalweg::pages::{self, PlanPage};
use thalweg::private::accountant::{self, AccountRequest, Target};
use thalweg::private::sampler::Sampling;
use thalweg::private::strategy::StrategyFile;
use thalweg::private::{CompareOptions, Comparison, Name, Objective, Pattern, Workload, compare_watched};
use thalweg::report::format::significant;

use crate::cli::Common;
use crate::cli::console::Console;
use crate::cli::private::course::Course;

/// Which noise suits my schedule, epochs, batch and memory?
#[derive(Args)]
#[command(after_help = "Examples:
  thalweg private plan --steps 781 --schedule exponential:0.1 --participations 11 --separation 71
  thalweg private plan --examples 60000 --batch 512 --epochs 10 --schedule cosine:0.1 --bands 16
  thalweg private plan --steps 500 --schedule file:rates.txt --momentum 0.9 --objective max --save strategy.json
  thalweg private plan --examples 60000 --batch 512 --epochs 10 --epsilon 4 --delta 1e-6

MaxSE is the root of the worst iterate's expected squared error, MeanSE that of the mean over iterates, both in units of noise
multiplier times clip norm. They are exact: nothing is trained.")]
pub(crate) struct Plan {
    /// The steps of the run
    #[arg(long, value_name = "N", required_unless_present_all = ["examples", "batch", "epochs"])]
    steps: Option<u64>,
    /// The examples of the training set, instead of --steps
    #[arg(long, value_name = "N", conflicts_with_all = ["steps", "participations", "separation"], requires_all = ["batch", "epochs"])]
    examples: Option<u64>,
    /// The examples of a batch, instead of --steps
    #[arg(long, value_name = "N", requires = "examples")]
    batch: Option<u64>,
    /// The epochs, instead of --steps
    #[arg(long, value_name = "N", requires = "examples")]
    epochs: Option<u64>,
    #[command(flatten)]
    course: Course,
    /// The bandwidth p; p - 1 vectors of the model's size are the memory that there is [default: scanned]
    #[arg(long, value_name = "P")]
    bands: Option<usize>,
    /// The optimiser's momentum
    #[arg(long, value_name = "M", default_value_t = 0.0, allow_negative_numbers = true)]
    momentum: f64,
    /// Decoupled weight decay, times the first learning rate
    #[arg(long, value_name = "W", default_value_t = 0.0, allow_negative_numbers = true)]
    weight_decay: f64,
    /// The error that is minimised and that decides: mean or max
    #[arg(long, value_name = "ERROR", default_value = "mean")]
    objective: Objective,
    /// Only these mechanisms
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    only: Vec<Name>,
    /// Also say which noise this epsilon needs
    #[arg(long, value_name = "E", requires = "delta", allow_negative_numbers = true)]
    epsilon: Option<f64>,
    /// ... at this delta
    #[arg(long, value_name = "D", requires = "epsilon", allow_negative_numbers = true)]
    delta: Option<f64>,
    /// Keep the recommended strategy in a file, with what it was made for
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    comparison: &'a Comparison,
    findings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    privacy: Option<Privacy>,
    report: PathBuf,
}

/// What (epsilon, delta) costs.
#[derive(Clone, Copy, Serialize)]
struct Privacy {
    epsilon: f64,
    delta: f64,
    /// Of every mechanism, with batches in fixed order.
    noise_multiplier: f64,
    sampled_identity: Option<Sampled>,
}

/// Independent noise with Poisson sampling, whose amplification correlated noise does without.
#[derive(Clone, Copy, Serialize)]
struct Sampled {
    noise_multiplier: f64,
    /// In units of the noise multiplier of fixed order times the clip norm, so that they can be compared.
    max_se: f64,
    mean_se: f64,
}

impl Plan {
    pub(super) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        let (workload, pattern) = (self.workload()?, self.pattern()?);
        if let Some(bands) = self.bands.filter(|bands| *bands > workload.steps()) {
            console.note(&format!("--bands {bands}: {} bands are used, as many as there are steps", workload.steps()));
        }
        self.warn_of_delta(console);
        let options = CompareOptions { bands: self.bands, objective: self.objective, only: self.only.clone() };
        let comparison = watched(&workload, pattern, &options, console)?;
        let privacy = self.privacy(&comparison, &workload)?;
        let mut findings = comparison.findings();
        findings.extend(privacy.and_then(|privacy| privacy.finding(&comparison)));
        let saved = self.save(&comparison, &workload, pattern)?;
        let title = format!("{} steps, rate {}, {pattern}", workload.steps(), self.course.schedule);
        let page = PlanPage { title: &title, comparison: &comparison, findings: &findings };
        let report = page.write(common.out.as_deref().unwrap_or(&common.runs.join(self.page_name(&workload))))?;
        let text = [
            Some(pages::plan_table(&comparison)?.to_text()),
            Some(pages::left_out(&comparison).join("\n")),
            comparison.lower_bound.map(|bound| format!("No mechanism is below {}.", significant(bound, 6))),
            privacy.map(|privacy| privacy.to_string()),
            Some(findings.join("\n")),
            Some(pages::recommendation(&comparison)),
            saved,
            Some(format!("report     {}", report.display())),
        ];
        let text: Vec<String> = text.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        console.result(&Document { comparison: &comparison, findings: &findings, privacy, report }, &text.join("\n\n"))?;
        Ok(ExitCode::SUCCESS)
    }

    fn workload(&self) -> Result<Workload> {
        let steps = match (self.steps, self.examples, self.epochs) {
            (Some(steps), ..) => steps,
            (None, Some(_), Some(epochs)) => self.steps_of_an_epoch()?.saturating_mul(epochs),
            _ => return Err(Error::input("--steps N, or --examples, --batch and --epochs: say how long the run is")),
        };
        Ok(self.course.workload(steps)?.with_momentum(self.momentum)?.with_decay(self.weight_decay)?)
    }

    fn pattern(&self) -> Result<Pattern> {
        let in_range = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let (separation, at_most) = match (self.steps, self.epochs) {
            (None, Some(epochs)) => (self.steps_of_an_epoch()?, epochs),
            (steps, _) => self.course.participation(steps.unwrap_or(1))?,
        };
        Ok(match at_most {
            1 => Pattern::Single,
            _ => Pattern::separated(in_range(separation), in_range(at_most))?,
        })
    }

    /// Whole batches only, as training takes them.
    fn steps_of_an_epoch(&self) -> Result<u64> {
        let (examples, batch) = (self.examples.unwrap_or(0), self.batch.unwrap_or(0));
        if batch == 0 || batch > examples {
            return Err(Error::input(format!("--batch {batch}: a batch has 1 to {examples} examples, all that there are")));
        }
        Ok(examples / batch)
    }

    fn warn_of_delta(&self, console: &Console) {
        if let (Some(delta), Some(examples)) = (self.delta, self.examples)
            && delta > 1.0 / examples as f64
        {
            console
                .note(&format!("--delta {delta} is above 1/{examples}: it would allow to publish one person's data at random"));
        }
    }

    fn privacy(&self, comparison: &Comparison, workload: &Workload) -> Result<Option<Privacy>> {
        let (Some(epsilon), Some(delta)) = (self.epsilon, self.delta) else { return Ok(None) };
        let noise = |sampling| {
            let request = AccountRequest::new(sampling, workload.steps() as u64, delta, Target::Epsilon(epsilon));
            accountant::account(&request).map(|found| found.noise_multiplier)
        };
        let noise_multiplier = noise(Sampling::None)?;
        let sampled_identity = match (self.batch, self.examples) {
            (Some(batch), Some(examples)) => Some(noise(Sampling::Poisson { rate: batch as f64 / examples as f64 })?),
            _ => None,
        };
        let sampled_identity = sampled_identity.zip(comparison.of(Name::Identity)).map(|(sampled, identity)| {
            // Sampling is in the accountant: each step is a mechanism of sensitivity 1.
            let ratio = sampled / noise_multiplier / identity.sensitivity;
            Sampled { noise_multiplier: sampled, max_se: identity.max_se * ratio, mean_se: identity.mean_se * ratio }
        });
        Ok(Some(Privacy { epsilon, delta, noise_multiplier, sampled_identity }))
    }

    fn save(&self, comparison: &Comparison, workload: &Workload, pattern: Pattern) -> Result<Option<String>> {
        let Some(path) = &self.save else { return Ok(None) };
        let strategy = comparison.recommended.and_then(|name| comparison.of(name)?.strategy.clone());
        let strategy = strategy.ok_or_else(|| Error::input(format!("--save {}: {}", path.display(), comparison.reason)))?;
        let name = strategy.name();
        StrategyFile::new(strategy, workload.clone(), pattern)?.save(path)?;
        Ok(Some(format!("{name} is kept in {}, for this schedule and participation alone.", path.display())))
    }

    fn page_name(&self, workload: &Workload) -> String {
        // The schedule in full where that is short; listed rates would make no name of a file.
        let schedule = self.course.schedule.to_string();
        let kind = schedule.split(':').next().unwrap_or_default();
        let schedule = if schedule.len() > 40 { kind.to_owned() } else { schedule.replace(':', "-") };
        format!("plan-{}-{schedule}.html", workload.steps())
    }
}

/// The comparison, with a bar that tells which mechanisms are still at work.
fn watched(workload: &Workload, pattern: Pattern, options: &CompareOptions, console: &Console) -> Result<Comparison> {
    let left = Mutex::new(options.names());
    let bar = console.progress(options.names().len() as u64);
    bar.enable_steady_tick(Duration::from_millis(200));
    let compared = compare_watched(workload, pattern, options, |name| {
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|other| *other != name);
        bar.set_message(left.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "));
        bar.inc(1);
    });
    bar.finish_and_clear();
    Ok(compared?)
}

impl Privacy {
    /// Whether amplification by sampling is worth more than correlation.
    fn finding(&self, comparison: &Comparison) -> Option<String> {
        let sampled = self.sampled_identity?;
        let name = comparison.recommended?;
        let best = comparison.of(name)?.get(comparison.objective);
        let sampled = match comparison.objective {
            Objective::Mean => sampled.mean_se,
            Objective::Max => sampled.max_se,
        };
        let comparison = if sampled < best { "less: sampling pays more here than correlation" } else { "more" };
        Some(format!(
            "Independent noise with Poisson batches would have the error {}, {comparison} than the {} of {name} with batches in fixed \
             order.",
            significant(sampled, 6),
            significant(best, 6)
        ))
    }
}

impl std::fmt::Display for Privacy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { epsilon, delta, noise_multiplier, sampled_identity } = self;
        write!(f, "({epsilon}, {delta}) needs the noise multiplier {}", significant(*noise_multiplier, 6))?;
        match sampled_identity {
            Some(sampled) => {
                let sigma = significant(sampled.noise_multiplier, 6);
                write!(f, " with batches in fixed order; identity with Poisson batches needs {sigma}.")
            }
            None => write!(f, "."),
        }
    }
}
