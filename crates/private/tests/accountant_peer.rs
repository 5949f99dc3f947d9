//! Poisson sampling against dp-accounting 0.6.0, at the hardest points of random grids: small rates and few steps, where epsilon is
//! far smaller than the losses that decide it; tiny deltas; many steps.

use thalweg_private::accountant::{AccountRequest, Neighbours, Target, account};
use thalweg_private::sampler::Sampling;

/// Rate, noise multiplier, steps, delta, neighbours; and the peer's upper bound and its lower one, which at small epsilon is often 0.
/// Both are of its privacy-loss distributions, with the interval that follows.
type Point = (f64, f64, u64, f64, Neighbours, f64, f64, f64);

use Neighbours::{AddRemove as Added, ReplaceOne as Replaced};

#[rustfmt::skip]
const POINTS: &[Point] = &[
    (2.0903518390949625e-05, 0.7967224247350606, 221, 6.883773445165256e-05, Added, 0.0005727961257331109, 0.0004620970455534554, 1e-6),
    (3.787193734808819e-05, 1.2752783939149779, 9, 1.0577766007744137e-05, Replaced, 0.0002206926435778213, 0.0002161889415763324, 1e-6),
    (4.422290496550237e-05, 2.418607407589006, 6, 1.8018744222664833e-08, Added, 0.00019330138261460563, 0.00019029099550106813, 1e-6),
    (0.00012938976864739776, 0.982091726296101, 5, 3.2119237348237777e-06, Added, 0.0018101250899513973, 0.0018076248312253627, 1e-6),
    (1.3019775941460307e-05, 0.6274885355560029, 118, 1.5069377373637282e-05, Replaced, 0.001363810227692192, 0.0012457674700419154, 2e-6),
    (5.389713156342949e-05, 1.7803061511770328, 99, 5.873719884052279e-08, Added, 0.001187759694467452, 0.001138224238705372, 1e-6),
    (9.017126939086873e-05, 0.7546827920131819, 2074, 2.1210833192207758e-05, Replaced, 0.03773765735880119, 0.0, 1e-4),
    (0.00013131062119511245, 0.474180394034977, 1059, 0.0007927318434995223, Replaced, 0.13872825465615538, 0.08577226223479163, 1e-4),
    (0.0015529153818234869, 1.4429642605213933, 5767, 1.1125158814399263e-07, Replaced, 0.7639688579529337, 0.47554630380146, 1e-4),
    (0.014937104383775978, 2.5399310336193084, 13724, 9.64639415572451e-08, Added, 3.726860302215331, 3.0406097321761987, 1e-4),
    (0.04713096772995468, 1.7865309231490223, 6150, 0.0003089009924860159, Replaced, 21.972844493488886, 21.665323125234114, 1e-4),
    (0.01, 4.0, 10000, 1e-5, Added, 0.9468683969716251, 0.8968674219750068, 1e-5),
];

#[test]
fn epsilon_is_at_most_half_a_per_cent_above_the_peers_and_never_below_its_lower_bound() {
    for &(rate, noise, steps, delta, neighbours, upper, lower, interval) in POINTS {
        let asked = AccountRequest::new(Sampling::Poisson { rate }, steps, delta, Target::Noise(noise));
        let found = account(&AccountRequest { neighbours, ..asked }).unwrap().epsilon;
        let point = format!("rate {rate}, noise {noise}, {steps} steps, delta {delta}, {neighbours}, interval {interval}");
        assert!(found <= 1.005 * upper, "{point}: {found} is above {upper}");
        assert!(found >= lower, "{point}: {found} is below {lower}");
    }
}
