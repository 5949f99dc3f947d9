//! The balance of neighbouring layers: conserved by gradient flow, moved by gradient descent by an amount known beforehand.

use thalweg_descent::state::{decode, encode};
use thalweg_descent::{BlockId, Error, Layout, Observe, Real, Record, Result, Stateful, View};

/// Watches one pair of layers `z = W1 x + b1`, `h = a(z)`, `y = W2 h + b2` with an activation a that is positively homogeneous
/// (ReLU, leaky ReLU, none).
///
/// Scaling a hidden unit's incoming weights by c > 0 and its outgoing ones by 1/c changes nothing, so gradient flow keeps
///
/// ```text
/// Q = |W1|^2 + |b1|^2 - |W2|^2
/// ```
///
/// (Du, Hu and Lee 2018), and a plain gradient step of rate eta moves it by **exactly** eta^2 (|G1|^2 + |g1|^2 - |G2|^2), G being
/// the gradients of the blocks. The probe writes
///
/// - `balance.value`, Q after the step;
/// - `balance.drift`, Q minus Q at the start of the run;
/// - `balance.predicted`, the sum of the predicted changes so far.
///
/// Drift and prediction agree to rounding on plain SGD. Where they part, the gradient is wrong, the step is no plain gradient step
/// (momentum, Adam, weight decay, noise), or the network lacks the symmetry.
#[derive(Clone, Debug)]
pub struct Balance {
    incoming: Vec<BlockId>,
    outgoing: BlockId,
    start: f64,
    predicted: f64,
    every: u64,
}

impl Balance {
    /// Watches the blocks of those names, from the parameters at the start of the run: the incoming weight and, where there is one,
    /// its bias; the outgoing weight. It must see every step to sum the predictions, and writes after every `every` steps and the
    /// last.
    ///
    /// # Errors
    /// [`Error::Input`] when the layout lacks a block.
    pub fn new<F: Real>(layout: &Layout, start: &[F], incoming: &[&str], outgoing: &str, every: u64) -> Result<Self> {
        let find = |name: &str| {
            let names = || layout.blocks().iter().map(|block| block.name.as_str()).collect::<Vec<_>>().join(", ");
            layout.find(name).ok_or_else(|| Error::input(format!("no parameter block {name:?}; there are {}", names())))
        };
        let incoming = incoming.iter().map(|name| find(name)).collect::<Result<_>>()?;
        let mut balance = Self { incoming, outgoing: find(outgoing)?, start: 0.0, predicted: 0.0, every: every.max(1) };
        balance.start = balance.difference(layout, start);
        Ok(balance)
    }

    /// |incoming|^2 - |outgoing|^2 of a vector laid out like the parameters.
    fn difference<F: Real>(&self, layout: &Layout, vector: &[F]) -> f64 {
        let square = |id: BlockId| thalweg_descent::norm(layout.slice(id, vector)).powi(2);
        self.incoming.iter().map(|&id| square(id)).sum::<f64>() - square(self.outgoing)
    }
}

impl Stateful for Balance {
    fn save(&self) -> Vec<u8> {
        encode(&self.predicted)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.predicted = decode("balance", state)?;
        Ok(())
    }
}

impl<F: Real> Observe<F> for Balance {
    fn observe(&mut self, view: &View<'_, F>, record: &mut Record) -> Result<()> {
        self.predicted += view.rate.powi(2) * self.difference(view.layout, view.update);
        if view.last || (view.step + 1).is_multiple_of(self.every) {
            let value = self.difference(view.layout, view.parameters);
            record.put_number("balance.value", value);
            record.put_number("balance.drift", value - self.start);
            record.put_number("balance.predicted", self.predicted);
        }
        Ok(())
    }
}
