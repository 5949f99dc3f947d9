//! The rows of `B = A C^{-1}` for a buffered linear Toeplitz C, in O(n d^2) time for any workload.
//!
//! The noise `x = z - sum_j omega_j s_j`, the buffers `s_j <- theta_j s_j + x` and the optimiser
//! `v <- momentum v + x; theta <- keep theta + chi v` are one linear recursion of d + 2 numbers, driven by independent z. Its
//! second moments follow a recursion too, and the one of the parameters after step m is `|B_m|^2`. Derivatives come by running
//! backwards, over blocks whose moments are computed again.

use crate::workload::Workload;

/// Steps whose moments are kept at once.
const BLOCK: usize = 512;

/// Second moments before a step.
#[derive(Clone, Debug)]
struct Moments {
    /// Buffer with buffer, d x d.
    ss: Vec<f64>,
    /// Buffer with velocity.
    sv: Vec<f64>,
    /// Buffer with parameters.
    st: Vec<f64>,
    vv: f64,
    vt: f64,
    tt: f64,
}

impl Moments {
    fn zero(buffers: usize) -> Self {
        Self { ss: vec![0.0; buffers * buffers], sv: vec![0.0; buffers], st: vec![0.0; buffers], vv: 0.0, vt: 0.0, tt: 0.0 }
    }
}

/// Moments within a step.
#[derive(Clone, Debug)]
struct Within {
    /// Each buffer with the noise x.
    sx: Vec<f64>,
    /// Each buffer, before the step, with the velocity after it.
    sv: Vec<f64>,
    /// The noise with itself, with the velocity after the step, and with the parameters after it.
    xx: f64,
    xv: f64,
    xt: f64,
    /// The buffers' part of the noise with the velocity before.
    uv: f64,
    /// The velocity after the step with the parameters before.
    vt: f64,
}

impl Within {
    fn zero(buffers: usize) -> Self {
        Self { sx: vec![0.0; buffers], sv: vec![0.0; buffers], xx: 0.0, xv: 0.0, xt: 0.0, uv: 0.0, vt: 0.0 }
    }
}

/// The recursion of a strategy and a workload.
pub(crate) struct Recursion<'a> {
    omega: &'a [f64],
    decay: &'a [f64],
    chi: &'a [f64],
    momentum: f64,
    weight_decay: f64,
}

impl<'a> Recursion<'a> {
    /// Of the weights omega and decays theta of C.
    pub(crate) fn new(workload: &'a Workload, omega: &'a [f64], decay: &'a [f64]) -> Self {
        let chi = workload.ratios().values();
        Self { omega, decay, chi, momentum: workload.momentum(), weight_decay: workload.decay() }
    }

    /// `|B_m|^2` for each row m.
    pub(crate) fn squares(&self) -> Vec<f64> {
        let mut moments = Moments::zero(self.omega.len());
        let mut within = Within::zero(self.omega.len());
        let row = |&chi: &f64| {
            self.look(&moments, chi, &mut within);
            self.advance(&mut moments, &within, chi);
            moments.tt
        };
        self.chi.iter().map(row).collect()
    }

    /// The derivatives of `sum_m weights_m |B_m|^2` in omega and theta.
    pub(crate) fn gradient(&self, weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let buffers = self.omega.len();
        let mut firsts = vec![];
        let (mut moments, mut within) = (Moments::zero(buffers), Within::zero(buffers));
        for (t, &chi) in self.chi.iter().enumerate() {
            if t % BLOCK == 0 {
                firsts.push(moments.clone());
            }
            self.look(&moments, chi, &mut within);
            self.advance(&mut moments, &within, chi);
        }
        let (mut in_omega, mut in_decay) = (vec![0.0; buffers], vec![0.0; buffers]);
        let mut behind = Moments::zero(buffers);
        let mut kept = vec![(Moments::zero(buffers), Within::zero(buffers)); BLOCK.min(self.chi.len())];
        for (block, first) in firsts.into_iter().enumerate().rev() {
            let start = block * BLOCK;
            let chi = &self.chi[start..self.chi.len().min(start + BLOCK)];
            moments = first;
            for (&chi, (before, within)) in chi.iter().zip(&mut kept) {
                self.look(&moments, chi, within);
                before.clone_from(&moments);
                self.advance(&mut moments, within, chi);
            }
            for (lag, &chi) in chi.iter().enumerate().rev() {
                behind.tt += weights[start + lag];
                let (before, within) = &kept[lag];
                self.retreat(&mut behind, before, within, chi, (&mut in_omega, &mut in_decay));
            }
        }
        (in_omega, in_decay)
    }

    fn keep(&self, chi: f64) -> f64 {
        1.0 - self.weight_decay * chi
    }

    /// The moments within a step, from those before it.
    fn look(&self, before: &Moments, chi: f64, within: &mut Within) {
        let carried =
            |moments: &[f64]| -> f64 { -moments.iter().zip(self.omega).map(|(moment, omega)| moment * omega).sum::<f64>() };
        let buffers = self.omega.len();
        for (i, (sx, sv)) in within.sx.iter_mut().zip(&mut within.sv).enumerate() {
            *sx = carried(&before.ss[i * buffers..(i + 1) * buffers]);
            *sv = self.momentum * before.sv[i] + *sx;
        }
        let ut = carried(&before.st);
        within.uv = carried(&before.sv);
        within.xx = 1.0 + carried(&within.sx);
        within.xv = self.momentum * within.uv + within.xx;
        within.xt = self.keep(chi) * ut + chi * within.xv;
        within.vt = self.momentum * before.vt + ut;
    }

    fn advance(&self, moments: &mut Moments, within: &Within, chi: f64) {
        let (momentum, keep) = (self.momentum, self.keep(chi));
        moments.vv = momentum * momentum * moments.vv + 2.0 * momentum * within.uv + within.xx;
        moments.vt = keep * within.vt + chi * moments.vv;
        moments.tt = keep * keep * moments.tt + 2.0 * keep * chi * within.vt + chi * chi * moments.vv;
        let buffers = self.omega.len();
        for (i, decay) in self.decay.iter().enumerate() {
            moments.st[i] = decay * (keep * moments.st[i] + chi * within.sv[i]) + within.xt;
            moments.sv[i] = decay * within.sv[i] + within.xv;
            let own = decay * within.sx[i] + within.xx;
            for (j, ss) in moments.ss[i * buffers..(i + 1) * buffers].iter_mut().enumerate() {
                *ss = decay * self.decay[j] * *ss + own + self.decay[j] * within.sx[j];
            }
        }
    }

    /// From the derivatives in the moments after a step to those in the moments before it; adds those in omega and theta.
    fn retreat(
        &self,
        slopes: &mut Moments,
        before: &Moments,
        within: &Within,
        chi: f64,
        (in_omega, in_decay): (&mut [f64], &mut [f64]),
    ) {
        let (momentum, keep, buffers) = (self.momentum, self.keep(chi), self.omega.len());
        let in_vt = keep * slopes.vt + 2.0 * keep * chi * slopes.tt;
        let in_vv = slopes.vv + chi * slopes.vt + chi * chi * slopes.tt;
        let in_xt: f64 = slopes.st.iter().sum();
        let in_xv = slopes.sv.iter().sum::<f64>() + chi * in_xt;
        let in_xx = in_vv + in_xv + slopes.ss.iter().sum::<f64>();
        let (in_ut, in_uv) = (in_vt + keep * in_xt, momentum * (2.0 * in_vv + in_xv));
        slopes.tt *= keep * keep;
        slopes.vt = momentum * in_vt;
        slopes.vv = momentum * momentum * in_vv;
        let mut in_sx = vec![0.0; buffers];
        for i in 0..buffers {
            let row = &slopes.ss[i * buffers..(i + 1) * buffers];
            let decay = self.decay[i];
            let total: f64 = row.iter().sum();
            let own = &before.ss[i * buffers..(i + 1) * buffers];
            let pairs: f64 = row.iter().zip(own).zip(self.decay).map(|((slope, moment), decay)| slope * moment * decay).sum();
            in_decay[i] += 2.0 * (within.sx[i] * total + pairs)
                + slopes.st[i] * (keep * before.st[i] + chi * within.sv[i])
                + slopes.sv[i] * within.sv[i];
            let in_sv = decay * (slopes.sv[i] + chi * slopes.st[i]);
            in_omega[i] -= in_ut * before.st[i] + in_uv * before.sv[i] + in_xx * within.sx[i];
            slopes.st[i] = keep * decay * slopes.st[i] - self.omega[i] * in_ut;
            slopes.sv[i] = momentum * in_sv - self.omega[i] * in_uv;
            in_sx[i] = in_sv + 2.0 * decay * total - self.omega[i] * in_xx;
        }
        for i in 0..buffers {
            for j in 0..buffers {
                let ss = &mut slopes.ss[i * buffers + j];
                *ss = self.decay[i] * self.decay[j] * *ss - 0.5 * (in_sx[i] * self.omega[j] + in_sx[j] * self.omega[i]);
                in_omega[j] -= in_sx[i] * before.ss[i * buffers + j];
            }
        }
    }
}
