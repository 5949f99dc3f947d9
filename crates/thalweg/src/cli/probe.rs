//! What a training run is asked to watch.

use std::path::PathBuf;

use clap::Args;
use thalweg::compose::{ProbeConfig, ProbeName};
use thalweg::probes::RankRule;

/// Probes, and the rules by which they measure.
#[derive(Args, Default)]
pub(crate) struct ProbeArgs {
    /// Watch beside: invariants, spectra, subspaces, autocorrelation, seen, noise-scale, margins
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', help_heading = "Probes")]
    probe: Option<Vec<ProbeName>>,
    /// Probes write after every so many steps [default: 50]
    #[arg(long, value_name = "STEPS", help_heading = "Probes")]
    probe_every: Option<u64>,
    /// Which singular values count in effective ranks: relative:SHARE, absolute:VALUE, fixed:K, energy:SHARE [default: relative:1e-6]
    #[arg(long, value_name = "RULE", help_heading = "Probes")]
    probe_rank: Option<RankRule>,
    /// Leading singular values that the marginal effective rank leaves out [default: 1]
    #[arg(long, value_name = "K", help_heading = "Probes")]
    probe_drop: Option<usize>,
    /// Which singular values span the row space in a subspace distance [default: energy:0.9]
    #[arg(long, value_name = "RULE", help_heading = "Probes")]
    probe_subspace_rank: Option<RankRule>,
    /// Weights, or a run's folder, to which subspaces are compared [default: this run's start]
    #[arg(long, value_name = "PATH", help_heading = "Probes")]
    probe_target: Option<PathBuf>,
    /// The last losses whose autocorrelation is taken [default: 100]
    #[arg(long, value_name = "STEPS", help_heading = "Probes")]
    probe_window: Option<usize>,
    /// The lag at which it is taken [default: 1]
    #[arg(long, value_name = "STEPS", help_heading = "Probes")]
    probe_lag: Option<usize>,
    /// Examples for noise scale and margins [default: 64]
    #[arg(long, value_name = "N", help_heading = "Probes")]
    probe_examples: Option<usize>,
    /// On a private run, accept probes that read training examples: the guarantee does NOT cover what they write
    #[arg(long, help_heading = "Probes")]
    unaccounted_probes: bool,
}

impl ProbeArgs {
    /// The configuration with what is given here in place.
    pub(crate) fn apply(self, mut config: ProbeConfig) -> ProbeConfig {
        config.names = self.probe.unwrap_or(config.names);
        config.every = self.probe_every.unwrap_or(config.every);
        config.rank = self.probe_rank.unwrap_or(config.rank);
        config.drop = self.probe_drop.unwrap_or(config.drop);
        config.subspace_rank = self.probe_subspace_rank.unwrap_or(config.subspace_rank);
        // A run may be resumed from another folder.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        config.target = self.probe_target.map(absolute).or(config.target);
        config.window = self.probe_window.unwrap_or(config.window);
        config.lag = self.probe_lag.unwrap_or(config.lag);
        config.examples = self.probe_examples.unwrap_or(config.examples);
        config.unaccounted |= self.unaccounted_probes;
        config
    }
}
