//! `thalweg dynamics`.

mod audit;
mod check;
mod deq;
mod features;
mod grok;
mod icl;
mod in_context;
mod overlay;
mod phase;
mod relu;
mod training;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use thalweg::descent::store::write_atomically;
use thalweg::descent::{Error, Result};
use thalweg::report::format::significant;

use crate::cli::console::Console;
use crate::cli::{Common, Heeded};

/// Exact learning dynamics: what theory says of a small model's descent, beside the descent itself
#[derive(Subcommand)]
pub(crate) enum Dynamics {
    /// How a linear transformer learns in context: plateaus and half-times of each mode, published and exact
    Icl(icl::Icl),
    /// How an equilibrium model descends, and what it conserves
    Deq(deq::Deq),
    /// Margins and certificates of deep ReLU networks on 2-XOR
    #[command(subcommand)]
    Relu(relu::Relu),
    /// What a private network learns: signal, memorised noise, injected noise
    Features(features::Features),
    /// Try to break the guarantee of `features`: a lower bound on epsilon beside the claimed one
    Audit(audit::Audit),
    /// Train a transformer on addition modulo p: it knows the examples long before it knows the rule
    Grok(Box<grok::Grok>),
    /// Train layers of attention to regress in context, beside what linear attention can do
    InContext(Box<in_context::InContext>),
    /// Recompute published and reference values
    Check(check::Check),
    /// Draw theory over measurement on one page
    #[command(subcommand)]
    Overlay(overlay::Overlay),
    /// A lab over a grid of two parameters and many seeds: a heat map that can be resumed
    Phase(phase::Phase),
}

impl Dynamics {
    pub(crate) fn run(self, common: &Common, console: &Console) -> Result<ExitCode> {
        match self {
            Self::Icl(icl) => icl.run(common, console),
            Self::Deq(deq) => deq.run(common, console),
            Self::Relu(relu) => relu.run(common, console),
            Self::Features(features) => features.run(common, console),
            Self::Audit(audit) => audit.run(common, console),
            Self::Grok(grok) => grok.run(common, console),
            Self::InContext(in_context) => in_context.run(common, console),
            Self::Check(check) => check.run(console),
            Self::Overlay(overlay) => overlay.run(common, console),
            Self::Phase(phase) => phase.run(common, console),
        }
    }

    /// Which common options it has a use for.
    pub(crate) fn heeds(&self) -> &'static [Heeded] {
        match self {
            Self::Icl(_) | Self::Deq(_) | Self::Features(_) | Self::Overlay(_) => &[Heeded::Out, Heeded::Seed],
            Self::Grok(_) | Self::InContext(_) => &[Heeded::Out, Heeded::Seed, Heeded::Device],
            Self::Relu(relu) => relu.heeds(),
            Self::Audit(_) => &[Heeded::Seed],
            Self::Phase(_) => &[Heeded::Out],
            Self::Check(_) => &[],
        }
    }
}

/// The line that says where the page lies, if one was drawn.
fn page_line(page: Option<&PathBuf>) -> String {
    page.map(|page| format!("\npage       {}", page.display())).unwrap_or_default()
}

/// Draws the page that `--out` asks for.
fn draw_page(common: &Common, draw: impl FnOnce(&Path) -> Result<PathBuf>) -> Result<Option<PathBuf>> {
    common.out.as_deref().map(draw).transpose()
}

/// What a lab found. A descent that stops on its way leaves what it had recorded in a file, and its error says where.
fn keeping_record<T>(common: &Common, lab: &str, found: std::result::Result<T, thalweg::dynamics::Error>) -> Result<T> {
    let error = match found {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    let Some(record) = error.record() else { return Err(error.into()) };
    let path = common.runs.join(format!("{lab}-stopped.json"));
    let text = serde_json::json!({ "error": error.to_string(), "records": record }).to_string();
    std::fs::create_dir_all(&common.runs).map_err(|error| Error::piece(format!("writing {}", path.display()), error))?;
    write_atomically(&path, text.as_bytes())?;
    let said = format!("{error}; what was recorded until then lies in {}", path.display());
    Err(if error.is_input() { Error::input(said) } else { Error::piece("following the dynamics", said) })
}

/// Six digits, or a dash.
fn or_dash(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| significant(value, 6))
}
