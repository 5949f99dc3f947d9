//! A unit whose loss and gradient are no numbers, in a private descent.

use std::ops::ControlFlow::Continue;

use thalweg_descent::differentiate::EachUnit;
use thalweg_descent::step::Sgd;
use thalweg_descent::{Batches, Descent, Layout, Mean, Participation, Pieces, Rates, Reduction, Result, Schedule, Seed};
use thalweg_private::{Clip, Name, NoiseKey, OnNonFinite, PrivacyPlan, Ratios, Shares, Workload};

const BAD: usize = 17;

/// Ten steps on forty examples, of which one has this loss and gradient.
fn train(clip: Option<Clip>, bad: f32) -> Result<Vec<f32>> {
    let mut layout = Layout::single("a", &[2]);
    layout.push("b", &[1]);
    let objective = EachUnit::new(layout.clone(), move |x: &[f32], i: usize, gradient: &mut [f32]| {
        if i == BAD {
            gradient[1] = bad;
            return Ok(f64::from(bad));
        }
        gradient.iter_mut().zip(x).for_each(|(gradient, x)| *gradient = x - i as f32);
        Ok(1.0)
    });
    let workload = Workload::new(Ratios::constant(10).unwrap());
    let batches = Participation::Separated { separation: 5, at_most: 2 };
    let guard: Box<dyn thalweg_descent::Guard<f32>> = match clip {
        None => Box::new(Mean),
        Some(clip) => {
            let plan = PrivacyPlan::new(2.0, 1e-5, Name::Bisr, workload, batches).with_expected_batch(8.0).with_clipping(clip);
            Box::new(plan.build().unwrap().guard(&NoiseKey::insecure(3)))
        }
    };
    let pieces = Pieces {
        choose: Box::new(Batches::fixed_order(40, 8, 10, &Seed(1).stream("batches"))?.in_shards_of(3)),
        differentiate: Box::new(objective),
        reduction: Reduction::in_turn(),
        guard,
        step: Box::new(Sgd::plain()),
        observe: vec![],
    };
    let mut descent = Descent::new(vec![0.0; 3], layout, Rates::new(0.1, Schedule::Constant, 10)?, pieces)?;
    descent.run(|_| Continue(()))?;
    Ok(descent.parameters().to_vec())
}

#[test]
fn they_stop_the_descent_unless_they_are_to_count_as_nothing() {
    for clip in [
        Clip::to(1.0),
        Clip::per_block(1.0, Shares::Equal),
        Clip::per_block(1.0, Shares::Given(vec![0.2, 0.8])),
        Clip::automatic(0.01),
        Clip::global(50.0),
    ] {
        let clip = clip.unwrap();
        let without = train(Some(clip.clone()), 0.0).unwrap();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = train(Some(clip.clone()), bad).unwrap_err().to_string();
            assert!(error.contains("gradient norm of unit"), "{error}");
            let lenient = clip.clone().on_non_finite(OnNonFinite::Zero);
            assert_eq!(train(Some(lenient), bad).unwrap(), without, "{clip}");
        }
    }
    assert!(train(None, f32::NAN).unwrap_err().to_string().contains("diverged"), "without a guard that leaves it out");
}
