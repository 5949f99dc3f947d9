//! b-min-sep sampling: who takes part waits, then takes part again by chance.

use std::collections::BTreeMap;

use rand::RngExt;

use crate::Stream;
use crate::streams::StreamRng;

/// An example that took part waits `separation - 1` steps, then takes part in each step with probability `chance` until it does.
///
/// Who takes part next is drawn with the batch, from the stream of its step: a calendar holds each example once, and another step is
/// reached by drawing the steps before it again.
#[derive(Clone, Debug)]
pub(super) struct MinSeparated {
    examples: usize,
    separation: u64,
    /// The share of its steps in which an example takes part.
    rate: f64,
    /// The chance to take part of an example that is free.
    chance: f64,
    stream: Stream,
    calendar: BTreeMap<u64, Vec<usize>>,
    next: u64,
}

impl MinSeparated {
    /// `rate` is in (0, 1/separation].
    pub(super) fn new(examples: usize, separation: u64, rate: f64, stream: Stream) -> Self {
        let chance = (rate / (1.0 - rate * (separation - 1) as f64)).min(1.0);
        let mut batches = Self { examples, separation, rate, chance, stream, calendar: BTreeMap::new(), next: 0 };
        batches.start();
        batches
    }

    pub(super) fn separation(&self) -> u64 {
        self.separation
    }

    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// As if the run had gone on forever: each of the waits is under way with probability `rate`.
    fn start(&mut self) {
        self.calendar.clear();
        self.next = 0;
        // No step has this number.
        let mut rng = self.stream.at(u64::MAX);
        for example in 0..self.examples {
            let place = (rng.random::<f64>() / self.rate) as u64;
            let free = if place < self.separation - 1 { place + 1 } else { 0 };
            self.enter(example, free, &mut rng);
        }
    }

    fn enter(&mut self, example: usize, free: u64, rng: &mut StreamRng) {
        // The number of failures before the first success, by inversion.
        let tries = if self.chance < 1.0 { (1.0 - rng.random::<f64>()).ln() / (-self.chance).ln_1p() } else { 0.0 };
        self.calendar.entry(free.saturating_add(tries as u64)).or_default().push(example);
    }

    pub(super) fn batch(&mut self, step: u64) -> Vec<usize> {
        if step < self.next {
            self.start();
        }
        loop {
            let batch = self.draw_next();
            if self.next > step {
                return batch;
            }
        }
    }

    fn draw_next(&mut self) -> Vec<usize> {
        let step = self.next;
        let mut batch = self.calendar.remove(&step).unwrap_or_default();
        batch.sort_unstable();
        let mut rng = self.stream.at(step);
        for &example in &batch {
            self.enter(example, step.saturating_add(self.separation), &mut rng);
        }
        self.next += 1;
        batch
    }
}
