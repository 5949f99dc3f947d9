//! Vector files: published and reference values, compared with what this crate computes.
//!
//! A vector file is a JSON object with a `kind`, the parameters of some cases, the values expected and their tolerances. [`check`]
//! recomputes every file of a folder and gives a table with one row for each quantity.

mod deq;
mod icl;
mod invariants;
mod measures;
mod relu;
mod sheet;
mod split_mix;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thalweg_report::{Cell, Column, NumberFormat, Table};

use crate::error::{Error, Result};
use sheet::Sheet;

pub use sheet::Row;
pub use split_mix::SplitMix64;

/// What a check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// One row for each quantity of each case, in the order of the files' names.
    pub rows: Vec<Row>,
}

impl Checked {
    /// Whether every row passed.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.pass)
    }

    /// The rows as a table, for a terminal or a page: name, quantity, expected, measured, tolerance, pass.
    ///
    /// ```no_run
    /// let found = thalweg_dynamics::check(std::path::Path::new("vectors"))?;
    /// println!("{}", found.table().to_text());
    /// # Ok::<(), thalweg_dynamics::Error>(())
    /// ```
    pub fn table(&self) -> Table {
        let number = |title: &str, digits| Column::number(title, NumberFormat::Significant(digits));
        let words = [Column::text("name"), Column::text("quantity")];
        let numbers = [number("expected", 10), number("measured", 10), number("tolerance", 2)];
        let mut table = Table::new(words.into_iter().chain(numbers).chain([Column::text("pass")]));
        for row in &self.rows {
            let pass = if row.pass { "yes" } else { "NO" };
            let numbers = [row.expected.into(), row.measured.into(), row.tolerance.into()];
            let cells =
                [Cell::from(row.name.as_str()), row.quantity.as_str().into()].into_iter().chain(numbers).chain([pass.into()]);
            table.row(cells).expect("a row has a cell for each of the six columns");
        }
        table
    }

    /// The rows that did not pass.
    pub fn failures(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| !row.pass)
    }
}

/// Recomputes a file, given its name and content.
type Recompute = fn(&str, Value) -> Result<Vec<Row>>;

/// The kinds of vector files.
const KINDS: [(&str, Recompute); 21] = [
    ("deq_flow", deq::flow),
    ("deq_gd", deq::descent),
    ("deq_hessian", deq::curvatures),
    ("deq_single_index", deq::sigmoid),
    ("deq_stress", deq::stress),
    ("deq_tanh", deq::tanh),
    ("icl_aligned", icl::aligned),
    ("icl_cutoff", icl::cutoff),
    ("icl_matrix_flow", icl::matrix_flow),
    ("icl_sgd", icl::sgd),
    ("icl_unbalanced", icl::unbalanced),
    ("icl_wishart", icl::wishart),
    ("invariants", invariants::check),
    ("measures", measures::check),
    ("relu_kernel", relu::kernel),
    ("relu_margin_qp", relu::margin_qp),
    ("relu_margin_xor", relu::xor_margin),
    ("relu_train", relu::train),
    ("xor_experiment", relu::xor_experiment),
    ("xor_two_layer", relu::two_layer),
    ("rng", split_mix::check),
];

/// Recomputes all vector files (`*.json`) of a folder.
///
/// # Errors
/// [`Error::Vector`] for a folder without vector files, and for a file that cannot be read, has an unknown kind, or lacks a field;
/// what a computation says when it cannot be made.
pub fn check(directory: &Path) -> Result<Checked> {
    let mut rows = Vec::new();
    for file in files(directory)? {
        rows.extend(check_file(&file)?);
    }
    Ok(Checked { rows })
}

/// Recomputes one vector file.
///
/// # Errors
/// As [`check`].
pub fn check_file(file: &Path) -> Result<Vec<Row>> {
    let wrong = |reason: String| Error::vector(file, reason);
    let text = std::fs::read_to_string(file).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| wrong(format!("is no JSON: {error}")))?;
    let kind = value.get("kind").and_then(Value::as_str).ok_or_else(|| wrong("has no field \"kind\"".to_owned()))?;
    let Some((_, recompute)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        return Err(wrong(format!("has the unknown kind {kind:?}; known are {}", known.join(", "))));
    };
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    recompute(&name, value).map_err(|error| match error {
        Error::Vector { .. } => error,
        error => wrong(error.to_string()),
    })
}

fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error: std::io::Error| Error::vector(directory, format!("cannot be read: {error}"));
    let entries = std::fs::read_dir(directory).map_err(unreadable)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let mut files: Vec<PathBuf> = paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    if files.is_empty() {
        return Err(Error::vector(directory, "holds no vector file (*.json)"));
    }
    Ok(files)
}

/// Reads the fields of a vector file.
fn read<T: DeserializeOwned>(name: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::vector(Path::new(name), format!("does not fit its kind: {error}")))
}
