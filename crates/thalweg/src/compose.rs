//! Makes descents of configurations: what joins data, network, privacy and probes.
//!
//! A run's `config.toml` is a [`TrainingConfig`]. [`Job::from_config`] checks it and builds the descent, [`Job::drive`] takes it to
//! its end in a run of the store, and both do the same again when a run is resumed.

mod audited;
mod cell_folder;
mod config;
mod data_config;
mod dataset;
pub mod features;
pub mod features_audit;
pub mod features_pictures;
mod federated;
mod job;
pub mod phase;
mod probes;
mod task;
mod training;
mod words;
pub mod xor_study;

pub use audited::AuditedTraining;
pub use cell_folder::Worked;
pub use config::{
    Command, Form, MachineConfig, NetworkChoice, Optimiser, PLAIN, PrivacyConfig, RecordConfig, Sampling, TrainingConfig,
    TrainingLoop,
};
pub use data_config::{DataConfig, PictureSize};
pub use dataset::{Input, TrainAndTest, load_data};
pub use federated::{Split, VoteConfig, VoteProgress, VoteSummary};
pub use job::{Job, KEY_FILE, Summary, resume_key};
pub use probes::{ProbeConfig, ProbeName};
pub use task::{Learned, Milestones, Task};
pub use training::{MOST_STEPS, Measured, Training};
