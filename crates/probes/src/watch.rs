//! Probes that watch a run at the `observe` seam and write into its record.

mod forgetting;
mod invariants;
mod matrices;
mod noise_scale;
mod spectra;
mod subspaces;

pub use forgetting::Forgetting;
pub use invariants::{Invariants, Update};
pub use matrices::NamedMatrix;
pub use noise_scale::NoiseScale;
pub use spectra::Spectra;
pub use subspaces::Subspaces;

use thalweg_descent::View;

/// Whether a step is one of every so many, or the last.
fn is_due<F>(view: &View<'_, F>, every: u64) -> bool {
    view.last || (view.step + 1).is_multiple_of(every.max(1))
}

/// An error of a measurement as one of the run.
fn watching(what: &'static str) -> impl Fn(crate::Error) -> thalweg_descent::Error {
    move |error| thalweg_descent::Error::piece(what, error)
}
