//! `thalweg runs`.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use thalweg::compose::{Job, TrainingConfig};
use thalweg::descent::store::{Run, Status, read_events};
use thalweg::descent::{Record, Result};
use thalweg::pages;
use thalweg::report::{Column, NumberFormat, Table};

use crate::cli::console::Console;
use crate::cli::{Common, private};

/// List, show, resume, draw and compare recorded runs
#[derive(Subcommand)]
#[command(after_help = "Examples:
  thalweg runs list
  thalweg runs resume private-3
  thalweg runs compare private-3 private-4 --json")]
pub(crate) enum Runs {
    /// All runs, and how they ended
    List,
    /// One run: configuration, guarantee, last measurements
    Show {
        /// Its name
        id: String,
    },
    /// Go on with an interrupted run: it ends with the same bits as an undisturbed one
    Resume {
        /// Its name
        id: String,
    },
    /// Draw a run's report.html again, from its files alone
    Report {
        /// Its name
        id: String,
    },
    /// Two or more runs side by side
    Compare {
        /// Their names
        #[arg(required = true, num_args = 2..)]
        ids: Vec<String>,
    },
}

/// A run in a list.
#[derive(Serialize)]
struct Row {
    run: String,
    status: String,
    mechanism: String,
    epsilon: Option<f64>,
    steps: u64,
    test_accuracy: Option<f64>,
    test_loss: Option<f64>,
}

/// A run in full.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    row: Row,
    folder: String,
    config: TrainingConfig,
}

impl Runs {
    pub(crate) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        match self {
            Self::List => list(common, console)?,
            Self::Show { id } => show(&common.store().find(&id)?, console)?,
            Self::Resume { id } => return resume(&id, common, console),
            Self::Report { id } => report(&common.store().find(&id)?, console)?,
            Self::Compare { ids } => compare(&ids, common, console)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(common: &Common, console: &Console) -> Result<()> {
    let store = common.store();
    let mut rows = Vec::new();
    for id in store.list()? {
        match row(&store.find(&id)?) {
            Ok(row) => rows.push(row),
            // One damaged run must not hide the others.
            Err(error) => console.note(&format!("{id}: {error}")),
        }
    }
    let text = if rows.is_empty() {
        format!("no runs in {}; start one with:  thalweg private train", store.root().display())
    } else {
        table(&rows).to_text()
    };
    console.result(&rows, &text)
}

fn row(folder: &Path) -> Result<Row> {
    let config = TrainingConfig::read(&folder.join("config.toml"))?;
    let events = folder.join("events.jsonl");
    let records = if events.exists() { read_events(&events)? } else { Vec::new() };
    let last = |name: &str| records.iter().rev().find_map(|record: &Record| record.number(name));
    let steps = last("steps").or_else(|| last("step").map(|step| step + 1.0)).unwrap_or(0.0);
    Ok(Row {
        run: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        status: Run::status(folder)?.to_string(),
        mechanism: match &config.vote {
            Some(vote) => format!("vote {}", vote.mode),
            None => config.privacy.mechanism.clone(),
        },
        epsilon: config.guarantee().map(|privacy| privacy.epsilon),
        steps: steps as u64,
        test_accuracy: last("test.accuracy"),
        test_loss: last("test.loss"),
    })
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        Column::text("run"),
        Column::text("status"),
        Column::text("mechanism"),
        Column::number("epsilon", NumberFormat::Significant(3)),
        Column::number("steps", NumberFormat::Count),
        Column::number("test accuracy", NumberFormat::Percent(2)),
        Column::number("test loss", NumberFormat::Significant(4)),
    ]);
    for row in rows {
        let cells = [
            row.run.as_str().into(),
            row.status.as_str().into(),
            row.mechanism.as_str().into(),
            row.epsilon.into(),
            (row.steps as f64).into(),
            row.test_accuracy.into(),
            row.test_loss.into(),
        ];
        table.row(cells).expect("there is a cell for each column above");
    }
    table
}

fn show(folder: &Path, console: &Console) -> Result<()> {
    let row = row(folder)?;
    let config = TrainingConfig::read(&folder.join("config.toml"))?;
    let mut text = table(std::slice::from_ref(&row)).to_text();
    text.push_str(&format!("\nfolder  {}\n\n{}", folder.display(), config.to_toml()?));
    if row.status == Status::Interrupted.to_string() {
        text.push_str(&format!("\ngo on with:  thalweg runs resume {}", row.run));
    }
    console.result(&Shown { row, folder: folder.display().to_string(), config }, &text)
}

fn resume(id: &str, common: &Common, console: &Console) -> Result<ExitCode> {
    let run = common.store().open(id)?;
    let job = Job::from_config(run.config(), &run.folder().join("config.toml").display().to_string())?;
    private::drive(&run, &job, job.check()?, console)
}

fn report(folder: &Path, console: &Console) -> Result<()> {
    let path = pages::write_run_report(folder)?;
    console.result(&serde_json::json!({ "report": path }), &path.display().to_string())
}

fn compare(ids: &[String], common: &Common, console: &Console) -> Result<()> {
    let store = common.store();
    let folders = ids.iter().map(|id| store.find(id)).collect::<Result<Vec<_>, _>>()?;
    let rows = folders.iter().map(|folder| row(folder)).collect::<Result<Vec<_>>>()?;
    let out = common.out.clone().unwrap_or_else(|| store.root().join("compare.html"));
    pages::write_comparison(&folders, &out)?;
    let text = format!("{}\n\nreport  {}", table(&rows).to_text().trim_end(), out.display());
    console.result(&serde_json::json!({ "runs": rows, "report": out }), &text)
}
