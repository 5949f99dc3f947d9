//! Costs, leakage and agreement against the vectors of an independent program; and the ledger against the costs.

use serde::Deserialize;
use thalweg_vote::plain::Ties;
use thalweg_vote::{
    Degree, Domain, Encoding, Majority, Protocol, ScheduleKind, Settings, Simulation, SimulationConfig, Switch, Tie, ZeroSharing,
    agreement, costs, leakage,
};

#[test]
fn costs_of_every_number_of_users() {
    let text = include_str!("vectors/costs.csv");
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("n,p,bits,digits_u64,degree,min_degree,R,depth,lean_openings"));
    for line in lines {
        let cells: Vec<usize> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        let n = cells[0];
        let majority = |degree| Majority::new(Domain::Binary, n, Tie::Zero, degree).unwrap();
        let (full, least) = (majority(Degree::Full), majority(Degree::Least));
        let bits = full.field().bits() as usize;
        let circuit = |protocol, majority: &Majority| {
            thalweg_vote::Circuit::new(protocol, majority.clone(), ScheduleKind::Halving, ZeroSharing::Off)
        };
        let (beaver, lean) = (circuit(Protocol::Beaver, &full), circuit(Protocol::Lean, &full));
        let without_zero = |circuit: &thalweg_vote::Circuit| {
            circuit.recipe().corrected().count() - usize::from(circuit.recipe().has_zero_sharing())
        };
        let found = [
            n,
            full.field().order().into(),
            bits,
            cells[3],
            full.degree(),
            least.degree(),
            beaver.schedule().products().len(),
            beaver.levels(),
            lean.all_openings(),
            beaver.all_openings() * bits,
            lean.all_openings() * bits,
            2 * bits,
            without_zero(&beaver),
            without_zero(&lean),
            without_zero(&circuit(Protocol::OneRound, &full)),
            without_zero(&circuit(Protocol::OneRound, &least)),
        ];
        assert_eq!(found.as_slice(), cells.as_slice());
    }
}

#[derive(Deserialize)]
struct LeakageCase {
    n: usize,
    colluders: usize,
    tie: Tie,
    mi_bits: f64,
    p_sign_determined: f64,
}

#[test]
fn leakage_of_one_vote() {
    let cases: Vec<LeakageCase> = serde_json::from_str(include_str!("vectors/leakage.json")).unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let found = leakage::of_vote(case.n, case.colluders, case.tie).unwrap();
        assert!((found.bits - case.mi_bits).abs() < 5.1e-7, "{} {}: {}", case.n, case.colluders, found.bits);
        assert!((found.certain - case.p_sign_determined).abs() < 5.1e-7, "{} {}", case.n, case.colluders);
    }
}

#[derive(Deserialize)]
struct AgreementCase {
    n: usize,
    n1: usize,
    q: f64,
    p_same: f64,
    p_opposite: f64,
    p_hier_plus: f64,
    p_hier_tie: f64,
    p_flat_plus: f64,
    p_flat_tie: f64,
}

#[test]
fn agreement_of_two_levels_with_one() {
    let cases: Vec<AgreementCase> = serde_json::from_str(include_str!("vectors/agreement.json")).unwrap();
    for case in cases {
        let sizes = thalweg_vote::grouping::sizes(case.n, case.n1).unwrap();
        let found = agreement::with_flat(&sizes, case.q, Ties::default()).unwrap();
        let pairs = [
            (found.same, case.p_same),
            (found.opposite, case.p_opposite),
            (found.two_level_plus, case.p_hier_plus),
            (found.two_level_tie, case.p_hier_tie),
            (found.flat_plus, case.p_flat_plus),
            (found.flat_tie, case.p_flat_tie),
        ];
        assert!(pairs.iter().all(|(found, expected)| (found - expected).abs() < 5.1e-7), "{} {} {}", case.n, case.n1, case.q);
    }
}

/// The bytes counted on real frames are the bytes of the formula, for every protocol.
#[test]
fn the_ledger_is_the_formula() {
    let switches = [(Switch::Off, Switch::Off), (Switch::On, Switch::Off), (Switch::On, Switch::On)];
    for protocol in Protocol::ALL {
        for (group_size, encoding) in [(0, Encoding::Bits), (0, Encoding::BaseP), (3, Encoding::Bits), (4, Encoding::BaseP)] {
            for (sign_mask, mac) in switches {
                let mut settings = Settings { protocol, group_size, encoding, chunk: 300, ..Settings::new(1_000) };
                (settings.options.sign_mask, settings.options.mac) = (sign_mask, mac);
                if settings.check(11).is_err() {
                    continue;
                }
                let mut session = Simulation::new(SimulationConfig::new(settings.clone(), 11)).unwrap();
                let ledger = session.round(&vec![vec![1; 1_000]; 11]).unwrap().ledger;
                let mut expected: Vec<_> = settings
                    .group_sizes(11)
                    .into_iter()
                    .flat_map(|members| vec![costs::upload(&settings, 11, members).unwrap(); members])
                    .map(|upload| (upload.openings, upload.finals, upload.wire()))
                    .collect();
                let mut found: Vec<_> = ledger.users.iter().map(|user| (user.open_up, user.final_up, user.wire_up)).collect();
                expected.sort_unstable();
                found.sort_unstable();
                assert_eq!(found, expected, "{protocol} {group_size}");
            }
        }
    }
}

/// The published reductions from the bytes of real frames.
#[test]
fn published_reductions_from_real_frames() {
    let openings = |group_size| {
        let settings = Settings { group_size, ..Settings::published(8_000) };
        let mut session = Simulation::new(SimulationConfig::new(settings, 24)).unwrap();
        session.round(&vec![vec![-1; 8_000]; 24]).unwrap().ledger.users[5].open_up as f64
    };
    let (flat, group) = (openings(0), openings(3));
    assert_eq!((flat, group), (200_000.0, 12_000.0));
    assert_eq!((1.0 - group / flat, 1.0 - 8.0 * group / flat), (0.94, 0.52));
}
