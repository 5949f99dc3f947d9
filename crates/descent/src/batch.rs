//! Batches of examples, by index: the choosers that training starts from.

mod min_separated;

use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use self::min_separated::MinSeparated;
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
    /// Independent coin flips in one group after the other; the rate is that of all data.
    Cyclic { groups: Vec<Vec<usize>>, rate: f64, stream: Stream },
    /// One bin after the other.
    Bins { bins: Vec<Vec<usize>> },
    /// Independent coin flips of those that have waited.
    MinSeparated(MinSeparated),
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
        let rate = rate_at_most(1.0, "all", examples, size)?;
        Ok(Self { examples, order: Order::Poisson { rate, stream }, shard: usize::MAX })
    }

    /// The examples are split at random into `groups` groups whose sizes differ by one at most; step t takes each example of group
    /// `t mod groups` independently, `size` of them on average. So two steps of one example are a multiple of `groups` apart.
    ///
    /// As for [`poisson`](Self::poisson), a privacy guarantee may need a secret stream.
    ///
    /// # Errors
    /// [`Error::Input`] when there are no groups or more than examples, or the expected size is not in (0, examples / groups].
    pub fn cyclic_poisson(examples: usize, groups: usize, size: f64, stream: Stream) -> Result<Self> {
        check_parts("groups", examples, groups)?;
        let rate = rate_at_most(1.0 / groups as f64, "a group", examples, size)?;
        let mut parts = vec![Vec::with_capacity(examples.div_ceil(groups)); groups];
        // No step has this number.
        permutation(examples, &stream, u64::MAX).into_iter().enumerate().for_each(|(i, example)| parts[i % groups].push(example));
        parts.iter_mut().for_each(|part| part.sort_unstable());
        Ok(Self { examples, order: Order::Cyclic { groups: parts, rate, stream }, shard: usize::MAX })
    }

    /// Each example lies in one of `bins` bins, drawn independently once; step t takes all of bin `t mod bins`. A batch may be empty.
    ///
    /// As for [`poisson`](Self::poisson), a privacy guarantee may need a secret stream.
    ///
    /// # Errors
    /// [`Error::Input`] when there are no bins or more than examples.
    pub fn balls_in_bins(examples: usize, bins: usize, stream: &Stream) -> Result<Self> {
        check_parts("bins", examples, bins)?;
        let mut parts = vec![Vec::new(); bins];
        let mut rng = stream.at(0);
        (0..examples).for_each(|example| parts[rng.random_range(0..bins)].push(example));
        Ok(Self { examples, order: Order::Bins { bins: parts }, shard: usize::MAX })
    }

    /// b-min-sep sampling (arXiv 2602.09338): an example that took part waits `separation - 1` steps, then takes part in each step
    /// with one probability until it does, such that a batch has `size` examples on average. The run starts as if it had gone on
    /// forever.
    ///
    /// A step is drawn from the one before; to enter a run in the middle, the steps before are drawn again. As for
    /// [`poisson`](Self::poisson), a privacy guarantee may need a secret stream.
    ///
    /// # Errors
    /// [`Error::Input`] when the separation is 0 or the expected size is not in (0, examples / separation].
    pub fn b_min_sep(examples: usize, separation: u64, size: f64, stream: Stream) -> Result<Self> {
        if separation == 0 {
            return Err(Error::input("separation = 0; two steps of one example are at least 1 apart"));
        }
        let whole = format!("the {separation}th part of all");
        let rate = rate_at_most(1.0 / separation as f64, &whole, examples, size)?;
        let order = Order::MinSeparated(MinSeparated::new(examples, separation, rate, stream));
        Ok(Self { examples, order, shard: usize::MAX })
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
            Order::Poisson { rate, .. } | Order::Cyclic { rate, .. } => 1.0 / rate,
            Order::Bins { bins } => bins.len() as f64,
            Order::MinSeparated(batches) => 1.0 / batches.rate(),
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
            Order::Cyclic { groups, rate, stream } => {
                let mut rng = stream.at(step);
                let in_group = (*rate * groups.len() as f64).min(1.0);
                let group = &groups[(step % groups.len() as u64) as usize];
                group.iter().copied().filter(|_| rng.random_bool(in_group)).collect()
            }
            Order::Bins { bins } => bins[(step % bins.len() as u64) as usize].clone(),
            Order::MinSeparated(batches) => batches.batch(step),
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
            Order::Cyclic { groups, rate, .. } => Participation::CyclicPoisson { groups: groups.len() as u64, rate: *rate },
            Order::Bins { bins } => Participation::BallsInBins { bins: bins.len() as u64 },
            Order::MinSeparated(batches) => Participation::BMinSep { separation: batches.separation(), rate: batches.rate() },
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

fn check_parts(what: &str, examples: usize, parts: usize) -> Result<()> {
    if (1..=examples).contains(&parts) {
        return Ok(());
    }
    Err(Error::input(format!("{what} = {parts}, but there are {examples} examples; choose from 1 to {examples}")))
}

/// The share of the data that a batch of this expected size is, at most `most`.
fn rate_at_most(most: f64, whole: &str, examples: usize, size: f64) -> Result<f64> {
    let rate = size / examples as f64;
    // `most` may be a quotient that is no double: a batch of all is not too large by rounding.
    if rate > 0.0 && rate <= most * (1.0 + 4.0 * f64::EPSILON) {
        return Ok(rate.min(most));
    }
    Err(Error::input(format!(
        "batch = {size} with {examples} examples; the expected size must be above 0 and at most {whole}, {}",
        most * examples as f64
    )))
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
    fn cyclic_batches_come_from_groups_at_the_declared_rate() {
        let mut batches = Batches::cyclic_poisson(203, 4, 20.0, Seed(6).stream("batches")).unwrap();
        let declared = Choose::<Batch, f32>::participation(&batches);
        assert_eq!(declared, Participation::CyclicPoisson { groups: 4, rate: 20.0 / 203.0 });
        let mut group = vec![None; 203];
        let mut total = 0;
        for step in 0..400 {
            for i in indices(&mut batches, step) {
                assert_eq!(*group[i].get_or_insert(step % 4), step % 4, "an example stays in its group");
                total += 1;
            }
        }
        // Rate 20 of 203 in all, 400 steps of 20: standard deviation 70; 6 of them: a false alarm in 5e8 runs.
        assert!((f64::from(total) - 8000.0).abs() < 420.0, "{total}");
        for part in 0..4 {
            let size = group.iter().filter(|found| **found == Some(part)).count();
            assert!(size == 50 || size == 51, "{size}");
        }
        let whole = Batches::cyclic_poisson(203, 4, 203.0 / 4.0, Seed(6).stream("batches"));
        assert!(indices(&mut whole.unwrap(), 9).len() >= 50, "a rate of 1 takes the whole group");
    }

    #[test]
    fn every_ball_lies_in_one_bin() {
        let mut batches = Batches::balls_in_bins(1000, 8, &Seed(7).stream("batches")).unwrap();
        assert_eq!(Choose::<Batch, f32>::participation(&batches), Participation::BallsInBins { bins: 8 });
        let bins: Vec<_> = (0..8).map(|step| indices(&mut batches, step)).collect();
        assert_eq!(bins, (16..24).map(|step| indices(&mut batches, step)).collect::<Vec<_>>());
        // 125 expected, standard deviation 10.5; 6 of them for 8 bins: a false alarm in 6e7 runs.
        assert!(bins.iter().all(|bin| bin.len().abs_diff(125) < 63));
        assert!(bins.iter().any(|bin| bin.len() != 125), "bins are independent, not balanced");
        let mut all = bins.concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }

    #[test]
    fn separated_batches_keep_distance_and_rate_from_the_first_step_on() {
        let make = || Batches::b_min_sep(2000, 5, 160.0, Seed(8).stream("batches")).unwrap();
        let mut batches = make();
        assert_eq!(Choose::<Batch, f32>::participation(&batches), Participation::BMinSep { separation: 5, rate: 0.08 });
        let mut last = vec![None; 2000];
        let mut drawn = Vec::new();
        for step in 0..300 {
            let batch = indices(&mut batches, step);
            for &i in &batch {
                assert!(last[i].is_none_or(|before| step - before >= 5));
                last[i] = Some(step);
            }
            // 160 expected, standard deviation at most 12.2; 6 of them for 300 steps: a false alarm in 1.6 million runs.
            assert!(batch.len().abs_diff(160) < 74, "{step}: {}", batch.len());
            drawn.push(batch);
        }
        assert!(last.iter().all(Option::is_some));
        let mut entered = make();
        for step in [299, 7, 8, 250, 0] {
            assert_eq!(indices(&mut entered, step), drawn[step as usize], "a resumed run enters in the middle");
        }
        let mut fixed = Batches::b_min_sep(10, 5, 2.0, Seed(9).stream("batches")).unwrap();
        assert_eq!(indices(&mut fixed, 3), indices(&mut fixed, 8), "at the largest rate the phase alone is random");
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
            assert!(Batches::cyclic_poisson(10, 2, size / 2.0, stream.clone()).is_err(), "{size}");
            assert!(Batches::b_min_sep(10, 2, size / 2.0, stream.clone()).is_err(), "{size}");
        }
        for parts in [0, 11] {
            assert!(Batches::cyclic_poisson(10, parts, 0.5, stream.clone()).is_err(), "{parts}");
            assert!(Batches::balls_in_bins(10, parts, &stream).is_err(), "{parts}");
        }
        assert!(Batches::b_min_sep(10, 0, 1.0, stream).is_err());
    }
}
