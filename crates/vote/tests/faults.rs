//! What goes wrong on the way never gives a wrong vote, and never a panic.

use std::time::Duration;

use thalweg_vote::machine::{GroupStatus, Reason, StateName, Tally};
use thalweg_vote::plain::{self, Ties};
use thalweg_vote::simulate::{Faults, Loss, Mishap, RoundReport, SentFrame};
use thalweg_vote::wire::{FrameKind, HEADER_LENGTH, Party};
use thalweg_vote::{BeaconRule, Protocol, Settings, Simulation, SimulationConfig, Switch, Tie};

const COORDINATES: usize = 6;

fn votes(users: usize, seed: u64) -> Vec<Vec<i8>> {
    let sign = |user: usize, c: usize| {
        let mixed = (seed ^ (user * 31 + c) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        2 * (mixed >> 61 & 1) as i8 - 1
    };
    (0..users).map(|user| (0..COORDINATES).map(|c| sign(user, c)).collect()).collect()
}

fn session(settings: &Settings, users: usize, beacon: BeaconRule, seed: u64) -> Simulation {
    let config = SimulationConfig { beacon, insecure_seed: Some(seed), ..SimulationConfig::new(settings.clone(), users) };
    Simulation::new(config).unwrap()
}

/// Whether every result that anybody accepted is the plain vote of the users whose votes were counted.
fn is_right(session: &Simulation, votes: &[Vec<i8>], report: &RoundReport, round: u32) -> bool {
    let expected = report.outcome.as_ref().map(|outcome| session.expected(votes, outcome, &session.given_beacon(round)).unwrap());
    let published = report.outcome.as_ref().map(|outcome| outcome.tally.clone());
    // A user accepts only what the aggregator has published, so there is no result of a user without one.
    published == expected && report.accepted.iter().flatten().all(|tally| Some(tally) == expected.as_ref())
}

/// Sessions of all protocols and options, with the number of users.
fn sessions() -> Vec<(Settings, usize)> {
    let base = Settings { chunk: 4, ..Settings::new(COORDINATES as u32) };
    let with = |protocol, group_size| Settings { protocol, group_size, ..base.clone() };
    let mut guarded = with(Protocol::OneRound, 0);
    guarded.options.confirm = Switch::On;
    let coin = Settings { ties: Ties { inner: Tie::Coin, outer: Tie::Zero }, ..with(Protocol::Lean, 3) };
    vec![
        (with(Protocol::OneRound, 0), 5),
        (with(Protocol::Beaver, 0), 4),
        (with(Protocol::Beaver, 3), 7),
        (coin, 6),
        (with(Protocol::Survivors, 0), 6),
        (with(Protocol::Sealed, 3), 6),
        (guarded, 4),
    ]
}

fn with_codes(group_size: u16) -> Settings {
    let mut settings = Settings { group_size, chunk: 4, ..Settings::new(COORDINATES as u32) };
    (settings.options.sign_mask, settings.options.mac) = (Switch::On, Switch::On);
    settings
}

/// The frames of an undisturbed round.
fn frame_count(settings: &Settings, users: usize) -> usize {
    let ledger = session(settings, users, BeaconRule::Given, 1).round(&votes(users, 1)).unwrap().ledger;
    (ledger.users.iter().map(|user| user.frames).sum::<u64>() + ledger.aggregator.frames) as usize
}

/// Frames that are dropped, delayed, repeated, cut short or go astray: 3,500 schedules of one to three mishaps.
#[test]
fn mishaps_that_change_no_bit_give_the_right_vote_or_none() {
    let mut results = 0;
    for (settings, users) in sessions() {
        let frames = frame_count(&settings, users);
        for seed in 0..500 {
            let faults = Faults::random(seed, 1 + seed as usize % 3, frames, users as u16)
                .without(|mishap| matches!(mishap, Mishap::Flip(_)));
            let mut session = session(&settings, users, BeaconRule::Given, seed);
            let votes = votes(users, seed);
            let report = session.round_with(&votes, faults).unwrap();
            assert!(is_right(&session, &votes, &report, 0), "{} seed {seed}: {report:?}", settings.protocol);
            assert!(
                report.states.iter().all(|(_, state)| is_settled(*state)),
                "{} seed {seed}: {:?}",
                settings.protocol,
                report.states
            );
            results += usize::from(report.outcome.is_some());
        }
    }
    assert!((500..3_500).contains(&results), "{results} of 3,500 rounds had a result");
}

fn is_settled(state: StateName) -> bool {
    matches!(state, StateName::Idle | StateName::Done | StateName::Aborted | StateName::Provisioned)
}

/// With authentication codes also flipped bits: 1,500 schedules. Without codes some must pass unseen, or the test shows nothing.
#[test]
fn flipped_bits_are_found_by_codes() {
    // Anywhere in a frame, or in the first bytes of a payload.
    let only_flips = |seed: u64, frames: usize, users: u16| match seed % 2 {
        0 => Faults::random(seed, 6, frames, users).without(|mishap| !matches!(mishap, Mishap::Flip(_))),
        _ => Faults::mishaps([(seed as usize * 7 % frames, Mishap::Flip(8 * HEADER_LENGTH + seed as usize / 2 % 16))]),
    };
    for users in [4, 5] {
        let settings = with_codes(0);
        let frames = frame_count(&settings, users);
        for seed in 0..750 {
            let config = SimulationConfig {
                restart: Switch::Off,
                insecure_seed: Some(seed),
                ..SimulationConfig::new(settings.clone(), users)
            };
            let votes = votes(users, seed);
            let report = Simulation::new(config).unwrap().round_with(&votes, only_flips(seed, frames, users as u16)).unwrap();
            // A user whose last message is lost on the way to the aggregator may have the result alone; it is right all the same.
            let expected = Tally::Vote(plain::flat(votes.iter().map(Vec::as_slice), Tie::Zero, &[]).unwrap());
            let published = report.outcome.iter().map(|outcome| &outcome.tally);
            assert!(published.chain(report.accepted.iter().flatten()).all(|tally| *tally == expected), "seed {seed}: {report:?}");
        }
    }
    let settings = Settings { chunk: 4, ..Settings::new(COORDINATES as u32) };
    let frames = frame_count(&settings, 5);
    let wrong = |seed: &u64| {
        let mut session = session(&settings, 5, BeaconRule::Given, *seed);
        let votes = votes(5, *seed);
        let report = session.round_with(&votes, only_flips(*seed, frames, 5)).unwrap();
        !is_right(&session, &votes, &report, 0)
    };
    let wrong = (0..1_500).filter(wrong).count();
    assert!(wrong > 10, "{wrong} of 1,500");
}

/// A party that stops after any number of frames.
#[test]
fn losses_at_every_message() {
    for (settings, users) in sessions() {
        for lost in 0..users as u16 {
            for after in 0..8 {
                let mut session = session(&settings, users, BeaconRule::Given, 3);
                let votes = votes(users, u64::from(lost) + 7);
                let loss = Loss { party: Party::User(lost), after };
                let report = session.round_with(&votes, Faults::losses([loss])).unwrap();
                let context = format!("{} user {lost} after {after} frames: {report:?}", settings.protocol);
                assert!(is_right(&session, &votes, &report, 0), "{context}");
                let others = report.states.iter().filter(|(party, _)| *party != Party::User(lost));
                assert!(others.clone().all(|(_, state)| is_settled(*state)), "{context}");
                match settings.protocol {
                    // The others go on without the lost user's group.
                    Protocol::Beaver | Protocol::Lean if settings.group_size > 0 => {
                        let outcome = report.outcome.as_ref().expect(&context);
                        let dead = outcome.groups.iter().filter(|group| **group != GroupStatus::Decided).count();
                        assert!(dead <= 1 && report.accepted.iter().flatten().count() >= users - 1, "{context}");
                    }
                    Protocol::Survivors => assert!(report.outcome.is_some(), "{context}"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a_flat_vote_starts_again_once_and_never_after_a_share_of_the_result() {
    let settings = Settings { chunk: 4, ..Settings::new(COORDINATES as u32) };
    let lose = |after: usize, restart: Switch| {
        let config = SimulationConfig { restart, insecure_seed: Some(5), ..SimulationConfig::new(settings.clone(), 5) };
        let votes = votes(5, 11);
        Simulation::new(config).unwrap().round_with(&votes, Faults::losses([Loss { party: Party::User(2), after }])).unwrap()
    };
    // Before its openings are complete: the other four vote again, in the second attempt.
    let report = lose(1, Switch::On);
    let outcome = report.outcome.unwrap_or_else(|| panic!("{:?} {:?}", report.aborts, report.faults));
    assert_eq!((outcome.attempt, outcome.survivors), (1, vec![0, 1, 3, 4]));
    assert!(lose(1, Switch::Off).outcome.is_none());
    // After them, others have sent shares of the result.
    let report = lose(2, Switch::On);
    assert!(report.outcome.is_none() && report.aborts.contains(&(Party::Aggregator, Reason::DeadlinePassed)), "{report:?}");
}

#[test]
fn survivors_need_enough_users_before_and_after() {
    let settings = Settings { protocol: Protocol::Survivors, min_survivors: 4, ..Settings::new(COORDINATES as u32) };
    let lose = |count: u16, after: usize| {
        let mut session = session(&settings, 6, BeaconRule::Given, 5);
        let losses = (0..count).map(|user| Loss { party: Party::User(user), after });
        session.round_with(&votes(6, 2), Faults::losses(losses)).unwrap().outcome
    };
    assert_eq!(lose(2, 0).unwrap().survivors, [2, 3, 4, 5]);
    assert!(lose(3, 0).is_none());
    // The threshold of six is five: one may be lost after its votes have come, and they are counted.
    assert_eq!(lose(1, 1).unwrap().survivors.len(), 6);
    assert!(lose(2, 1).is_none());
}

#[test]
fn a_session_goes_on_after_a_round_that_failed() {
    let settings = Settings { chunk: 4, ..Settings::new(COORDINATES as u32) };
    let mut session = session(&settings, 5, BeaconRule::CommitReveal, 5);
    let votes = votes(5, 3);
    let dropped = Faults::mishaps([(3, Mishap::Cut(17)), (20, Mishap::Drop), (30, Mishap::Drop)]);
    let first = session.round_with(&votes, dropped).unwrap();
    let second = session.round(&votes).unwrap();
    assert!(second.faults.is_empty() && second.outcome.is_some(), "{first:?} {second:?}");
    assert!(matches!(second.outcome.unwrap().tally, Tally::Vote(_)));
}

/// An aggregator that tells one user another sum: whoever confirms finds it, and no share of a result leaves. Without confirmation
/// they leave, or the test shows nothing.
#[test]
fn a_sum_that_one_user_alone_was_told_is_found_by_confirmation() {
    let mut found = 0;
    let mut left_without = 0;
    for bit in 0..16 {
        for confirm in [Switch::On, Switch::Off] {
            let mut settings = Settings::new(COORDINATES as u32);
            settings.options.confirm = confirm;
            let votes = votes(5, 3);
            let mut undisturbed = session(&settings, 5, BeaconRule::Given, 1);
            undisturbed.keep_frames(Switch::On);
            let frames = undisturbed.round(&votes).unwrap().frames;
            let is_it = |frame: &SentFrame| frame.to == Party::User(2) && frame.bytes[4] == FrameKind::OpenSum.code();
            let sum = frames.iter().position(is_it).unwrap();
            let mut config = SimulationConfig::new(settings, 5);
            (config.insecure_seed, config.restart) = (Some(1), Switch::Off);
            let mut session = Simulation::new(config).unwrap();
            let faults = Faults::mishaps([(sum, Mishap::Flip(8 * HEADER_LENGTH + bit))]);
            let report = session.round_with(&votes, faults).unwrap();
            match confirm {
                Switch::On => {
                    assert!(report.outcome.is_none() && report.ledger.users.iter().all(|user| user.final_up == 0), "{report:?}");
                    found += report.faults.iter().filter(|(_, fault)| fault.name() == "ConfirmationMismatch").count();
                }
                Switch::Off => left_without += usize::from(report.ledger.users.iter().all(|user| user.final_up > 0)),
            }
        }
    }
    assert!(found >= 16 && left_without == 16, "{found} {left_without}");
}

/// With a beacon of all users: 300 schedules.
#[test]
fn a_dealer_that_is_quicker_than_the_aggregator_disturbs_nothing() {
    let settings = Settings { chunk: 4, ..Settings::new(COORDINATES as u32) };
    let votes = votes(5, 3);
    let mut undisturbed = session(&settings, 5, BeaconRule::CommitReveal, 1);
    undisturbed.keep_frames(Switch::On);
    let frames = undisturbed.round(&votes).unwrap().frames;
    let late = |kind: FrameKind, user: u16| {
        let is_it =
            |frame: &SentFrame| frame.from == Party::Aggregator && frame.to == Party::User(user) && frame.bytes[4] == kind.code();
        (frames.iter().rposition(is_it).unwrap(), Mishap::Delay(Duration::from_millis(500)))
    };
    for user in 0..5 {
        let mut session = session(&settings, 5, BeaconRule::CommitReveal, 1);
        // The last part of the beacon, and what follows it on the same channel.
        let faults = Faults::mishaps([late(FrameKind::Beacon, user), late(FrameKind::RoundPlan, user)]);
        let report = session.round_with(&votes, faults).unwrap();
        let expected = Tally::Vote(plain::flat(votes.iter().map(Vec::as_slice), Tie::Zero, &[]).unwrap());
        assert!(report.faults.is_empty(), "{:?}", report.faults);
        assert!(report.accepted.iter().all(|tally| tally.as_ref() == Some(&expected)), "user {user}: {:?}", report.aborts);
    }
}

#[test]
fn mishaps_while_the_beacon_is_made() {
    let settings = Settings { protocol: Protocol::Lean, group_size: 3, chunk: 4, ..Settings::new(COORDINATES as u32) };
    for seed in 0..300 {
        let mut session = session(&settings, 6, BeaconRule::CommitReveal, seed);
        let faults = Faults::random(seed, 1, 60, 6).without(|mishap| matches!(mishap, Mishap::Flip(_)));
        let report = session.round_with(&votes(6, seed), faults).unwrap();
        let published = report.outcome.as_ref().map(|outcome| &outcome.tally);
        assert!(report.accepted.iter().flatten().all(|tally| Some(tally) == published), "{report:?}");
        assert!(report.states.iter().all(|(_, state)| is_settled(*state)), "seed {seed}: {:?}", report.states);
    }
}

/// A user that is lost between its greeting and its part of the beacon: the others greet again, and have a result.
#[test]
fn a_user_lost_while_the_beacon_is_made_is_left_out() {
    let lost = |user: u16, after: usize| Loss { party: Party::User(user), after };
    for (protocol, group_size) in
        [(Protocol::OneRound, 0), (Protocol::Beaver, 3), (Protocol::Survivors, 0), (Protocol::Sealed, 3), (Protocol::Lean, 0)]
    {
        let settings = Settings { protocol, group_size, chunk: 4, ..Settings::new(COORDINATES as u32) };
        let votes = votes(9, 4);
        let round = |losses: &[Loss]| {
            let mut session = session(&settings, 9, BeaconRule::CommitReveal, 5);
            session.round_with(&votes, Faults::losses(losses.iter().copied())).unwrap()
        };
        // It greets and is gone; or it reveals, and does not greet again because of another.
        for (losses, left) in [(vec![lost(3, 1)], 8), (vec![lost(3, 1), lost(5, 2)], 7)] {
            let report = round(&losses);
            let outcome = report.outcome.expect("a result of those who are left");
            assert!(report.faults.is_empty(), "{protocol}: {:?}", report.faults);
            assert!(outcome.survivors.len() == left && !outcome.survivors.contains(&3), "{protocol}: {outcome:?}");
            assert_eq!(report.accepted.iter().flatten().filter(|tally| **tally == outcome.tally).count(), left, "{protocol}");
            if group_size == 0 {
                let counted = outcome.survivors.iter().map(|&user| votes[usize::from(user)].as_slice());
                assert_eq!(outcome.tally, Tally::Vote(plain::flat(counted, Tie::Zero, &[]).unwrap()));
            }
        }
        // Who withdraws twice would choose among many beacons: the round ends.
        let report = round(&[lost(3, 1), lost(5, 3)]);
        assert!(report.outcome.is_none() && report.aborts.contains(&(Party::Aggregator, Reason::BeaconIncomplete)), "{report:?}");
        assert!(report.accepted.iter().all(Option::is_none));
    }
}

/// A second greeting makes a new beacon: what was revealed before is worth nothing.
#[test]
fn a_second_greeting_makes_another_beacon() {
    let settings = Settings { chunk: 4, ..Settings::new(COORDINATES as u32) };
    let mut session = session(&settings, 5, BeaconRule::CommitReveal, 5);
    session.keep_frames(Switch::On);
    let loss = Loss { party: Party::User(3), after: 1 };
    let frames = session.round_with(&votes(5, 4), Faults::losses([loss])).unwrap().frames;
    let parts = |step: u8| -> Vec<&[u8]> {
        let is_part = |frame: &&SentFrame| frame.to == Party::Aggregator && frame.bytes[4] == FrameKind::Beacon.code();
        frames.iter().filter(is_part).filter(|frame| frame.bytes[34] == step).map(|frame| &frame.bytes[HEADER_LENGTH..]).collect()
    };
    let (first, second) = (parts(0), parts(1));
    assert_eq!((first.len(), second.len()), (4, 4));
    assert!(second.iter().all(|part| !first.contains(part)));
}
