//! The loop: a machine that takes one step at a time.

use crate::reduction::Joined;
use crate::store::Snapshot;
use crate::{
    Choose, Differentiate, Disclosure, Error, Guard, Layout, Observe, Position, Real, Record, Reduction, Result, Schedule, Step,
    View,
};

/// The pieces at the five seams, and the rates.
///
/// `X` is what one shard of a choice is: a [`Batch`](crate::Batch), `()`, a set of imagined futures.
pub struct Pieces<X, F> {
    /// On what is the gradient taken?
    pub choose: Box<dyn Choose<X, F>>,
    /// How is it computed?
    pub differentiate: Box<dyn Differentiate<X, F>>,
    /// How are shards joined?
    pub reduction: Reduction<F>,
    /// What may leave?
    pub guard: Box<dyn Guard<F>>,
    /// How do the parameters move?
    pub step: Box<dyn Step<F>>,
    /// What is watched, in this order.
    pub observe: Vec<Box<dyn Observe<F>>>,
}

/// The learning rates of a run, known before it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    base: f64,
    schedule: Schedule,
    steps: u64,
}

impl Rates {
    /// `base * schedule.ratio(t, steps)` for step t.
    ///
    /// # Errors
    /// [`Error::Input`] when the base rate is not above 0, there are no steps, or the schedule does not fit them.
    pub fn new(base: f64, schedule: Schedule, steps: u64) -> Result<Self> {
        if !(base > 0.0 && base.is_finite()) {
            return Err(Error::input(format!("rate = {base}; the learning rate must be a number above 0")));
        }
        if steps == 0 {
            return Err(Error::input("steps = 0; a run takes at least one step"));
        }
        schedule.validate(steps)?;
        Ok(Self { base, schedule, steps })
    }

    /// The rate of a step.
    pub fn rate(&self, step: u64) -> f64 {
        self.base * self.schedule.ratio(step, self.steps)
    }

    /// The number of steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

/// What one step sends: the guarded sum over this machine's units.
///
/// A federated server, an MPI rank or a Python program takes it, joins it with others' by its own rule, and gives the outcome
/// to [`Descent::apply`].
#[derive(Clone, Debug, PartialEq)]
pub struct Contribution<F> {
    /// The step, counted from 0.
    pub step: u64,
    /// The weighted sum of the units' gradients, flat.
    pub sum: Vec<F>,
    /// How many units it sums.
    pub units: usize,
    /// Each unit's loss.
    pub losses: Vec<f64>,
}

/// A descent: choose, differentiate, guard, step, observe.
///
/// ```
/// use thalweg_descent::choose::Always;
/// use thalweg_descent::differentiate::Gradient;
/// use thalweg_descent::{Descent, Layout, Mean, Pieces, Rates, Reduction, Schedule, step::Sgd};
///
/// let pieces = Pieces {
///     choose: Box::new(Always(())),
///     differentiate: Box::new(Gradient::new(|x: &[f64], _: &(), gradient: &mut [f64]| {
///         gradient.copy_from_slice(x);
///         Ok(x.iter().map(|v| v * v / 2.0).sum())
///     })),
///     reduction: Reduction::in_turn(),
///     guard: Box::new(Mean),
///     step: Box::new(Sgd::plain()),
///     observe: vec![],
/// };
/// let rates = Rates::new(0.5, Schedule::Constant, 3)?;
/// let mut descent = Descent::new(vec![8.0, -8.0], Layout::single("x", &[2]), rates, pieces)?;
/// descent.run(|_| std::ops::ControlFlow::Continue(()))?;
/// assert_eq!(descent.parameters(), [1.0, -1.0]);
/// # Ok::<(), thalweg_descent::Error>(())
/// ```
pub struct Descent<X, F> {
    pieces: Pieces<X, F>,
    rates: Rates,
    layout: Layout,
    parameters: Vec<F>,
    step: u64,
    turn: Turn<F>,
    record: Record,
}

/// Whose turn it is.
enum Turn<F> {
    /// `contribute` may be called; the buffer waits for the next sum.
    Contribute(Vec<F>),
    /// The sum is away; `apply` must bring it back.
    Apply,
}

impl<X: Sync, F: Real> Descent<X, F> {
    /// Puts the pieces together, after the guard has admitted the chooser's participation.
    ///
    /// # Errors
    /// [`Error::Refused`] when the guard's guarantee does not cover the run; [`Error::Input`] when parameters and layout differ.
    pub fn new(parameters: Vec<F>, layout: Layout, rates: Rates, mut pieces: Pieces<X, F>) -> Result<Self> {
        if parameters.len() != layout.len() {
            return Err(Error::input(format!("{} parameters for a layout of {}", parameters.len(), layout.len())));
        }
        pieces.guard.admit(&pieces.choose.participation(), rates.steps())?;
        let turn = Turn::Contribute(vec![F::default(); parameters.len()]);
        Ok(Self { pieces, rates, layout, parameters, step: 0, turn, record: Record::default() })
    }

    /// Choose, differentiate, and the guard's first half: what this step sends.
    ///
    /// # Errors
    /// Those of the pieces; [`Error::OutOfTurn`] while another contribution is away or after the last step;
    /// [`Error::Diverged`] when a loss is not finite.
    pub fn contribute(&mut self) -> Result<Contribution<F>> {
        if self.is_finished() {
            return Err(Error::OutOfTurn(format!("all {} steps are taken", self.rates.steps())));
        }
        let Turn::Contribute(buffer) = std::mem::replace(&mut self.turn, Turn::Apply) else {
            return Err(Error::OutOfTurn(format!("step {} was contributed and waits for its update", self.step)));
        };
        let mut sum = buffer;
        let joined = self.weighted_sum(&mut sum);
        match joined {
            Ok(Joined { units, losses }) => Ok(Contribution { step: self.step, sum, units, losses }),
            Err(error) => {
                self.turn = Turn::Contribute(sum);
                Err(error)
            }
        }
    }

    fn weighted_sum(&mut self, sum: &mut [F]) -> Result<Joined> {
        let last = (!self.record.is_empty()).then_some(&self.record);
        let position = Position { step: self.step, parameters: &self.parameters, last };
        let pieces = &mut self.pieces;
        let shards = pieces.choose.choose(&position)?;
        let joined = pieces.reduction.reduce(&shards, &self.parameters, &*pieces.differentiate, &*pieces.guard, sum)?;
        match joined.losses.iter().find(|loss| !loss.is_finite()) {
            Some(&value) => Err(Error::Diverged { step: self.step, what: "the loss".to_owned(), value }),
            None => Ok(joined),
        }
    }

    /// The guard's second half, step and observe: takes the contribution back, as it is or joined with others'.
    ///
    /// # Errors
    /// Those of the pieces; [`Error::OutOfTurn`] for a contribution of another step or length. After an error the machine
    /// takes no further step.
    pub fn apply(&mut self, contribution: Contribution<F>) -> Result<&Record> {
        let Contribution { step, mut sum, units, losses } = contribution;
        if !matches!(self.turn, Turn::Apply) || step != self.step || sum.len() != self.parameters.len() {
            return Err(Error::OutOfTurn(format!(
                "an update of {} numbers for step {step}, while the descent of {} parameters is at step {}{}",
                sum.len(),
                self.parameters.len(),
                self.step,
                if matches!(self.turn, Turn::Apply) { "" } else { " and has not contributed to it" }
            )));
        }
        self.record.clear();
        self.record.put("step", step);
        self.pieces.guard.release(step, units, &mut sum, &mut self.record)?;
        let rate = self.rates.rate(step);
        self.pieces.step.step(rate, &sum, &mut self.parameters);
        self.observe(rate, &sum, &losses)?;
        self.step += 1;
        self.turn = Turn::Contribute(sum);
        Ok(&self.record)
    }

    fn observe(&mut self, rate: f64, update: &[F], losses: &[f64]) -> Result<()> {
        let view = View {
            step: self.step,
            last: self.step + 1 == self.rates.steps(),
            rate,
            parameters: &self.parameters,
            update,
            layout: &self.layout,
            losses: (self.pieces.guard.disclosure() == Disclosure::Everything).then_some(losses),
        };
        self.pieces.observe.iter_mut().try_for_each(|observer| observer.observe(&view, &mut self.record))
    }

    /// Takes all steps that remain, or until `after_step` breaks.
    ///
    /// # Errors
    /// Those of [`contribute`](Self::contribute) and [`apply`](Self::apply).
    pub fn run(&mut self, mut after_step: impl FnMut(&Record) -> std::ops::ControlFlow<()>) -> Result<()> {
        while !self.is_finished() {
            let contribution = self.contribute()?;
            if after_step(self.apply(contribution)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Whether all steps are taken.
    pub fn is_finished(&self) -> bool {
        self.step >= self.rates.steps()
    }

    /// The number of steps taken.
    pub fn steps_taken(&self) -> u64 {
        self.step
    }

    /// The rates, with the number of steps.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// The parameters, flat.
    pub fn parameters(&self) -> &[F] {
        &self.parameters
    }

    /// The parameters' parts.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What was observed at the last step.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Everything the machine and its pieces must remember between two steps.
    ///
    /// # Errors
    /// [`Error::OutOfTurn`] between `contribute` and `apply`.
    pub fn snapshot(&self) -> Result<Snapshot<F>> {
        if matches!(self.turn, Turn::Apply) {
            return Err(Error::OutOfTurn(format!("step {} is half taken; save after its update", self.step)));
        }
        Ok(Snapshot {
            step: self.step,
            layout: self.layout.clone(),
            parameters: self.parameters.clone(),
            record: self.record.clone(),
            pieces: self.stateful().map(|(name, piece)| (name, piece.save())).collect(),
        })
    }

    /// Goes to where a snapshot was taken, in a descent of the same pieces.
    ///
    /// # Errors
    /// [`Error::State`] when the snapshot is of other pieces.
    pub fn restore(&mut self, snapshot: Snapshot<F>) -> Result<()> {
        let misfit = |reason: String| Error::State { piece: "descent".to_owned(), reason };
        if snapshot.layout != self.layout {
            return Err(misfit("it was saved from parameters of other names or shapes".to_owned()));
        }
        let expected: Vec<String> = self.stateful().map(|(name, _)| name).collect();
        let found: Vec<String> = snapshot.pieces.iter().map(|(name, _)| name.clone()).collect();
        if expected != found {
            return Err(misfit(format!("it has the pieces {found:?}, this descent has {expected:?}")));
        }
        for ((_, piece), (_, state)) in self.stateful_mut().zip(&snapshot.pieces) {
            piece.restore(state)?;
        }
        self.parameters = snapshot.parameters;
        self.step = snapshot.step;
        self.record = snapshot.record;
        self.turn = Turn::Contribute(vec![F::default(); self.parameters.len()]);
        Ok(())
    }

    fn stateful(&self) -> impl Iterator<Item = (String, &dyn crate::Stateful)> {
        let pieces = &self.pieces;
        let seams: [(String, &dyn crate::Stateful); 3] =
            [("choose".to_owned(), &*pieces.choose), ("guard".to_owned(), &*pieces.guard), ("step".to_owned(), &*pieces.step)];
        let observers = pieces.observe.iter().enumerate();
        seams.into_iter().chain(observers.map(|(i, observer)| (format!("observe.{i}"), &**observer as &dyn crate::Stateful)))
    }

    fn stateful_mut(&mut self) -> impl Iterator<Item = (String, &mut dyn crate::Stateful)> {
        let pieces = &mut self.pieces;
        let seams: [(String, &mut dyn crate::Stateful); 3] = [
            ("choose".to_owned(), &mut *pieces.choose),
            ("guard".to_owned(), &mut *pieces.guard),
            ("step".to_owned(), &mut *pieces.step),
        ];
        let observers = pieces.observe.iter_mut().enumerate();
        seams.into_iter().chain(observers.map(|(i, o)| (format!("observe.{i}"), &mut **o as &mut dyn crate::Stateful)))
    }
}
