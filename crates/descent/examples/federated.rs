//! The machine driven from outside, step by step, as a federated server would: two clients send contributions, the server joins
//! them and sends the update back. Neither client knows the other's data, and both hold the same parameters after every step.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use thalweg_descent::differentiate::Gradient;
use thalweg_descent::step::Sgd;
use thalweg_descent::{Contribution, Descent, Layout, Mean, Pieces, Rates, Reduction, Result, Schedule, choose::Always};

fn main() -> Result<()> {
    let mut clients = [client(&[1.0, 2.0, 3.0])?, client(&[7.0])?];
    while !clients[0].is_finished() {
        let mut sent = Vec::new();
        for client in &mut clients {
            sent.push(client.contribute()?);
        }
        let joined = join(&sent);
        for client in &mut clients {
            client.apply(joined.clone())?;
        }
    }
    println!("both clients have {:?} = {:?}", clients[0].parameters(), clients[1].parameters());
    assert_eq!(clients[0].parameters(), clients[1].parameters());
    assert!((clients[0].parameters()[0] - 4.5).abs() < 1e-9, "the mean of the clients' means");
    Ok(())
}

/// A client whose parameter is drawn to the mean of its own numbers.
fn client(numbers: &[f64]) -> Result<Descent<(), f64>> {
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let pieces = Pieces {
        choose: Box::new(Always(())),
        differentiate: Box::new(Gradient::new(move |x: &[f64], _: &(), gradient: &mut [f64]| {
            gradient[0] = x[0] - mean;
            Ok(0.5 * (x[0] - mean).powi(2))
        })),
        reduction: Reduction::in_turn(),
        guard: Box::new(Mean),
        step: Box::new(Sgd::plain()),
        observe: vec![],
    };
    Descent::new(vec![0.0], Layout::single("x", &[1]), Rates::new(0.5, Schedule::Constant, 50)?, pieces)
}

/// The server's rule: add the sums in the order of the clients.
fn join(sent: &[Contribution<f64>]) -> Contribution<f64> {
    let mut joined = sent[0].clone();
    for other in &sent[1..] {
        joined.sum.iter_mut().zip(&other.sum).for_each(|(sum, value)| *sum += value);
        joined.units += other.units;
    }
    joined
}
