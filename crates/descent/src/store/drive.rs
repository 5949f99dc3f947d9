//! Drives a descent and records it.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::store::{EventLog, Run, Timing, peak_memory_bytes};
use crate::{Descent, Real, Record, Result};

/// How a recorded run is driven.
pub struct Controls<'a> {
    /// When checkpoints are written, besides at the end and when the run is stopped.
    pub checkpoints: CheckpointEvery,
    /// Set from outside (Ctrl-C) to stop at the end of the step.
    pub stop: &'a AtomicBool,
    /// Told of every step taken, for a progress display.
    pub progress: &'a mut dyn FnMut(&Record),
}

/// How much work a crash may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointEvery {
    /// A checkpoint after every so many steps.
    Steps(NonZeroU64),
    /// A checkpoint after the first step that ends so long after the last one: quick steps then do not pay for each other's safety.
    Time(Duration),
}

impl CheckpointEvery {
    /// After every so many steps, at least 1.
    pub fn steps(steps: u64) -> Self {
        Self::Steps(NonZeroU64::new(steps).unwrap_or(NonZeroU64::MIN))
    }

    fn is_due(self, step: u64, since_last: Duration) -> bool {
        match self {
            Self::Steps(steps) => step.is_multiple_of(steps.get()),
            Self::Time(interval) => since_last >= interval,
        }
    }
}

impl Default for CheckpointEvery {
    /// Once a second.
    fn default() -> Self {
        Self::Time(Duration::from_secs(1))
    }
}

/// How a recorded run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are taken.
    Finished,
    /// It was stopped, is saved, and can be resumed.
    Stopped {
        /// Steps taken.
        step: u64,
    },
}

impl Run {
    /// Takes the descent from the run's newest checkpoint, or from its start, to its last step.
    ///
    /// The descent must be built from the run's configuration. A record that says more than its step becomes a line of the event
    /// log. Calling it on a finished run changes nothing.
    ///
    /// # Errors
    /// Those of the pieces and of the store. The run can be resumed afterwards from its last checkpoint.
    pub fn drive<X: Sync, F: Real>(&self, descent: &mut Descent<X, F>, controls: &mut Controls<'_>) -> Result<Outcome> {
        let (snapshot, mut log) = self.recover()?;
        if let Some(snapshot) = snapshot {
            descent.restore(snapshot)?;
        }
        let began = Instant::now();
        let mut saved = began;
        while !descent.is_finished() {
            let contribution = descent.contribute()?;
            let record = descent.apply(contribution)?;
            if record.as_json().len() > 1 {
                log.append(record)?;
            }
            (controls.progress)(record);
            if descent.is_finished() {
                break;
            }
            let step = descent.steps_taken();
            let stopped = controls.stop.load(Ordering::Relaxed);
            if stopped || controls.checkpoints.is_due(step, saved.elapsed()) {
                self.save(descent, &mut log, began)?;
                saved = Instant::now();
            }
            if stopped {
                return Ok(Outcome::Stopped { step });
            }
        }
        self.finish(descent, log, began)?;
        Ok(Outcome::Finished)
    }

    fn save<X: Sync, F: Real>(&self, descent: &Descent<X, F>, log: &mut EventLog, began: Instant) -> Result<()> {
        let event_bytes = log.sync()?;
        self.checkpoint(&descent.snapshot()?, event_bytes)?;
        let timing = Timing {
            step: descent.steps_taken(),
            seconds: began.elapsed().as_secs_f64(),
            peak_memory_bytes: peak_memory_bytes(),
        };
        Ok(self.record_timing(&timing)?)
    }

    /// The last checkpoint records the log's length before the closing line, so that doing this twice writes the same log.
    fn finish<X: Sync, F: Real>(&self, descent: &Descent<X, F>, mut log: EventLog, began: Instant) -> Result<()> {
        self.save(descent, &mut log, began)?;
        let mut end = Record::default();
        end.put("finished", true);
        end.put("steps", descent.steps_taken());
        log.append(&end)?;
        log.sync()?;
        Ok(())
    }
}
