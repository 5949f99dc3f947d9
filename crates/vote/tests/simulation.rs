//! Whole rounds over real frames, equal to the plain vote bit for bit.

use proptest::prelude::*;
use thalweg_vote::machine::Tally;
use thalweg_vote::plain::Ties;
use thalweg_vote::simulate::RoundReport;
use thalweg_vote::wire::{Frame, Party, RoundPlan};
use thalweg_vote::{
    BeaconRule, Degree, Domain, Encoding, Outer, Protocol, ScheduleKind, Settings, Simulation, SimulationConfig, Switch, Tie,
    ZeroSharing,
};

/// Votes that differ by user, coordinate and seed.
fn votes(users: usize, coordinates: usize, domain: Domain, seed: u64) -> Vec<Vec<i8>> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match domain {
            Domain::Binary => 2 * (state >> 40 & 1) as i8 - 1,
            Domain::Ternary => (state >> 40) as i8 % 2,
        }
    };
    (0..users).map(|_| (0..coordinates).map(|_| next()).collect()).collect()
}

fn session(settings: Settings, users: usize) -> Simulation {
    let config = SimulationConfig { insecure_seed: Some(7), ..SimulationConfig::new(settings, users) };
    Simulation::new(config).unwrap()
}

/// Runs a round and checks that aggregator and users have the plain vote.
fn check_round(session: &mut Simulation, votes: &[Vec<i8>]) -> RoundReport {
    let beacon = session.given_beacon(session.next_round());
    let report = session.round(votes).unwrap();
    assert_eq!((report.faults.len(), report.aborts.len()), (0, 0), "{:?} {:?}", report.faults, report.aborts);
    let outcome = report.outcome.as_ref().unwrap();
    let expected = session.expected(votes, outcome, &beacon).unwrap();
    assert_eq!(outcome.tally, expected);
    assert!(report.accepted.iter().all(|tally| tally.as_ref() == Some(&expected)));
    report
}

#[test]
fn every_protocol_and_tie_policy_is_the_plain_vote() {
    for protocol in Protocol::ALL {
        for (inner, outer) in Tie::ALL.into_iter().flat_map(|inner| Tie::ALL.map(|outer| (inner, outer))) {
            for (users, group_size) in [(3, 0), (4, 0), (8, 4), (7, 3), (9, 3), (24, 0)] {
                let fits = match protocol {
                    Protocol::Sealed => group_size > 0,
                    Protocol::Survivors => group_size == 0,
                    _ => true,
                };
                if !fits {
                    continue;
                }
                let settings = Settings { protocol, group_size, ties: Ties { inner, outer }, ..Settings::new(61) };
                let mut session = session(settings, users);
                for round in 0..2 {
                    check_round(&mut session, &votes(users, 61, Domain::Binary, round + 1));
                }
            }
        }
    }
}

fn settings() -> impl Strategy<Value = (Settings, usize)> {
    let ties = (0usize..4, 0usize..4).prop_map(|(inner, outer)| Ties { inner: Tie::ALL[inner], outer: Tie::ALL[outer] });
    let protocol = (0usize..5).prop_map(|at| Protocol::ALL[at]);
    let flags = (any::<[bool; 8]>(), 0usize..3);
    (protocol, 3usize..=30, 0u16..7, ties, 1u32..150, 1u32..90, flags).prop_map(
        |(protocol, users, group_size, ties, coordinates, chunk, (flags, schedule))| {
            let group_size = match protocol {
                Protocol::Survivors => 0,
                Protocol::Sealed => 3,
                _ if group_size < 3 => 0,
                _ => group_size,
            };
            let users = if protocol == Protocol::Sealed { users.max(6) } else { users };
            let groups = if group_size == 0 { 1 } else { (users / usize::from(group_size)).max(1) };
            let switch = |on: bool| if on { Switch::On } else { Switch::Off };
            let one_round = protocol == Protocol::OneRound && !flags[0] && users.div_ceil(groups) <= 36;
            let mut settings = Settings { protocol, group_size, ties, chunk, ..Settings::new(coordinates) };
            settings.domain = if flags[0] { Domain::Ternary } else { Domain::Binary };
            settings.encoding = if flags[1] { Encoding::Bits } else { Encoding::BaseP };
            settings.outer = if flags[2] && groups > 1 && protocol != Protocol::Sealed { Outer::Mean } else { Outer::Vote };
            settings.options.zero_sharing = if flags[3] { ZeroSharing::Off } else { ZeroSharing::On };
            settings.options.degree = if flags[4] { Degree::Least } else { Degree::Full };
            settings.options.confirm = switch(flags[5] && protocol != Protocol::Sealed);
            settings.options.sign_mask = switch(one_round && flags[6]);
            settings.options.mac = switch(one_round && flags[6] && flags[7]);
            settings.options.schedule = ScheduleKind::ALL[schedule];
            (settings, users)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn any_admissible_session_is_the_plain_vote((settings, users) in settings(), seed in any::<u64>()) {
        let (coordinates, domain) = (settings.coordinates as usize, settings.domain);
        let mut session = session(settings, users);
        check_round(&mut session, &votes(users, coordinates, domain, seed));
    }
}

#[test]
fn the_beacon_of_all_users_draws_the_groups() {
    let settings = Settings { protocol: Protocol::Beaver, group_size: 3, ..Settings::new(40) };
    let config =
        SimulationConfig { beacon: BeaconRule::CommitReveal, insecure_seed: Some(1), ..SimulationConfig::new(settings, 9) };
    let mut session = Simulation::new(config).unwrap();
    let votes = votes(9, 40, Domain::Binary, 3);
    for _ in 0..3 {
        let report = session.round(&votes).unwrap();
        assert!(report.faults.is_empty(), "{:?}", report.faults);
        let outcome = report.outcome.unwrap();
        assert!(report.accepted.iter().all(|tally| tally.as_ref() == Some(&outcome.tally)));
        assert_eq!(outcome.survivors.len(), 9);
    }
}

#[test]
fn secret_randomness_differs_and_gives_the_same_vote() {
    let settings = Settings::new(50);
    let votes = votes(5, 50, Domain::Binary, 9);
    let run = || {
        let mut session = Simulation::new(SimulationConfig::new(settings.clone(), 5)).unwrap();
        check_round(&mut session, &votes).outcome.unwrap().tally
    };
    assert_eq!(run(), run());
    assert!(matches!(run(), Tally::Vote(_)));
}

#[test]
fn groups_last_as_long_as_was_agreed() {
    let groups = |regroup: &str| {
        let settings = Settings {
            protocol: Protocol::Lean,
            group_size: 3,
            regroup: regroup.parse().unwrap(),
            ties: Ties { inner: Tie::Coin, outer: Tie::Coin },
            ..Settings::new(30)
        };
        let mut session = session(settings.clone(), 12);
        session.keep_frames(Switch::On);
        let round = |round| {
            let report = check_round(&mut session, &votes(12, 30, Domain::Binary, round + 1));
            let plans = report.frames.iter().filter(|sent| sent.to == Party::Dealer).map(|sent| {
                let plan = RoundPlan::read(&Frame::parse(&sent.bytes).unwrap(), settings.unsent()).unwrap();
                plan.members
            });
            plans.collect::<Vec<_>>()
        };
        (0..7u64).map(round).collect::<Vec<_>>()
    };
    for (regroup, changes) in [("every", vec![1, 2, 3, 4, 5, 6]), ("fixed", vec![]), ("3", vec![3, 6])] {
        let drawn = groups(regroup);
        assert!(drawn.iter().all(|groups| groups.len() == 4));
        // Two of 369,600 groupings are the same by chance once in as many.
        let changed: Vec<usize> = (1..7).filter(|&round| drawn[round] != drawn[round - 1]).collect();
        assert_eq!(changed, changes, "{regroup}");
    }
}
