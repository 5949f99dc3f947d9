//! `thalweg dynamics features --data`.

use std::process::ExitCode;

use serde::Serialize;
use thalweg::compose::DataConfig;
use thalweg::compose::features::protection;
use thalweg::compose::features_pictures::{Pictures, PicturesReport};
use thalweg::descent::{Error, Result};
use thalweg::dynamics::features::{Activation, Network, NoisyGd};
use thalweg::report::format::{percent, significant};

use super::Features;
use crate::cli::Common;
use crate::cli::console::Console;

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    report: PicturesReport,
    epsilon: Option<f64>,
    delta: f64,
    snr: f64,
}

impl Features {
    pub(super) fn run_pictures(&self, name: &str, common: &Common, console: &Console) -> Result<ExitCode> {
        if common.out.is_some() {
            return Err(Error::input("--out draws the split of the weights, which pictures do not have; leave it out"));
        }
        let classes = self.classes.clone().map(<[String; 2]>::try_from).transpose();
        let classes =
            classes.map_err(|given| Error::input(format!("--classes names {}; give two classes, as 3,8", given.len())))?;
        let snr = self.snr * self.scale_signal.unwrap_or(1.0);
        let protection = protection(self.epsilon, self.delta, self.clip, self.steps)?;
        let pictures = Pictures {
            data: DataConfig { name: name.to_owned(), ..DataConfig::default() },
            classes,
            examples: self.n,
            snr,
            network: Network { width: self.width, activation: Activation::new(self.power)?, ..Network::default() },
            descent: NoisyGd { rate: self.eta, steps: self.steps, protection },
            runs: self.seeds,
            seed: common.seed.unwrap_or(0),
        };
        let report = pictures.run()?;
        let text = describe(&report, self.epsilon);
        // JSON has no infinity.
        let epsilon = self.epsilon.is_finite().then_some(self.epsilon);
        console.result(&Document { report, epsilon, delta: self.delta, snr }, &text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(report: &PicturesReport, epsilon: f64) -> String {
    let [first, second] = &report.classes;
    let [train, test] = report.examples;
    [
        format!("pictures   {first} against {second}: {train} to train on, {test} to test, {} pixels", report.dimension),
        format!(
            "accuracy   {} on unseen, {} on training examples",
            percent(report.test_accuracy, 1),
            percent(report.train_accuracy, 1)
        ),
        format!("signal     {} (projection on the classes' difference)", significant(report.signal, 4)),
        format!("noise      {} (injected alone: {})", significant(report.noise, 4), significant(report.control_noise, 4)),
        format!("guarantee  epsilon {epsilon}, noise multiplier {}", significant(report.noise_multiplier, 6)),
    ]
    .join("\n")
}
