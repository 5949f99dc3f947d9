//! One line of JSON, as both sides print it.

use serde::{Deserialize, Serialize};
use thalweg_descent::store::peak_memory_bytes;

/// What a program measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Measurement {
    /// Where and when: the first line of a comparison.
    Setting(Setting),
    /// The time and memory of training steps.
    Step(StepCost),
    /// The speed of the event log.
    EventLog(EventLogSpeed),
}

/// Where and when a comparison was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// The day, `YYYY-MM-DD`.
    pub date: String,
    /// The processor and the operating system.
    pub machine: String,
    /// The compiler of this side.
    pub rustc: String,
    /// The versions of the other side.
    pub peers: String,
    /// The commit of this side.
    pub commit: String,
    /// Rounds in which both sides took turns.
    pub rounds: u32,
}

/// One process that took training steps, or did another task again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepCost {
    /// `thalweg`, or the peer's name.
    pub engine: String,
    /// The network: `mlp`, `cnn3` or `cnn`; or a task of private training: `account`, `optimise`, `noise`; or a vote: `vote-D`, `vote-traffic`;
    /// or a lab of exact dynamics: `icl`, `deq`, `relu`, `features`.
    pub task: String,
    /// What a step does: `plain`, `adamw`, `private`, `hooks`, `ghost`, or a part of it, `loop`; `alone` where there is one way, `2-threads` on two.
    pub mode: String,
    /// CPU milliseconds of the process for each step.
    pub cpu_ms: Vec<f64>,
    /// Milliseconds on the wall for each step, where several threads work at it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wall_ms: Vec<f64>,
    /// The most memory that the process held, in MiB.
    pub peak_mib: f64,
    /// What it held before the network was built: on the peer's side, its libraries.
    pub start_mib: f64,
    /// What came out, where both sides must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// The speed of the event log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventLogSpeed {
    /// Events appended in one go, made durable at the end.
    pub events: u64,
    /// Events to a second of CPU time.
    pub per_cpu_second: f64,
    /// Events to a second on the wall.
    pub per_second: f64,
    /// Its share of training runs.
    pub runs: Vec<RunShare>,
}

/// What the event log costs of a training run, as shares of the run's CPU time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunShare {
    /// The network.
    pub task: String,
    /// Steps between two events.
    pub log_every: u64,
    /// Appending the run's events.
    pub appending: f64,
    /// Appending them, and making them durable at every checkpoint.
    pub share: f64,
}

impl Measurement {
    /// As a line of JSON, without its end.
    ///
    /// # Panics
    /// Never: every measurement has a JSON form.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings are JSON")
    }
}

/// The most memory that this process has held, in MiB; NaN where the platform does not tell.
pub fn peak_mib() -> f64 {
    peak_memory_bytes().map_or(f64::NAN, |bytes| bytes as f64 / f64::from(1 << 20))
}
