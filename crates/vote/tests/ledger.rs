//! The bytes of real frames.

use thalweg_vote::{Encoding, Protocol, Settings, Simulation, SimulationConfig, Switch, costs};

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
