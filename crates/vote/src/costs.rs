//! What a vote costs: the published model, and the bytes that our encoder writes.

use serde::{Deserialize, Serialize};

use crate::settings::Settings;
use crate::wire::HEADER_LENGTH;
use crate::{Circuit, Error, Protocol, Result};

/// What one user sends in a vote: openings and shares of the result, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Openings.
    pub openings: u64,
    /// Shares of the result.
    pub finals: u64,
    /// Frames that carry them.
    pub frames: u64,
}

impl Upload {
    /// Payloads and headers.
    pub const fn wire(&self) -> u64 {
        self.openings + self.finals + self.frames * HEADER_LENGTH as u64
    }

    fn add(&mut self, settings: &Settings, circuit: &Circuit, shares_result: bool) {
        for chunk in 0..settings.chunks() {
            let packed = settings.encoding.length(circuit.field(), settings.chunk_range(chunk).len()) as u64;
            self.openings += packed * circuit.all_openings() as u64;
            self.frames += circuit.levels() as u64;
            if shares_result {
                self.finals += packed;
                self.frames += 1;
            }
        }
    }
}

/// The upload of a member of a group of `members`, among `users`.
///
/// # Errors
/// [`Error::Value`] for too few or too many.
pub fn upload(settings: &Settings, users: usize, members: usize) -> Result<Upload> {
    let mut upload = Upload::default();
    match settings.protocol {
        Protocol::Sealed => {
            let (inner, outer) = settings.sealed_circuits(users, members)?;
            upload.add(settings, &inner, false);
            upload.add(settings, &outer, true);
        }
        Protocol::Survivors => upload.add(settings, &settings.survivors_circuit(users, users)?, true),
        _ => upload.add(settings, &settings.circuit(members)?, true),
    }
    if settings.options.sign_mask.is_on() {
        for chunk in 0..settings.chunks() {
            upload.openings += settings.chunk_range(chunk).len().div_ceil(8) as u64;
            upload.frames += 1;
        }
    }
    Ok(upload)
}

/// How much groups save against one group of all, in the same protocol.
///
/// Three countings, since the published total compares the members of *l* groups, one of each, with one user of the flat vote.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Savings {
    /// Of one user against one user.
    pub user: f64,
    /// Of one user in each group against one user of the flat vote: the published "total".
    pub total_paper: f64,
    /// Of all users against all users.
    pub total_all: f64,
}

impl Savings {
    /// From bytes or bits of the largest group, by group, and of the flat vote.
    fn new(sizes: &[usize], cost: impl Fn(usize) -> f64, flat: f64) -> Self {
        let largest = sizes.first().map_or(flat, |&size| cost(size));
        let of_all: f64 = sizes.iter().map(|&size| size as f64 * cost(size)).sum();
        let users: usize = sizes.iter().sum();
        Self {
            user: 1.0 - largest / flat,
            total_paper: 1.0 - sizes.len() as f64 * largest / flat,
            total_all: 1.0 - of_all / (users as f64 * flat),
        }
    }
}

/// What of an upload counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counting {
    /// The payload of openings: the published figures.
    Openings,
    /// Openings with their headers.
    OpeningsWithHeaders,
    /// The payload of openings and shares of the result.
    Payload,
    /// Everything.
    Wire,
}

impl Counting {
    fn of(self, upload: &Upload, chunks: u64) -> f64 {
        let bytes = match self {
            Self::Openings => upload.openings,
            Self::OpeningsWithHeaders => upload.openings + (upload.frames - chunks) * HEADER_LENGTH as u64,
            Self::Payload => upload.openings + upload.finals,
            Self::Wire => upload.wire(),
        };
        bytes as f64
    }
}

/// The savings of the settings' groups, in bytes that the encoder writes.
///
/// ```
/// use thalweg_vote::Settings;
/// use thalweg_vote::costs::{Counting, savings};
///
/// let savings = savings(&Settings::published(8_000), 24, Counting::Openings)?;
/// assert_eq!((savings.user, savings.total_paper), (0.94, 0.52));
/// # Ok::<(), thalweg_vote::Error>(())
/// ```
///
/// # Errors
/// [`Error::Value`] for too few or too many users; [`Error::Unsuitable`] if the flat vote sends nothing that counts.
pub fn savings(settings: &Settings, users: usize, counting: Counting) -> Result<Savings> {
    let chunks = settings.chunks() as u64;
    let flat_settings = Settings { group_size: 0, ..settings.clone() };
    let flat = counting.of(&upload(&flat_settings, users, users)?, chunks);
    if flat == 0.0 {
        return Err(Error::unsuitable("a saving", format!("the flat vote of {users} users opens nothing")));
    }
    let sizes = settings.group_sizes(users);
    let costs: Vec<f64> =
        sizes.iter().map(|&size| Ok(counting.of(&upload(settings, users, size)?, chunks))).collect::<Result<_>>()?;
    let cost = |size: usize| sizes.iter().position(|&other| other == size).map_or(flat, |at| costs[at]);
    Ok(Savings::new(&sizes, cost, flat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Encoding;

    fn percent(share: f64) -> f64 {
        (share * 1e5).round() / 1e3
    }

    #[test]
    fn published_reductions_to_the_last_digit() {
        let settings = Settings::published(8_000);
        let savings = |settings: &Settings, counting| savings(settings, 24, counting).unwrap();
        let openings = savings(&settings, Counting::Openings);
        assert_eq!((percent(openings.user), percent(openings.total_paper), percent(openings.total_all)), (94.0, 52.0, 94.0));
        let with_headers = savings(&settings, Counting::OpeningsWithHeaders);
        assert_eq!((percent(with_headers.user), percent(with_headers.total_paper)), (93.959, 51.674));
        let payload = savings(&settings, Counting::Payload);
        assert_eq!(((payload.user * 1e4).round(), (payload.total_paper * 1e4).round()), (9_268.0, 4_146.0));
        let lean = savings(&Settings { protocol: Protocol::Lean, ..settings.clone() }, Counting::Openings);
        assert_eq!(((lean.user * 1e4).round(), (lean.total_paper * 1e4).round()), (9_143.0, 3_143.0));
        let four = savings(&Settings { group_size: 4, ..settings.clone() }, Counting::Openings);
        assert_eq!((percent(four.user), percent(four.total_paper)), (94.0, 64.0));
        let base_p = savings(&Settings { encoding: Encoding::BaseP, ..settings }, Counting::Openings);
        assert_eq!(((base_p.user * 1e4).round(), (base_p.total_paper * 1e4).round()), (9_518.0, 6_148.0));
    }

    #[test]
    fn at_least_94_percent_from_24_users_on_and_losses_below() {
        for users in (24..=99).step_by(3) {
            let saving = savings(&Settings::published(8_000), users, Counting::Openings).unwrap().user;
            assert!((0.94 - 1e-12..=0.9885).contains(&saving), "{users}: {saving}");
            assert_eq!(percent(saving) == 94.0, users <= 30);
        }
        let six = savings(&Settings::published(8_000), 6, Counting::Openings).unwrap();
        assert_eq!((percent(six.user), percent(six.total_paper)), (33.333, -33.333));
    }

    #[test]
    fn uploads_of_the_published_table() {
        let cases = [
            (8_000, 24, Protocol::Beaver, Encoding::Bits, 200_000, 5_000, 205_288),
            (8_000, 3, Protocol::Beaver, Encoding::Bits, 12_000, 3_000, 15_144),
            (8_000, 4, Protocol::Beaver, Encoding::Bits, 12_000, 3_000, 15_144),
            (8_000, 24, Protocol::Lean, Encoding::Bits, 70_000, 5_000, 75_288),
            (8_000, 3, Protocol::Lean, Encoding::Bits, 6_000, 3_000, 9_144),
            (8_000, 24, Protocol::OneRound, Encoding::Bits, 5_000, 5_000, 10_096),
            (8_000, 24, Protocol::OneRound, Encoding::BaseP, 4_924, 4_924, 9_944),
            (8_000, 3, Protocol::Beaver, Encoding::BaseP, 9_484, 2_371, 11_999),
            (7_850, 24, Protocol::Beaver, Encoding::Bits, 196_280, 4_907, 201_475),
            (7_850, 3, Protocol::Beaver, Encoding::Bits, 11_776, 2_944, 14_864),
            (1_000_000, 24, Protocol::Beaver, Encoding::Bits, 25_000_000, 625_000, 25_629_608),
            (1_000_000, 3, Protocol::Beaver, Encoding::Bits, 1_500_000, 375_000, 1_877_304),
            (1_000_000, 24, Protocol::OneRound, Encoding::BaseP, 615_387, 615_387, 1_232_310),
        ];
        for (coordinates, members, protocol, encoding, openings, finals, wire) in cases {
            let settings = Settings { protocol, encoding, ..Settings::new(coordinates) };
            let upload = upload(&settings, 24, members).unwrap();
            assert_eq!(
                (upload.openings, upload.finals, upload.wire()),
                (openings, finals, wire),
                "{protocol} {members} {coordinates}"
            );
        }
    }
}
