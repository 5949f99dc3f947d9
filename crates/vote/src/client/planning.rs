//! From a plan to a vote: the plan is refused unless it is what was agreed, and both aggregator and dealer have sent it.

use super::voting::Voting;
use super::{Ballot, BeaconRule, Client, State};
use crate::grouping::{self, Beacon};
use crate::machine::{Action, UseMark};
use crate::wire::{Fault, Frame, FrameKind, Header, Party, RoundPlan};

/// What a user knows while it waits for the plan.
pub(super) struct Planning {
    pub(super) ballot: Ballot,
    /// The users of the round, ascending.
    users: Vec<u16>,
    /// The beacon, where the users made it.
    beacon: Option<Beacon>,
    by_aggregator: Option<Vec<u8>>,
    by_dealer: Option<Vec<u8>>,
    /// Corrections that came before the aggregator's plan.
    early: Vec<Vec<u8>>,
}

impl Planning {
    pub(super) const fn new(ballot: Ballot, users: Vec<u16>, beacon: Option<Beacon>) -> Self {
        Self { ballot, users, beacon, by_aggregator: None, by_dealer: None, early: Vec::new() }
    }

    /// Keeps a plan; a second one from the same party is refused.
    fn keep(&mut self, bytes: &[u8], from: Party) -> Result<(), Fault> {
        let place = if from == Party::Dealer { &mut self.by_dealer } else { &mut self.by_aggregator };
        match place {
            Some(_) => Err(Fault::Duplicate(FrameKind::RoundPlan)),
            None => {
                *place = Some(bytes.to_vec());
                Ok(())
            }
        }
    }

    pub(super) fn keep_early(&mut self, bytes: &[u8], kind: FrameKind, most: usize) -> Result<(), Fault> {
        if self.by_dealer.is_none() || self.early.len() >= most {
            return Err(Fault::WrongState { kind, state: "planned, without the dealer's plan".into() });
        }
        self.early.push(bytes.to_vec());
        Ok(())
    }
}

impl Client {
    pub(super) fn take_plan(&mut self, frame: &Frame<'_>, bytes: &[u8], from: Party) -> Result<Vec<Action>, Fault> {
        if frame.header.round != self.scene.round {
            return Err(Fault::WrongRound { found: frame.header.round, expected: self.scene.round });
        }
        if frame.header.attempt == self.scene.attempt + 1 && matches!(self.state, State::Voting(_)) {
            return self.take_next_attempt(bytes, from);
        }
        self.scene.check(&frame.header)?;
        let State::Planning(planning) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        planning.keep(bytes, from)?;
        self.start_if_agreed()
    }

    /// The plan of a second attempt. The dealer's may come first; the aggregator's ends the first attempt.
    fn take_next_attempt(&mut self, bytes: &[u8], from: Party) -> Result<Vec<Action>, Fault> {
        let State::Voting(voting) = &mut self.state else { return Ok(Vec::new()) };
        if from == Party::Dealer {
            return match voting.next_plan.replace(bytes.to_vec()) {
                None => Ok(Vec::new()),
                Some(_) => Err(Fault::Duplicate(FrameKind::RoundPlan)),
            };
        }
        if voting.ballot.final_sent {
            return Err(Fault::RestartRefused("a share of the result has left; two results would reveal a difference of votes"));
        }
        if self.scene.attempt > 0 {
            return Err(Fault::RestartRefused("a round is restarted once at most"));
        }
        let State::Voting(voting) = std::mem::replace(&mut self.state, State::Idle) else { return Ok(Vec::new()) };
        let Voting { ballot, users, beacon, next_plan, early, .. } = *voting;
        self.scene.attempt += 1;
        let by_aggregator = Some(bytes.to_vec());
        self.state = State::Planning(Box::new(Planning { ballot, users, beacon, by_aggregator, by_dealer: next_plan, early }));
        self.start_if_agreed()
    }

    fn start_if_agreed(&mut self) -> Result<Vec<Action>, Fault> {
        let State::Planning(planning) = &self.state else { return Ok(Vec::new()) };
        let (Some(by_aggregator), Some(by_dealer)) = (&planning.by_aggregator, &planning.by_dealer) else {
            return Ok(Vec::new());
        };
        if by_aggregator != by_dealer {
            return Err(Fault::PlanDiffers("the dealer was given another plan"));
        }
        let frame = Frame::parse(by_aggregator)?;
        let plan = RoundPlan::read(&frame, self.config.settings.unsent())?;
        self.check_plan(&plan, &frame.header, planning)?;
        let drawn = (self.config.settings.regroup.drawn_in(self.scene.round), plan.beacon);
        let mark = UseMark { round: self.scene.round, attempt: self.scene.attempt };
        if self.last_used.is_some_and(|last| mark <= last) {
            return Err(Fault::AlreadyUsed { round: mark.round, attempt: mark.attempt });
        }
        let seed = self.seed.clone().ok_or_else(|| self.wrong_state(FrameKind::RoundPlan))?;
        let group = frame.header.group;
        let State::Planning(planning) = std::mem::replace(&mut self.state, State::Idle) else { return Ok(Vec::new()) };
        let Planning { ballot, users, beacon, by_aggregator, early, .. } = *planning;
        let plan = (plan, group, by_aggregator.unwrap_or_default());
        let voting = Voting::new(&self.config, &self.scene, &seed, plan, (ballot, users, beacon))?;
        self.state = State::Voting(Box::new(voting));
        self.last_used = Some(mark);
        self.drawn = Some(drawn);
        let mut actions = vec![Action::Persist(mark), self.set_timer()];
        for bytes in early {
            let frame = Frame::parse(&bytes)?;
            self.scene.check(&frame.header)?;
            actions.extend(self.take_correction(&frame, &bytes)?);
        }
        actions.extend(self.start_if_ready()?);
        Ok(actions)
    }

    /// Checks everything that a plan says.
    fn check_plan(&self, plan: &RoundPlan, header: &Header, planning: &Planning) -> Result<(), Fault> {
        let settings = &self.config.settings;
        if plan.settings != *settings {
            return Err(Fault::PlanDiffers("settings"));
        }
        if plan.roster != self.config.roster.digest() {
            return Err(Fault::PlanDiffers("roster"));
        }
        if self.config.beacon == BeaconRule::CommitReveal && planning.beacon != Some(plan.beacon) {
            return Err(Fault::BeaconDiffers);
        }
        let drawn_in = settings.regroup.drawn_in(header.round);
        if self.drawn.is_some_and(|(round, beacon)| round == drawn_in && beacon != plan.beacon) {
            return Err(Fault::BeaconDiffers);
        }
        if usize::from(plan.users) != planning.users.len() {
            return Err(Fault::PlanDiffers("the number of users"));
        }
        if plan.members.binary_search(&self.config.user).is_err() {
            return Err(Fault::NotAMember(Party::User(self.config.user)));
        }
        if plan.members.len() < usize::from(settings.min_group) {
            return Err(Fault::PlanDiffers("the group is smaller than the least group"));
        }
        let groups = settings.group_sizes(planning.users.len()).len();
        if usize::from(plan.groups) != groups {
            return Err(Fault::PlanDiffers("the number of groups"));
        }
        if header.attempt > 0 {
            return self.check_restart(plan, header, planning);
        }
        if groups == 1 {
            return if header.group == 0 && plan.members == planning.users { Ok(()) } else { Err(Fault::GroupingDiffers) };
        }
        let drawn = grouping::draw(&plan.beacon, self.config.session, drawn_in, planning.users.len(), groups);
        let drawn = drawn.map_err(|_| Fault::PlanDiffers("the number of groups"))?;
        let group = drawn.get(usize::from(header.group)).ok_or(Fault::WrongGroup(header.group))?;
        let members = group.iter().map(|&place| planning.users[usize::from(place)]);
        if members.eq(plan.members.iter().copied()) { Ok(()) } else { Err(Fault::GroupingDiffers) }
    }

    /// A second attempt is the flat vote of some of the users.
    fn check_restart(&self, plan: &RoundPlan, header: &Header, planning: &Planning) -> Result<(), Fault> {
        if plan.groups != 1 || header.group != 0 {
            return Err(Fault::RestartRefused("a group that lost a member counts as 0"));
        }
        if plan.members.iter().any(|user| planning.users.binary_search(user).is_err()) {
            return Err(Fault::GroupingDiffers);
        }
        if plan.members.len() < usize::from(self.config.settings.min_survivors) {
            return Err(Fault::BadSurvivors("fewer users than were agreed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Event, Machine};
    use crate::{Aggregator, Dealer, Protocol, Regroup, Settings, Simulation, SimulationConfig};

    const USERS: usize = 12;

    /// The machines of a session that draws groups so; those of another have the same keys.
    fn machines(regroup: &str) -> (Client, Aggregator, Dealer, [Beacon; 8]) {
        let regroup: Regroup = regroup.parse().unwrap();
        let settings = Settings { protocol: Protocol::Beaver, group_size: 3, regroup, ..Settings::new(5) };
        let config = SimulationConfig { insecure_seed: Some(4), ..SimulationConfig::new(settings, USERS) };
        let session = Simulation::new(config).unwrap();
        let beacons = std::array::from_fn(|round| session.given_beacon(round as u32));
        let (client, aggregator, dealer) = session.into_machines(0).unwrap();
        (client, aggregator, dealer, beacons)
    }

    fn to_users(actions: Vec<Action>) -> Vec<Vec<u8>> {
        let frame = |action| match action {
            Action::Send { to: Party::User(0), frame } => Some(frame.to_vec()),
            _ => None,
        };
        actions.into_iter().filter_map(frame).collect()
    }

    /// Lets a client take the plan of a round under a beacon.
    fn plan(
        client: &mut Client,
        aggregator: &mut Aggregator,
        dealer: &mut Dealer,
        round: u32,
        beacon: Beacon,
    ) -> Result<(), Fault> {
        client.abandon();
        aggregator.abandon();
        client.begin(round, &[1, -1, 1, 1, -1]).unwrap();
        let actions = aggregator.begin(round, Some(beacon)).unwrap();
        for action in &actions {
            if let Action::Send { to: Party::Dealer, frame } = action {
                for bytes in to_users(dealer.handle(Event::Frame { from: Party::Aggregator, bytes: frame }).unwrap()) {
                    client.handle(Event::Frame { from: Party::Dealer, bytes: &bytes })?;
                }
            }
        }
        for bytes in to_users(actions) {
            client.handle(Event::Frame { from: Party::Aggregator, bytes: &bytes })?;
        }
        Ok(())
    }

    #[test]
    fn groups_of_another_round_than_was_agreed_are_refused() {
        for agreed in ["every", "fixed", "2"] {
            for drawn in ["every", "fixed", "2"] {
                let (mut client, ..) = machines(agreed);
                // The aggregator takes the beacons that were agreed, and draws as it likes.
                let (_, mut aggregator, mut dealer, _) = machines(drawn);
                let (_, _, _, beacons) = machines(agreed);
                let rounds = (0..8).map(|round| plan(&mut client, &mut aggregator, &mut dealer, round, beacons[round as usize]));
                let first = rounds.enumerate().find_map(|(round, result)| result.err().map(|fault| (round, fault)));
                let same = (0..8).find(|&round| {
                    let drawn_in = |name: &str| name.parse::<Regroup>().unwrap().drawn_in(round);
                    drawn_in(agreed) != drawn_in(drawn)
                });
                assert_eq!(first.as_ref().map(|(round, _)| *round as u32), same, "{agreed} {drawn} {first:?}");
                assert!(first.is_none_or(|(_, fault)| matches!(fault, Fault::GroupingDiffers)), "{agreed} {drawn}");
            }
        }
    }

    #[test]
    fn a_beacon_that_changes_before_groups_are_drawn_anew_is_refused() {
        let (mut client, mut aggregator, mut dealer, beacons) = machines("2");
        assert_eq!((beacons[0], beacons[2]), (beacons[1], beacons[3]));
        assert_ne!(beacons[1], beacons[2]);
        plan(&mut client, &mut aggregator, &mut dealer, 0, beacons[0]).unwrap();
        let result = plan(&mut client, &mut aggregator, &mut dealer, 1, beacons[2]);
        assert!(matches!(result, Err(Fault::BeaconDiffers)), "{result:?}");
        plan(&mut client, &mut aggregator, &mut dealer, 2, beacons[2]).unwrap();
    }

    #[test]
    fn users_who_make_each_beacon_draw_in_each_round() {
        let settings = |regroup| Settings { protocol: Protocol::Beaver, group_size: 3, regroup, ..Settings::new(5) };
        let new = |regroup| {
            let config = SimulationConfig::new(settings(regroup), USERS);
            Simulation::new(SimulationConfig { beacon: BeaconRule::CommitReveal, ..config }).err().map(|error| error.to_string())
        };
        assert!(new(Regroup::Fixed).is_some_and(|error| error.contains("regroup fixed")));
        assert_eq!(new(Regroup::Every), None);
    }
}
