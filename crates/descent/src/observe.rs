//! The fifth seam: what do we know of the way down?

use serde_json::{Map, Value};

use crate::{Layout, Result, Stateful};

/// A finished step, as far as the guard discloses it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, F> {
    /// The step just taken, counted from 0.
    pub step: u64,
    /// Whether it is the last of the run.
    pub last: bool,
    /// Its learning rate.
    pub rate: f64,
    /// The parameters after it.
    pub parameters: &'a [F],
    /// The update that the guard released, before the rate.
    pub update: &'a [F],
    /// The parts of both.
    pub layout: &'a Layout,
    /// The loss of each unit of the batch, before the step; `None` where the guard withholds it.
    pub losses: Option<&'a [f64]>,
}

/// Watches a descent and writes what it sees into the step's record.
pub trait Observe<F>: Stateful + Send {
    /// Looks at one step.
    ///
    /// # Errors
    /// When the quantity cannot be computed; the run stops.
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> Result<()>;
}

/// The facts of one step, in the order in which they were written: one line of `events.jsonl`.
///
/// Only facts that a repetition of the run gives again: no clock times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record(Map<String, Value>);

impl Record {
    /// Writes a fact. A number that is not finite becomes a string, since JSON has none.
    pub fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Writes a real number, also one that is not finite.
    pub fn put_number(&mut self, name: &str, value: f64) {
        let json = serde_json::Number::from_f64(value).map_or_else(|| Value::from(value.to_string()), Value::Number);
        self.0.insert(name.to_owned(), json);
    }

    /// A fact.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A fact that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name).and_then(Value::as_f64)
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The facts as a JSON object.
    pub fn as_json(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Clears it, keeping nothing.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl From<Map<String, Value>> for Record {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

/// Lets an observer look at every n-th step and at the last.
#[derive(Clone, Debug)]
pub struct Every<O> {
    steps: u64,
    observer: O,
}

impl<O> Every<O> {
    /// `steps` of 0 counts as 1.
    pub fn new(steps: u64, observer: O) -> Self {
        Self { steps: steps.max(1), observer }
    }
}

impl<O: Stateful> Stateful for Every<O> {
    fn save(&self) -> Vec<u8> {
        self.observer.save()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.observer.restore(state)
    }
}

impl<F, O: Observe<F>> Observe<F> for Every<O> {
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> Result<()> {
        if view.last || (view.step + 1).is_multiple_of(self.steps) {
            self.observer.observe(view, record)?;
        }
        Ok(())
    }
}
