//! What goes wrong on the way, by script or by a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

use crate::machine::FrameBytes;
use crate::wire::Party;

/// What happens to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It never arrives.
    Drop,
    /// It arrives late, after frames that were sent later.
    Delay(Duration),
    /// It arrives twice, the second time after a while.
    Duplicate(Duration),
    /// A bit of it is flipped: the bit of this number, modulo its length.
    Flip(usize),
    /// It is cut to this length, modulo its own.
    Cut(usize),
    /// It goes to another user.
    Misdeliver(u16),
}

/// A party that stops for good: it neither sends nor receives after this many frames it has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Who.
    pub party: Party,
    /// The frames it still sends.
    pub after: usize,
}

/// The mishaps of a round.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    mishaps: BTreeMap<usize, Mishap>,
    losses: Vec<Loss>,
    sent: usize,
    sent_by: BTreeMap<Party, usize>,
}

/// A frame on its way.
pub(super) struct Fate {
    pub(super) to: Party,
    pub(super) bytes: FrameBytes,
    pub(super) delay: Duration,
}

impl Faults {
    /// None.
    pub const fn none() -> Self {
        Self { mishaps: BTreeMap::new(), losses: Vec::new(), sent: 0, sent_by: BTreeMap::new() }
    }

    /// Parties that stop.
    pub fn losses(losses: impl IntoIterator<Item = Loss>) -> Self {
        Self { losses: losses.into_iter().collect(), ..Self::none() }
    }

    /// Mishaps of the frames with these numbers, counted from 0 in the order of sending.
    pub fn mishaps(mishaps: impl IntoIterator<Item = (usize, Mishap)>) -> Self {
        Self { mishaps: mishaps.into_iter().collect(), ..Self::none() }
    }

    /// `count` mishaps of any kind among the first `frames` frames, from a seed.
    pub fn random(seed: u64, count: usize, frames: usize, users: u16) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut stream = ChaCha20::new(&key.into(), &[0; 12].into());
        let mut below = |bound: usize| {
            let mut word = [0; 8];
            stream.apply_keystream(&mut word);
            (u64::from_le_bytes(word) % bound.max(1) as u64) as usize
        };
        let mut mishap = || {
            let at = below(frames);
            let delay = Duration::from_millis(1 + below(12_000) as u64);
            let mishap = match below(6) {
                0 => Mishap::Drop,
                1 => Mishap::Delay(delay),
                2 => Mishap::Duplicate(delay),
                3 => Mishap::Flip(below(1 << 20)),
                4 => Mishap::Cut(below(1 << 20)),
                _ => Mishap::Misdeliver(below(users.into()) as u16),
            };
            (at, mishap)
        };
        Self::mishaps((0..count).map(|_| mishap()).collect::<Vec<_>>())
    }

    /// Without some of them.
    #[must_use]
    pub fn without(mut self, unwanted: impl Fn(&Mishap) -> bool) -> Self {
        self.mishaps.retain(|_, mishap| !unwanted(mishap));
        self
    }

    pub(super) fn is_lost(&self, party: Party) -> bool {
        let sent = self.sent_by.get(&party).copied().unwrap_or_default();
        self.losses.iter().any(|loss| loss.party == party && sent >= loss.after)
    }

    /// What becomes of a frame.
    pub(super) fn send(&mut self, from: Party, to: Party, bytes: FrameBytes) -> Vec<Fate> {
        if self.is_lost(from) {
            return Vec::new();
        }
        *self.sent_by.entry(from).or_default() += 1;
        let number = self.sent;
        self.sent += 1;
        let fate = |to: Party, bytes: FrameBytes, delay: Duration| Fate { to, bytes, delay };
        let Some(&mishap) = self.mishaps.get(&number) else { return vec![fate(to, bytes, Duration::ZERO)] };
        match mishap {
            Mishap::Drop => Vec::new(),
            Mishap::Delay(delay) => vec![fate(to, bytes, delay)],
            Mishap::Duplicate(delay) => vec![fate(to, bytes.clone(), Duration::ZERO), fate(to, bytes, delay)],
            Mishap::Flip(bit) => {
                let mut flipped = bytes.to_vec();
                let bit = bit % (8 * flipped.len());
                flipped[bit / 8] ^= 1 << (bit % 8);
                vec![fate(to, flipped.into(), Duration::ZERO)]
            }
            Mishap::Cut(length) => vec![fate(to, bytes[..length % bytes.len()].into(), Duration::ZERO)],
            Mishap::Misdeliver(user) => vec![fate(Party::User(user), bytes, Duration::ZERO)],
        }
    }
}
