//! Batches of examples, by index: the choosers that training starts from.

use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::{Choose, Error, Participation, Position, Result, Stateful, Stream};

/// The examples of a step or shard, by index into the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The step that it is drawn for, counted from 0.
    pub step: u64,
    /// Indices into the data.
    pub indices: Vec<usize>,
}

impl Batch {
    /// Cuts the batch into shards of at most `size` examples, in order; an empty batch is one empty shard.
    pub fn shards(self, size: usize) -> Vec<Self> {
        if self.indices.len() <= size {
            return vec![self];
        }
        self.indices.chunks(size.max(1)).map(|indices| Self { step: self.step, indices: indices.to_vec() }).collect()
    }
}

/// How the batches of a run are drawn from `examples` examples.
#[derive(Clone, Debug)]
pub struct Batches {
    examples: usize,
    order: Order,
    shard: usize,
}

#[derive(Clone, Debug)]
enum Order {
    /// One random permutation for the whole run, cut into batches; the incomplete rest is dropped.
    Fixed { batches: Vec<Vec<usize>>, steps: u64 },
    /// A new permutation each epoch.
    Shuffled { size: usize, steps: u64, stream: Stream, epoch: Option<(u64, Vec<usize>)> },
    /// Independent coin flips.
    Poisson { rate: f64, stream: Stream },
}

impl Batches {
    /// Batches of `size` in one random but fixed order: in each epoch every example comes at the same place, so that its steps
    /// are exactly `examples / size` apart. The incomplete rest of the data takes no part.
    ///
    /// # Errors
    /// [`Error::Input`] when the batch is empty or larger than the data.
    pub fn fixed_order(examples: usize, size: usize, steps: u64, stream: &Stream) -> Result<Self> {
        check_size(examples, size)?;
        let permutation = permutation(examples, stream, 0);
        let batches = permutation.chunks_exact(size).map(<[usize]>::to_vec).collect();
        Ok(Self { examples, order: Order::Fixed { batches, steps }, shard: usize::MAX })
    }

    /// Batches of `size`, shuffled afresh each epoch, the incomplete rest dropped: plain training.
    ///
    /// # Errors
    /// [`Error::Input`] when the batch is empty or larger than the data.
    pub fn shuffled(examples: usize, size: usize, steps: u64, stream: Stream) -> Result<Self> {
        check_size(examples, size)?;
        Ok(Self { examples, order: Order::Shuffled { size, steps, stream, epoch: None }, shard: usize::MAX })
    }

    /// Each example in each step independently, `size` of them on average. A batch may be empty.
    ///
    /// `stream` decides what is sampled; where the sampling itself must stay secret for a privacy guarantee, its seed must too.
    ///
    /// # Errors
    /// [`Error::Input`] when the expected size is not in (0, examples].
    pub fn poisson(examples: usize, size: f64, stream: Stream) -> Result<Self> {
        let rate = size / examples as f64;
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(Error::input(format!(
                "batch = {size} with {examples} examples; Poisson sampling needs an expected size above 0 and at most all"
            )));
        }
        Ok(Self { examples, order: Order::Poisson { rate, stream }, shard: usize::MAX })
    }

    /// Cuts every batch into shards of at most `size` examples: micro-batches, or work for several threads.
    #[must_use]
    pub fn in_shards_of(mut self, size: usize) -> Self {
        self.shard = size.max(1);
        self
    }

    /// Steps in one pass over the data; for Poisson sampling, on average.
    pub fn steps_per_epoch(&self) -> f64 {
        match &self.order {
            Order::Fixed { batches, .. } => batches.len() as f64,
            Order::Shuffled { size, .. } => (self.examples / size) as f64,
            Order::Poisson { rate, .. } => 1.0 / rate,
        }
    }

    fn batch(&mut self, step: u64) -> Vec<usize> {
        match &mut self.order {
            Order::Fixed { batches, .. } => batches[(step % batches.len() as u64) as usize].clone(),
            Order::Shuffled { size, stream, epoch, .. } => {
                let in_epoch = (self.examples / *size) as u64;
                let (number, place) = (step / in_epoch, (step % in_epoch) as usize);
                if epoch.as_ref().is_none_or(|(current, _)| *current != number) {
                    *epoch = Some((number, permutation(self.examples, stream, number)));
                }
                let (_, order) = epoch.as_ref().expect("the epoch was set above");
                order[place * *size..(place + 1) * *size].to_vec()
            }
            Order::Poisson { rate, stream } => {
                let mut rng = stream.at(step);
                (0..self.examples).filter(|_| rng.random_bool(*rate)).collect()
            }
        }
    }
}

/// Batches are functions of seed and step: there is nothing to save.
impl Stateful for Batches {}

impl<F> Choose<Batch, F> for Batches {
    fn participation(&self) -> Participation {
        match &self.order {
            Order::Fixed { batches, steps } => {
                let separation = batches.len() as u64;
                Participation::Separated { separation, at_most: steps.div_ceil(separation) }
            }
            Order::Shuffled { size, steps, .. } => {
                Participation::Shuffled { at_most: steps.div_ceil((self.examples / size) as u64) }
            }
            Order::Poisson { rate, .. } => Participation::Poisson { rate: *rate },
        }
    }

    fn choose(&mut self, position: &Position<'_, F>) -> Result<Vec<Batch>> {
        Ok(Batch { step: position.step, indices: self.batch(position.step) }.shards(self.shard))
    }
}

fn check_size(examples: usize, size: usize) -> Result<()> {
    if (1..=examples).contains(&size) {
        return Ok(());
    }
    Err(Error::input(format!("batch = {size}, but there are {examples} examples; choose from 1 to {examples}")))
}

fn permutation(examples: usize, stream: &Stream, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..examples).collect();
    order.shuffle(&mut stream.at(epoch));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    fn position(step: u64) -> Position<'static, f32> {
        Position { step, parameters: &[], last: None }
    }

    fn indices(batches: &mut Batches, step: u64) -> Vec<usize> {
        batches.choose(&position(step)).unwrap().into_iter().flat_map(|batch| batch.indices).collect()
    }

    #[test]
    fn fixed_order_keeps_every_example_at_its_declared_distance() {
        let mut batches = Batches::fixed_order(10, 3, 8, &Seed(1).stream("batches")).unwrap();
        let declared = Participation::Separated { separation: 3, at_most: 3 };
        assert_eq!(Choose::<Batch, f32>::participation(&batches), declared);
        let mut seen = vec![vec![]; 10];
        for step in 0..8 {
            indices(&mut batches, step).into_iter().for_each(|i| seen[i].push(step));
        }
        assert_eq!(seen.iter().filter(|steps| steps.is_empty()).count(), 1, "the rest of 10 / 3 is dropped");
        for steps in seen {
            assert!(steps.len() <= 3 && steps.windows(2).all(|pair| pair[1] - pair[0] >= 3), "{steps:?}");
        }
    }

    #[test]
    fn shuffled_batches_cover_an_epoch_and_can_be_entered_anywhere() {
        let make = || Batches::shuffled(12, 4, 30, Seed(2).stream("batches")).unwrap();
        let mut batches = make();
        let epoch =
            |batches: &mut Batches, e: u64| -> Vec<usize> { (3 * e..3 * e + 3).flat_map(|s| indices(batches, s)).collect() };
        let (first, second) = (epoch(&mut batches, 0), epoch(&mut batches, 1));
        assert_ne!(first, second);
        for mut order in [first, second.clone()] {
            order.sort_unstable();
            assert_eq!(order, (0..12).collect::<Vec<_>>());
        }
        assert_eq!(epoch(&mut make(), 1), second, "a resumed run enters in the middle");
    }

    #[test]
    fn poisson_batches_have_the_declared_rate() {
        let mut batches = Batches::poisson(200, 20.0, Seed(3).stream("batches")).unwrap();
        let total: usize = (0..500).map(|step| indices(&mut batches, step).len()).sum();
        // 100,000 coins of rate 0.1 have standard deviation 95; 6 of them: a false alarm in 5e8 runs.
        assert!((total as f64 - 10_000.0).abs() < 570.0, "{total}");
        let mut rare = Batches::poisson(10, 0.01, Seed(4).stream("batches")).unwrap();
        assert_eq!(rare.choose(&position(0)).unwrap(), [Batch::default()], "an empty batch is one empty shard");
    }

    #[test]
    fn shards_keep_order_and_leave_nothing_out() {
        let batches = Batches::fixed_order(10, 7, 1, &Seed(5).stream("batches")).unwrap();
        let mut whole = batches.clone();
        let shards = batches.in_shards_of(3).choose(&position(0)).unwrap();
        assert_eq!(shards.iter().map(|shard| shard.indices.len()).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(shards.into_iter().flat_map(|shard| shard.indices).collect::<Vec<_>>(), indices(&mut whole, 0));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        let stream = Seed(1).stream("batches");
        for size in [0, 11] {
            let error = Batches::fixed_order(10, size, 1, &stream).unwrap_err().to_string();
            assert!(error.contains(&format!("batch = {size}")), "{error}");
        }
        for size in [0.0, -1.0, f64::NAN, 10.5] {
            assert!(Batches::poisson(10, size, stream.clone()).is_err(), "{size}");
        }
    }
}
