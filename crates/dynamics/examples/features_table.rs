//! The reference table of the features lab: 500 examples in 2,000 dimensions, seven signal-to-noise ratios, six budgets, two seeds.
//!
//!     cargo run --release -p thalweg-dynamics --example features_table
//!
//! Each place has the accuracy on unseen examples, and on training examples beside it.
//! `bench/features` runs it beside the same work in NumPy.

#![allow(clippy::print_stdout, reason = "it prints a table")]

use thalweg_dynamics::features::{NoisyGd, Protection, Report, Simulation, Synthetic};

const SNRS: [f64; 7] = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8];
/// Epsilon, and the noise multiplier of 100 full-batch Gaussian steps at delta 1e-5.
const BUDGETS: [(&str, f64); 6] = [
    ("inf", 0.0),
    ("16", 3.441_774_285_0),
    ("8", 6.002_290_722_0),
    ("4", 10.811_618_495_2),
    ("2", 19.938_124_456_4),
    ("1", 37.306_316_348_2),
];

fn main() -> thalweg_dynamics::Result<()> {
    println!("snr   {}", BUDGETS.map(|(name, _)| format!("{:<13}", format!("eps {name}"))).join("  "));
    for snr in SNRS {
        let cells = BUDGETS.iter().map(|(_, noise)| run(snr, *noise)).collect::<thalweg_dynamics::Result<Vec<_>>>()?;
        let cell = |report: &Report| format!("{:.3} ({:.3})", report.test_accuracy, report.train_accuracy);
        println!("{snr:<6}{}", cells.iter().map(cell).collect::<Vec<_>>().join("  "));
    }
    Ok(())
}

fn run(snr: f64, noise: f64) -> thalweg_dynamics::Result<Report> {
    let descent = NoisyGd { protection: Protection::new(1.0, noise)?, ..NoisyGd::default() };
    Simulation { data: Synthetic { snr, ..Synthetic::default() }, descent, runs: 2, ..Simulation::default() }.run()
}
