//! The exponential moving average of the parameters: smoother than the last iterate, and free under privacy.

use std::sync::{Arc, Mutex};

use thalweg_descent::state::{decode, encode};
use thalweg_descent::{Error, Observe, Record, Result, Stateful, View};

use crate::{Device, Network, Samples, evaluate};

/// The average as it stands, shared between the observer that keeps it and whoever reads it.
#[derive(Clone, Debug, Default)]
pub struct Average(Arc<Mutex<Vec<f32>>>);

impl Average {
    /// A copy of the averaged parameters; empty before the first step.
    pub fn parameters(&self) -> Vec<f32> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<f32>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Keeps `a <- d a + (1 - d) x` over the steps and writes `ema.loss` and `ema.accuracy` of given examples.
///
/// The first steps count more: after t steps, d is at most `(1 + t) / (10 + t)`, so that the start is forgotten in short runs too.
#[derive(Debug)]
pub struct MovingAverage {
    decay: f64,
    average: Average,
    every: u64,
    network: Arc<Network>,
    samples: Arc<Samples>,
    device: Device,
}

impl MovingAverage {
    /// `decay` in `[0, 1)`; evaluated after every so many steps and after the last.
    ///
    /// # Errors
    /// [`Error::Input`] when the decay is outside.
    pub fn new(decay: f64, every: u64, network: Arc<Network>, samples: Arc<Samples>, device: Device) -> Result<Self> {
        if !(0.0..1.0).contains(&decay) {
            return Err(Error::input(format!("ema = {decay}; the decay of the average must be at least 0 and below 1")));
        }
        Ok(Self { decay, average: Average::default(), every: every.max(1), network, samples, device })
    }

    /// The average, to read while the run goes on and after it.
    pub fn average(&self) -> Average {
        self.average.clone()
    }
}

impl Stateful for MovingAverage {
    fn save(&self) -> Vec<u8> {
        encode(&*self.average.lock())
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        *self.average.lock() = decode("the moving average", state)?;
        Ok(())
    }
}

impl Observe<f32> for MovingAverage {
    fn observe(&mut self, view: &View<'_, f32>, record: &mut Record) -> Result<()> {
        let mut average = self.average.lock();
        if average.is_empty() {
            average.extend_from_slice(view.parameters);
        }
        let taken = view.step as f64 + 1.0;
        let decay = self.decay.min((1.0 + taken) / (10.0 + taken)) as f32;
        for (average, value) in average.iter_mut().zip(view.parameters) {
            *average += (1.0 - decay) * (value - *average);
        }
        if view.last || (view.step + 1).is_multiple_of(self.every) {
            let evaluation = evaluate(&self.network, &average, &self.samples, self.device)?;
            record.put_number("ema.loss", evaluation.loss);
            record.put_number("ema.accuracy", evaluation.accuracy);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NetworkConfig;

    fn observer(decay: f64) -> MovingAverage {
        let network = Arc::new(NetworkConfig::mlp(1, &[], 2).build().unwrap());
        let samples = Arc::new(Samples::features(vec![1.0, -1.0], &[1], vec![0, 1], 2).unwrap());
        MovingAverage::new(decay, 2, network, samples, Device::Cpu).unwrap()
    }

    fn observe(observer: &mut MovingAverage, step: u64, value: f32) -> Record {
        let layout = observer.network.layout().clone();
        let parameters = [value, -value, 0.0, 0.0];
        let update = [0.0; 4];
        let view = View { step, last: false, rate: 1.0, parameters: &parameters, update: &update, layout: &layout, losses: None };
        let mut record = Record::default();
        observer.observe(&view, &mut record).unwrap();
        record
    }

    #[test]
    fn it_is_the_weighted_mean_of_the_iterates() {
        let mut observer = observer(0.25);
        let mut expected = 0.0;
        for (step, value) in [4.0f32, 8.0, -2.0, 1.0].into_iter().enumerate() {
            let taken = step as f64 + 1.0;
            let decay = 0.25f64.min((1.0 + taken) / (10.0 + taken));
            expected = if step == 0 { f64::from(value) } else { decay * expected + (1.0 - decay) * f64::from(value) };
            let record = observe(&mut observer, step as u64, value);
            assert_eq!(record.number("ema.accuracy").is_some(), step % 2 == 1, "evaluated after every second step");
        }
        assert!((f64::from(observer.average().parameters()[0]) - expected).abs() < 1e-6);
    }

    #[test]
    fn a_resumed_average_goes_on_with_the_same_bits() {
        let mut whole = observer(0.9);
        let mut resumed = observer(0.9);
        for step in 0..3 {
            observe(&mut whole, step, step as f32);
        }
        resumed.restore(&whole.save()).unwrap();
        for step in 3..6 {
            observe(&mut whole, step, step as f32);
            observe(&mut resumed, step, step as f32);
        }
        assert_eq!(whole.average().parameters(), resumed.average().parameters());
        assert!(resumed.restore(b"\xff\xff").is_err());
    }

    #[test]
    fn a_decay_outside_of_its_range_is_refused() {
        for bad in [1.0, -0.1, f64::NAN] {
            let network = Arc::new(NetworkConfig::mlp(1, &[], 2).build().unwrap());
            let samples = Arc::new(Samples::features(vec![1.0], &[1], vec![0], 2).unwrap());
            assert!(MovingAverage::new(bad, 1, network, samples, Device::Cpu).is_err());
        }
    }
}
