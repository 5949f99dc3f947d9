//! The check of authentication codes: `sum_u sigma_u = 0` for a random combination of all opened values.
//!
//! Members commit to coins, then reveal them; the coins fix the combination. Each commits to its `sigma_u`, then reveals it. Nobody
//! sees the combination before the values are fixed, nor another's sigma before its own is.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::ending::Gate;
use super::leg::Leg;
use super::voting::Voting;
use super::{Client, State};
use crate::correlation::{CorrelationSource, Missing, SIGN_MASKS, Slot};
use crate::evaluate::{Block, weight_tables};
use crate::field::block::{self, Accumulator};
use crate::field::lookup::look_up;
use crate::mac::{MacField, MacKey, mac_slot};
use crate::machine::Action;
use crate::prg::{StreamKey, Suite};
use crate::scene::{Scene, check_group, check_step, with_elements};
use crate::settings::Settings;
use crate::wire::{Fault, Frame, FrameKind, Header, MacOpening, Party};
use crate::{Encoding, Polynomial};

/// The two commitments of a check, told apart by the frame's first coordinate.
const COIN: u32 = 0;
const SIGMA: u32 = 1;

/// The openings of one of the two commitments.
#[derive(Default)]
struct Exchange {
    commitments: BTreeMap<u16, [u8; 32]>,
    openings: BTreeMap<u16, MacOpening>,
}

/// A check under way.
pub(super) struct Check {
    user: u16,
    group: u16,
    step: u16,
    members: Vec<u16>,
    coin: Zeroizing<[u8; 32]>,
    sigma_nonce: Zeroizing<[u8; 32]>,
    exchanges: [Exchange; 2],
}

/// What binds a member to an opening.
pub(crate) fn commitment(user: u16, step: u16, opening: &MacOpening) -> [u8; 32] {
    Sha256::new_with_prefix(b"thalweg-vote mac v1")
        .chain_update(user.to_le_bytes())
        .chain_update(step.to_le_bytes())
        .chain_update(&opening.elements)
        .chain_update(opening.nonce)
        .finalize()
        .into()
}

impl Check {
    pub(super) fn new(user: u16, (group, step): (u16, u16), members: &[u16], own: &StreamKey) -> Self {
        let slot = 16 + 2 * u32::from(step);
        let mut check = Self {
            user,
            group,
            step,
            members: members.to_vec(),
            coin: own.nonce(slot),
            sigma_nonce: own.nonce(slot + 1),
            exchanges: [Exchange::default(), Exchange::default()],
        };
        let opening = check.coin_opening();
        check.keep_own(COIN, opening);
        check
    }

    fn coin_opening(&self) -> MacOpening {
        MacOpening { elements: Vec::new(), nonce: *self.coin }
    }

    fn keep_own(&mut self, which: u32, opening: MacOpening) {
        let exchange = &mut self.exchanges[which as usize];
        exchange.commitments.insert(self.user, commitment(self.user, self.step, &opening));
        exchange.openings.insert(self.user, opening);
    }

    pub(super) fn commit_to_coin(&self, scene: &Scene) -> Vec<u8> {
        self.commit(scene, COIN)
    }

    fn header(&self, scene: &Scene, kind: FrameKind, which: u32) -> Header {
        Header { offset: which, ..scene.header(kind, self.group, self.step) }
    }

    fn commit(&self, scene: &Scene, which: u32) -> Vec<u8> {
        let commitment = self.exchanges[which as usize].commitments[&self.user];
        self.header(scene, FrameKind::MacCommit, which).frame(|bytes| bytes.extend_from_slice(&commitment))
    }

    fn reveal(&self, scene: &Scene, which: u32, field: &MacField) -> Vec<u8> {
        let opening = &self.exchanges[which as usize].openings[&self.user];
        let header = self.header(scene, FrameKind::MacOpen, which);
        let length = opening.elements.len() as u32;
        let header = if length == 0 { header } else { Header { length, ..with_elements(header, Encoding::Bits, field.base()) } };
        header.frame(|bytes| opening.write(bytes))
    }

    /// Takes a relayed frame; gives whether that completes the commitments or the openings it belongs to.
    fn take(&mut self, frame: &Frame<'_>, field: &MacField) -> Result<bool, Fault> {
        check_group(&frame.header, self.group)?;
        check_step(&frame.header, self.step)?;
        let Party::User(user) = frame.header.sender else { return Err(Fault::NotAMember(frame.header.sender)) };
        if user == self.user || self.members.binary_search(&user).is_err() {
            return Err(Fault::NotAMember(frame.header.sender));
        }
        let kind = frame.header.kind;
        let which = frame.header.offset;
        let exchange = self
            .exchanges
            .get_mut(which as usize)
            .ok_or(Fault::BadPayload { what: "the part of the check", found: which.to_string() })?;
        let everyone = self.members.len();
        if kind == FrameKind::MacCommit {
            frame.check_length(32)?;
            let mut digest = [0; 32];
            digest.copy_from_slice(frame.payload);
            return match exchange.commitments.insert(user, digest) {
                None => Ok(exchange.commitments.len() == everyone),
                Some(_) => Err(Fault::Duplicate(kind)),
            };
        }
        if exchange.commitments.len() < everyone {
            return Err(Fault::WrongState { kind, state: "checking, before all commitments".into() });
        }
        let elements = if which == COIN { 0 } else { field.degree() };
        let opening = MacOpening::read(frame, elements, field.base().order())?;
        if exchange.commitments.get(&user) != Some(&commitment(user, self.step, &opening)) {
            return Err(Fault::CommitmentMismatch(user));
        }
        match exchange.openings.insert(user, opening) {
            None => Ok(exchange.openings.len() == everyone),
            Some(_) => Err(Fault::Duplicate(kind)),
        }
    }

    /// The key of the combination: a digest of all coins.
    fn combination(&self) -> StreamKey {
        let start = Sha256::new_with_prefix(b"thalweg-vote mac combination v1").chain_update(self.step.to_le_bytes());
        let digest = self.exchanges[COIN as usize].openings.values().fold(start, |digest, coin| digest.chain_update(coin.nonce));
        StreamKey::from_bytes(digest.finalize().into())
    }

    fn adds_up(&self, field: &MacField) -> bool {
        let mut sum = vec![0; field.degree()];
        for opening in self.exchanges[SIGMA as usize].openings.values() {
            block::add_assign(field.base(), &mut sum, &opening.elements);
        }
        sum.iter().all(|&component| component == 0)
    }
}

/// A user's shares of codes.
struct Codes<'a> {
    leg: &'a Leg,
    suite: Suite,
}

impl Codes<'_> {
    fn share(&self, slot: Slot, component: usize, chunk: u64, share: &mut [u8]) -> Result<(), Missing> {
        let slot = mac_slot(slot, component);
        if self.leg.is_holder {
            return self.leg.codes.share(slot, chunk, share);
        }
        self.leg.mac_key.expand(self.suite, slot, chunk, self.leg.circuit.field(), share);
        Ok(())
    }

    /// The code of `D = sum_i f_i b_i - r`.
    fn of_opening(&self, component: usize, chunk: u64, flags: &[Vec<i8>]) -> Result<Block, Missing> {
        let field = self.leg.circuit.field();
        let length = flags.first().map_or(0, Vec::len);
        let (mut sum, mut share, mut elements) = (Accumulator::new(field, length), Block::new(vec![0; length]), vec![0; length]);
        for (slot, flags) in (SIGN_MASKS..).zip(flags) {
            self.share(slot, component, chunk, &mut share)?;
            block::from_votes(field, flags, &mut elements);
            sum.add_product(&elements, &share);
        }
        let mut code = Block::new(vec![0; length]);
        sum.finish(&mut code);
        self.share(0, component, chunk, &mut share)?;
        block::subtract_assign(field, &mut code, &share);
        Ok(code)
    }

    /// The code of `F = sum_j w_j(D) r^j`, the constant with the share of the key.
    fn of_result(&self, component: usize, chunk: u64, difference: &[u8], coins: &[i8], key: &MacKey) -> Result<Block, Missing> {
        let field = self.leg.circuit.field();
        let majority = self.leg.circuit.majority();
        let mut code = self.of_polynomial(majority.base(), component, chunk, difference, key)?;
        if let Some(on_tie) = majority.on_tie() {
            let on_tie = self.of_polynomial(on_tie, component, chunk, difference, key)?;
            let mut elements = vec![0; coins.len()];
            block::from_votes(field, coins, &mut elements);
            block::multiply_add_assign(field, &mut code, &on_tie, &elements);
        }
        Ok(code)
    }

    fn of_polynomial(
        &self,
        polynomial: &Polynomial,
        component: usize,
        chunk: u64,
        difference: &[u8],
        key: &MacKey,
    ) -> Result<Block, Missing> {
        let length = difference.len();
        let (mut sum, mut share) = (Accumulator::new(polynomial.field(), length), Block::new(vec![0; length]));
        let mut weights = vec![0; length];
        for (j, table) in weight_tables(polynomial).iter().enumerate() {
            look_up(table, difference, &mut weights);
            match j {
                0 => sum.add_scaled(key.component(component), &weights),
                _ => {
                    self.share(j as Slot - 1, component, chunk, &mut share)?;
                    sum.add_product(&weights, &share);
                }
            }
        }
        sum.finish(&mut share);
        Ok(share)
    }
}

impl Voting {
    /// `sigma_u = sum_c rho_c (code_{u,c} - alpha_u z_c)` over all coordinates.
    fn sigma(&self, settings: &Settings, field: &MacField, rho: &StreamKey, of_result: bool) -> Result<Vec<u8>, Missing> {
        let leg = &self.legs[0];
        let (base, k) = (field.base(), field.degree());
        let key = MacKey::share(field, &leg.mac_key, settings.suite);
        let codes = Codes { leg, suite: settings.suite };
        let (mut product, mut combined) = (vec![0; 2 * k - 1], vec![0; k]);
        for (chunk, progress) in self.chunks.iter().enumerate() {
            let range = settings.chunk_range(chunk);
            let (at, length) = (chunk as u64, range.len());
            let rhos: Vec<Vec<u8>> = (0..k)
                .map(|i| {
                    let mut component = vec![0; length];
                    rho.expand(Suite::ChaCha20, i as u32, at, base, &mut component);
                    component
                })
                .collect();
            let mut values = vec![0; length];
            match of_result {
                true => block::from_votes(base, &self.results.votes[range.clone()], &mut values),
                false => values.copy_from_slice(&progress.opened),
            }
            for j in 0..k {
                let code = match of_result {
                    true => codes.of_result(j, at, &progress.opened, &self.coins.of(range.clone()), &key)?,
                    false => codes.of_opening(j, at, &progress.flags)?,
                };
                for (i, rho) in rhos.iter().enumerate() {
                    product[i + j] = base.add(product[i + j], block::dot(base, rho, &code));
                }
            }
            for (combined, rho) in combined.iter_mut().zip(&rhos) {
                *combined = base.add(*combined, block::dot(base, rho, &values));
            }
        }
        let mut sigma = field.reduce(product);
        block::subtract_assign(base, &mut sigma, &field.multiply(key.components(), &combined));
        Ok(sigma)
    }
}

impl Client {
    /// A member's part of the check, relayed by the aggregator.
    pub(super) fn take_check(&mut self, frame: &Frame<'_>) -> Result<Vec<Action>, Fault> {
        self.scene.check(&frame.header)?;
        let settings = self.config.settings.clone();
        let State::Voting(voting) = &mut self.state else { return Err(self.wrong_state(frame.header.kind)) };
        let (Some(mut check), Some(field)) = (voting.check.take(), voting.mac) else {
            return Err(self.wrong_state(frame.header.kind));
        };
        if !check.take(frame, &field)? {
            voting.check = Some(check);
            return Ok(Vec::new());
        }
        let is_coin = frame.header.offset == COIN;
        let reply = match (frame.header.kind, is_coin) {
            (FrameKind::MacCommit, _) => check.reveal(&self.scene, frame.header.offset, &field),
            (_, true) => {
                let elements = voting.sigma(&settings, &field, &check.combination(), voting.is_result_known())?;
                let opening = MacOpening { elements, nonce: *check.sigma_nonce };
                check.keep_own(SIGMA, opening);
                check.commit(&self.scene, SIGMA)
            }
            _ if check.adds_up(&field) => return self.pass_check(),
            _ => return Err(Fault::MacFailure),
        };
        voting.check = Some(check);
        Ok(self.send_all([reply]))
    }

    /// The codes add up: of the openings, and shares of the result leave; or of the result, and it is accepted.
    fn pass_check(&mut self) -> Result<Vec<Action>, Fault> {
        let settings = self.config.settings.clone();
        let timer = self.set_timer();
        let State::Voting(voting) = &mut self.state else { return Ok(Vec::new()) };
        voting.gate = Gate::Open;
        if !voting.is_result_known() {
            let mut actions = vec![timer];
            actions.extend(self.finish_if_ready()?);
            return Ok(actions);
        }
        if voting.plan.groups == 1 {
            let results = std::mem::take(&mut voting.results);
            return Ok(self.done(results));
        }
        voting.results = super::Results::new(&settings);
        voting.results.whole_round = true;
        Ok(vec![timer])
    }
}
