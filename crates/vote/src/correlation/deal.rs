//! The dealer's part: what the holder's shares must be.

use super::{Entry, Recipe, Slot, Value};
use crate::Field;
use crate::evaluate::Block;
use crate::field::block::{self, Accumulator};
use crate::mac::{MacField, MacKey, mac_slot};
use crate::prg::{Context, Purpose, Seed, SessionId, StreamKey, Suite};
use crate::wiped::Wiped;

/// The place among `members` of the one that gets the corrections: it rotates.
pub const fn holder(round: u32, attempt: u16, members: usize) -> usize {
    ((round as u64 + attempt as u64) % members as u64) as usize
}

/// The keys of one member in one context.
#[derive(Clone, Debug)]
pub struct MemberKeys {
    /// For correlated randomness.
    pub correlation: StreamKey,
    /// For the signs that mask its votes.
    pub signs: StreamKey,
    /// For shares of authentication codes.
    pub macs: StreamKey,
}

impl MemberKeys {
    /// The keys of a seed in a context.
    pub fn derive(seed: &Seed, session: SessionId, context: Context) -> Self {
        let key = |purpose| seed.derive(session, purpose, context);
        Self { correlation: key(Purpose::Correlation), signs: key(Purpose::Signs), macs: key(Purpose::Macs) }
    }
}

/// What the dealer prepares for a chunk of a group.
#[derive(Clone, Copy, Debug)]
pub struct Deal<'a> {
    /// The vectors.
    pub recipe: &'a Recipe,
    /// The members' keys, in their order.
    pub keys: &'a [MemberKeys],
    /// The cipher.
    pub suite: Suite,
    /// The holder's place among the members.
    pub holder: usize,
    /// The chunk.
    pub chunk: u64,
    /// Its public coins, as many as it has coordinates.
    pub coins: &'a [i8],
    /// The field of authentication codes, if there are any.
    pub mac: Option<&'a MacField>,
}

impl Deal<'_> {
    /// The holder's shares: of the corrected vectors, ascending by slot, then of the authentication codes of each vector,
    /// ascending by slot and component.
    pub fn corrections(&self) -> Vec<Block> {
        let length = self.coins.len();
        let mut values: Vec<Block> = Vec::with_capacity(self.recipe.entries().len());
        let (mut corrections, mut codes) = (Vec::new(), Vec::new());
        let mac_key = self.mac.map(|field| MacKey::sum(field, self.keys.iter().map(|keys| &keys.macs), self.suite));
        for (place, entry) in self.recipe.entries().iter().enumerate() {
            let total = self.expanded(*entry, length);
            let value = match entry.value {
                Value::Uniform => total,
                _ => {
                    let value = self.value(*entry, &values, length);
                    let mut correction = value.clone();
                    block::subtract_assign(entry.field, &mut correction, &total);
                    corrections.push(correction);
                    value
                }
            };
            if let (Some(field), Some(key)) = (self.mac, &mac_key)
                && entry.value != Value::Zero
            {
                codes.extend(self.codes(*entry, &value, field, key));
            }
            values.push(value);
            release(self.recipe, place, &mut values);
        }
        corrections.append(&mut codes);
        corrections
    }

    /// The sum of the expanded shares: of all members, for corrected vectors of all but the holder.
    fn expanded(&self, entry: Entry, length: usize) -> Block {
        let all = !entry.value.is_corrected();
        let members = self.keys.iter().enumerate().filter(|&(member, _)| all || member != self.holder);
        self.sum(members.map(|(_, keys)| &keys.correlation), entry.slot, (entry.field, length))
    }

    /// The sum of the vectors of several keys.
    fn sum<'k>(&self, keys: impl Iterator<Item = &'k StreamKey>, slot: Slot, (field, length): (Field, usize)) -> Block {
        let mut sum = Accumulator::new(field, length);
        for key in keys {
            let mut bytes = sum.bytes();
            key.visit(self.suite, slot, self.chunk, (field, length), &mut |at, part| bytes.add(at, part));
        }
        let mut residues = Block::new(vec![0; length]);
        sum.finish(&mut residues);
        residues
    }

    /// What the shares of a corrected vector add up to.
    fn value(&self, entry: Entry, values: &[Block], length: usize) -> Block {
        match entry.value {
            Value::Product(a, b) => {
                let mut product = values[a].clone();
                block::multiply_assign(entry.field, &mut product, &values[b]);
                product
            }
            Value::Truth(place) => self.votes_at(place, &values[0], entry),
            Value::Sign(member) => {
                let mut signs = Wiped::new(vec![0; length]);
                self.keys[member].signs.expand_signs(self.suite, entry.slot, self.chunk, &mut signs);
                let mut elements = Block::new(vec![0; length]);
                block::from_votes(entry.field, &signs, &mut elements);
                elements
            }
            Value::Uniform | Value::Zero => Block::new(vec![0; length]),
        }
    }

    /// The votes at `place + r` as elements of the outer field, by comparison with every sum: r is secret.
    fn votes_at(&self, place: u8, mask: &[u8], entry: Entry) -> Block {
        let inner = self.recipe.field();
        let (mut votes, mut coin) = (Block::new(vec![0; mask.len()]), vec![0; mask.len()]);
        for &(sum, vote) in self.recipe.truth() {
            let at = inner.subtract(sum, place);
            if sum == 0 && self.recipe.has_coin() {
                block::from_votes(entry.field, self.coins, &mut coin);
                block::choose_where(&mut votes, &coin, mask, at);
            } else {
                coin.fill(entry.field.element(vote.into()));
                block::choose_where(&mut votes, &coin, mask, at);
            }
        }
        votes
    }

    /// The holder's shares of the codes `alpha value`, component by component.
    fn codes(&self, entry: Entry, value: &[u8], field: &MacField, key: &MacKey) -> Vec<Block> {
        let component = |i: usize| {
            let others = self.keys.iter().enumerate().filter(|&(member, _)| member != self.holder);
            let share = self.sum(others.map(|(_, keys)| &keys.macs), mac_slot(entry.slot, i), (entry.field, value.len()));
            let mut code = Accumulator::new(entry.field, value.len());
            code.add_scaled(key.component(i), value);
            let mut code_share = Block::new(vec![0; value.len()]);
            code.finish(&mut code_share);
            block::subtract_assign(entry.field, &mut code_share, &share);
            code_share
        };
        (0..field.degree()).map(component).collect()
    }
}

/// Frees the values that no later vector needs.
fn release(recipe: &Recipe, place: usize, values: &mut [Block]) {
    for (earlier, value) in values.iter_mut().enumerate() {
        if !value.is_empty() && recipe.last_use(earlier).is_none_or(|last| last <= place) {
            *value = Block::default();
        }
    }
}
