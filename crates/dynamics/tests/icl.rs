//! In-context learning: descent on the exact loss against the exact flow.

use faer::{Mat, Scale};
use thalweg_dynamics::icl::{Problem, Tasks};
use thalweg_dynamics::ode::Tolerance;

#[test]
fn descent_on_the_exact_loss_approaches_the_flow_with_order_one() {
    let covariance = [1.2, 0.3, 0.3, 0.6];
    let problem =
        Problem::new(&covariance, 6, Tasks::hadamard_pairs(2).in_basis(faer::mat![[0.8, -0.6], [0.6, 0.8]].as_ref()).unwrap());
    let problem = problem.unwrap();
    let (p, q) = (faer::mat![[0.3, 0.1], [-0.2, 0.4]], faer::mat![[0.2, 0.0], [0.1, 0.5]]);
    let flow = problem.flow(p.as_ref(), q.as_ref(), &[0.0, 2.0], &Tolerance::default()).unwrap();
    let gap = |steps: u32| {
        let rate = 2.0 / f64::from(steps);
        let (mut p, mut q): (Mat<f64>, Mat<f64>) = (p.clone(), q.clone());
        for _ in 0..steps {
            let (by_p, by_q) = problem.gradient(p.as_ref(), q.as_ref()).unwrap();
            p -= by_p * Scale(rate);
            q -= by_q * Scale(rate);
        }
        (p - &flow.p[1]).norm_max().max((q - &flow.q[1]).norm_max())
    };
    let orders = [250, 500, 1000].map(|steps| (gap(steps) / gap(2 * steps)).log2());
    assert!(orders.iter().all(|order| (order - 1.0).abs() < 0.02), "{orders:?}");
}
