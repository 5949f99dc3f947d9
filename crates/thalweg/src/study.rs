//! Studies: published claims that can fail.
//!
//! A study is a TOML file ([`StudyFile`]) that names claims ([`Claim`]) and, before the first run, the rule that decides them ([`Rule`]). Its
//! cells, one for each seed, setting and tuned value, are runs of the store and independent of each other: they can be killed,
//! resumed, and spread over processes with a [`Shard`]. When all are finished the rule gives the [`Verdict`].

mod cells;
mod file;
mod laboratory;
mod outcome;
mod rule;
pub(crate) mod statistics;

pub use cells::{Cell, Shard};
pub use file::{Setting, StudyFile, Tuning};
pub use laboratory::{Laboratory, Progress, STUDY, Worked};
pub use outcome::{ClaimOutcome, Intervals, Outcome, SettingOutcome};
pub use rule::{Claim, Decision, Rule, Simultaneous};
pub use statistics::{MeanInterval, mean_interval};
pub use thalweg_report::Verdict;
