//! Where the randomness of a simulation comes from.

use crate::Result;
use crate::grouping::{Beacon, Regroup};
use crate::prg::{Context, Purpose, Seed, SessionId};

/// Seeds for all parties: from the operating system, or repeatable ones.
pub(super) struct Seeds(Option<Seed>);

impl Seeds {
    pub(super) fn new(insecure: Option<u64>) -> Result<Self> {
        let seed = insecure.map(|number| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            bytes[8..16].copy_from_slice(b"insecure");
            Seed::from_bytes(bytes)
        });
        Ok(Self(seed))
    }

    pub(super) fn bytes<const N: usize>(&self, number: u32) -> Result<[u8; N]> {
        let seed = match &self.0 {
            None => Seed::generate()?,
            Some(seed) => {
                let context = Context { round: number, attempt: 0, group: 0, user: 0 };
                Seed::from_bytes(*seed.derive(SessionId([0; 16]), Purpose::Own, context).nonce(0))
            }
        };
        let mut bytes = [0; N];
        bytes.copy_from_slice(&seed.bytes()[..N]);
        Ok(bytes)
    }

    /// What all parties may know.
    pub(super) fn public(&self, regroup: Regroup) -> Result<PublicRandomness> {
        Ok(PublicRandomness { session: SessionId(self.bytes(0)?), seed: Seed::from_bytes(self.bytes(2)?), regroup })
    }
}

/// The session's name and its beacons.
pub(super) struct PublicRandomness {
    pub(super) session: SessionId,
    seed: Seed,
    regroup: Regroup,
}

impl PublicRandomness {
    /// The beacon of a round: that of the round whose draw of groups holds.
    pub(super) fn beacon(&self, round: u32) -> Beacon {
        let context = Context { round: self.regroup.drawn_in(round), attempt: 0, group: 0, user: 0 };
        Beacon(*self.seed.derive(self.session, Purpose::Own, context).nonce(0))
    }
}
