//! Errors and sensitivities against reference values computed independently in double precision.

use thalweg_private::{Evaluation, Kind, Pattern, Ratios, Strategy, Workload, evaluate};

fn exponential(n: usize, beta: f64) -> Workload {
    Workload::new(Ratios::exponential(n, beta).unwrap())
}

fn single(workload: &Workload, strategy: &Strategy) -> Evaluation {
    evaluate(workload, strategy, Pattern::Single).unwrap()
}

#[track_caller]
fn check(found: &Evaluation, max: f64, mean: f64, tolerance: f64) {
    let close = (found.max_se - max).abs() <= tolerance && (found.mean_se - mean).abs() <= tolerance;
    assert!(close, "{}/{} instead of {max}/{mean}", found.max_se, found.mean_se);
}

#[test]
fn single_participation_exponential() {
    // n, beta, then MaxSE/MeanSE of identity, prefix-root, lr-root, and the argmax rows of the last two.
    #[rustfmt::skip]
    let table = [
        (64, 1.0, 8.000000, 5.700877, 2.388848, 2.229676, 2.388848, 2.229676, 64, 64),
        (64, 0.5, 5.891523, 4.644364, 1.942596, 1.786001, 1.852831, 1.765706, 12, 15),
        (64, 0.25, 4.673006, 3.955060, 1.841388, 1.549218, 1.686732, 1.551978, 7, 9),
        (64, 0.1, 3.748934, 3.360152, 1.768892, 1.388812, 1.562951, 1.414587, 5, 7),
        (256, 1.0, 16.000000, 11.335784, 2.831050, 2.668782, 2.831050, 2.668782, 256, 256),
        (256, 0.5, 11.772130, 9.227050, 2.336711, 2.109010, 2.235395, 2.091095, 37, 45),
        (256, 0.25, 9.314272, 7.840509, 2.227268, 1.803669, 2.057297, 1.817443, 21, 26),
        (256, 0.1, 7.438099, 6.634378, 2.146344, 1.590768, 1.921814, 1.640086, 14, 18),
        (256, 0.01, 5.309102, 5.019526, 2.035786, 1.389325, 1.739677, 1.466188, 8, 11),
        (256, 1.0 / 256.0, 4.847291, 4.629448, 2.006443, 1.354165, 1.692074, 1.430576, 7, 9),
        (512, 0.5, 16.645768, 13.034474, 2.538031, 2.271059, 2.432085, 2.254204, 66, 79),
        (512, 0.1, 10.505159, 9.362339, 2.343407, 1.693607, 2.111125, 1.752689, 24, 30),
        (512, 0.01, 7.481786, 7.069042, 2.228795, 1.464660, 1.922596, 1.560624, 14, 18),
        (1024, 1.0, 32.0, 22.638463, 3.272554, 3.109790, 3.272554, 3.109790, 1024, 1024),
        (1024, 0.5, 23.538882, 18.423244, 2.741425, 2.433236, 2.631478, 2.417338, 120, 140),
        (1024, 0.1, 14.846736, 13.226167, 2.544006, 1.796834, 2.304888, 1.864631, 43, 52),
        (1024, 0.01, 10.562221, 9.976235, 2.426831, 1.540794, 2.111648, 1.653918, 24, 30),
        (2048, 0.25, 26.318945, 22.119141, 2.832428, 2.188900, 2.645940, 2.215095, 120, 141),
        (2048, 0.1, 20.989535, 18.694606, 2.747183, 1.900194, 2.502095, 1.975812, 77, 92),
    ];
    for (n, beta, i_max, i_mean, p_max, p_mean, l_max, l_mean, p_row, l_row) in table {
        let workload = exponential(n, beta);
        check(&single(&workload, &Strategy::identity(n).unwrap()), i_max, i_mean, 1e-6);
        let prefix = single(&workload, &Strategy::prefix_root(&workload));
        check(&prefix, p_max, p_mean, 1e-6);
        let aware = single(&workload, &Strategy::lr_root(&workload));
        check(&aware, l_max, l_mean, 1e-6);
        assert_eq!((prefix.argmax_row, aware.argmax_row), (p_row, l_row), "n {n} beta {beta}");
        assert_eq!(aware.sensitivity.kind, Kind::Exact);
    }
}

#[test]
fn sensitivities_output_and_split() {
    for (n, expected) in [(64, 1.545590), (256, 1.682572), (512, 1.746952), (1024, 1.809020), (2048, 1.869018)] {
        let found = Strategy::prefix_root(&exponential(n, 1.0)).sensitivity(Pattern::Single).unwrap();
        assert!((found.value - expected).abs() < 1e-6);
    }
    for (n, expected) in [(256, 1.472907), (1024, 1.613945)] {
        let found = Strategy::lr_root(&exponential(n, 0.1)).sensitivity(Pattern::Single).unwrap();
        assert!((found.value - expected).abs() < 1e-6);
    }
    for beta in [1.0, 0.5, 0.1] {
        let workload = exponential(256, beta);
        check(&single(&workload, &Strategy::output(&workload)), 16.0, 16.0, 1e-9);
        check(&single(&workload, &Strategy::split(&workload)), 2.831050, 2.668782, 1e-6);
    }
}

#[test]
fn other_schedules() {
    type Family = fn(usize, f64) -> thalweg_private::Result<Ratios>;
    let (linear, cosine, polynomial): (Family, Family, Family) = (Ratios::linear, Ratios::cosine, Ratios::polynomial);
    #[rustfmt::skip]
    let table = [
        (linear, 0.5, 2.583999, 2.342627, 2.489312, 2.319823, 0, true),
        (linear, 0.1, 2.489905, 2.012329, 2.327243, 2.016665, 26, true),
        (cosine, 0.5, 2.696066, 2.379422, 2.592494, 2.352538, 0, false),
        (cosine, 0.1, 2.646648, 2.115764, 2.485096, 2.102758, 0, false),
        (cosine, 0.01, 2.638625, 2.080337, 2.468921, 2.069268, 125, false),
        (polynomial, 0.5, 2.485969, 2.197244, 2.368509, 2.187377, 0, true),
        (polynomial, 0.1, 2.127000, 1.382078, 1.807990, 1.490787, 0, true),
    ];
    for (family, beta, p_max, p_mean, l_max, l_mean, negative, monotone) in table {
        let workload = Workload::new(family(512, beta).unwrap());
        check(&single(&workload, &Strategy::prefix_root(&workload)), p_max, p_mean, 1e-6);
        let root = Strategy::lr_root(&workload);
        check(&single(&workload, &root), l_max, l_mean, 1e-6);
        let c = root.toeplitz().unwrap();
        assert_eq!(c.iter().filter(|value| **value < 0.0).count(), negative);
        assert_eq!(c.windows(2).all(|pair| pair[0] >= pair[1]), monotone);
    }
}

#[test]
fn multiple_epochs_banded_inverse() {
    let pattern = Pattern::separated(78, 11).unwrap();
    // beta, p, BISR MaxSE/MeanSE, LR-BISR MaxSE/MeanSE and sensitivity.
    #[rustfmt::skip]
    let table = [
        (0.25, 4, 21.22369, 17.99857, 21.30142, 18.06270, 4.143568),
        (0.25, 16, 11.51528, 10.21411, 11.71406, 10.36421, 4.699215),
        (0.25, 78, 9.34780, 8.55451, 8.84661, 8.50702, 6.105806),
        (0.25, 781, 13.14643, 10.36662, 10.80531, 9.26220, 7.457670),
        (0.1, 4, 16.97365, 15.25171, 17.07631, 15.34149, 4.139240),
        (0.1, 16, 9.28143, 8.70944, 9.54309, 8.91982, 4.676453),
        (0.1, 78, 9.04009, 7.38851, 8.25516, 7.35738, 5.879103),
        (0.1, 340, 12.31578, 8.82159, 9.46252, 7.74366, 6.738949),
        (0.1, 781, 12.71368, 9.05837, 9.52776, 7.78468, 6.785413),
        (0.01, 16, 6.86428, 6.77956, 7.22109, 7.08835, 4.623308),
        (0.01, 32, 6.90796, 5.92245, 6.61663, 6.22676, 4.928345),
        (0.01, 78, 8.61344, 6.08144, 7.32735, 6.04810, 5.457724),
        (0.01, 781, 12.11365, 7.79241, 7.83338, 6.22027, 5.834637),
    ];
    for (beta, p, max, mean, lr_max, lr_mean, sensitivity) in table {
        let workload = exponential(781, beta);
        check(&evaluate(&workload, &Strategy::bisr(&workload, p).unwrap(), pattern).unwrap(), max, mean, 1e-5);
        let aware = evaluate(&workload, &Strategy::lr_bisr(&workload, p).unwrap(), pattern).unwrap();
        check(&aware, lr_max, lr_mean, 1e-5);
        assert!((aware.sensitivity.value - sensitivity).abs() < 1e-6 && aware.sensitivity.kind == Kind::Exact);
    }
    let constant = exponential(781, 1.0);
    #[rustfmt::skip]
    let constant_rate = [
        (1, 92.68765, 65.58201, 3.316625),
        (4, 36.50444, 26.01107, 4.150184),
        (16, 20.04089, 14.80024, 4.735615),
        (78, 15.13846, 12.63623, 6.545693),
        (781, 16.43226, 15.59293, 9.205639),
    ];
    for (p, max, mean, sensitivity) in constant_rate {
        let found = evaluate(&constant, &Strategy::bisr(&constant, p).unwrap(), pattern).unwrap();
        check(&found, max, mean, 1e-5);
        assert!((found.sensitivity.value - sensitivity).abs() < 1e-6);
    }
}

#[test]
fn multiple_epochs_banded_square_root() {
    let pattern = Pattern::separated(64, 8).unwrap();
    let errors = |beta: f64, p: usize, build: fn(&Workload, usize) -> thalweg_private::Result<Strategy>| {
        let workload = exponential(512, beta);
        evaluate(&workload, &build(&workload, p).unwrap(), pattern).unwrap()
    };
    for (beta, mean) in [(1.0, 18.42159), (0.5, 14.99338), (0.1, 10.82476), (0.01, 8.26634)] {
        assert!((errors(beta, 4, Strategy::bisr).mean_se - mean).abs() < 1e-5);
    }
    for (beta, max, mean) in
        [(1.0, 12.37549, 9.63926), (0.5, 8.78583, 7.74215), (0.1, 5.86416, 5.63830), (0.01, 5.57736, 4.50325)]
    {
        check(&errors(beta, 64, Strategy::bsr), max, mean, 1e-5);
    }
    for (beta, max, mean) in [(0.5, 8.90811, 7.81050), (0.1, 5.89945, 5.83063), (0.01, 5.36867, 4.80897)] {
        check(&errors(beta, 64, Strategy::lr_bsr), max, mean, 1e-5);
    }
    let narrow = errors(1.0, 4, Strategy::bsr);
    check(&narrow, 35.81771, 25.43980, 1e-5);
    assert!((narrow.sensitivity.value - 3.450543).abs() < 1e-6);
}

#[test]
fn the_learning_rate_aware_band_wins_from_a_certain_width_on() {
    let pattern = Pattern::separated(64, 8).unwrap();
    for (beta, max_p, mean_p) in [(0.5, 69, 46), (0.1, 28, 54)] {
        let workload = exponential(512, beta);
        let gains = |p: usize| {
            let plain = evaluate(&workload, &Strategy::bisr(&workload, p).unwrap(), pattern).unwrap();
            let aware = evaluate(&workload, &Strategy::lr_bisr(&workload, p).unwrap(), pattern).unwrap();
            (aware.max_se < plain.max_se, aware.mean_se < plain.mean_se)
        };
        assert_eq!((2..=max_p).find(|&p| gains(p).0), Some(max_p));
        assert_eq!((2..=mean_p).find(|&p| gains(p).1), Some(mean_p));
    }
}
