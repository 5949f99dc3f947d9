//! Seeded random streams: one seed, a named counter-based stream for each use.

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

/// The generator that a stream gives for one counter.
pub type StreamRng = ChaCha12Rng;

/// The seed of a run. From it every consumer of randomness derives a stream of its own by name, so that adding a consumer
/// never shifts the others.
///
/// Privacy noise and protocol randomness are **not** drawn from here: their key comes from the operating system.
///
/// ```
/// use rand::RngExt;
/// use thalweg_descent::Seed;
///
/// let batches = Seed(7).stream("batches");
/// let first: u64 = batches.at(3).random();
/// assert_eq!(first, Seed(7).stream("batches").at(3).random::<u64>());
/// assert_ne!(first, Seed(7).stream("initialisation").at(3).random::<u64>());
/// assert_ne!(first, batches.at(4).random::<u64>());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of that name.
    pub fn stream(self, name: &str) -> Stream {
        let mut hasher = blake3::Hasher::new_derive_key("thalweg 2026 named random stream");
        hasher.update(&self.0.to_le_bytes());
        hasher.update(name.as_bytes());
        Stream { key: *hasher.finalize().as_bytes() }
    }
}

/// A family of generators, one for each counter (a step, an epoch): its state is the counter alone, so there is nothing to save.
#[derive(Clone)]
pub struct Stream {
    key: [u8; 32],
}

/// Shows nothing of the key: it may come from a secret seed.
impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream(..)")
    }
}

impl Stream {
    /// The generator of a counter.
    pub fn at(&self, counter: u64) -> StreamRng {
        let mut rng = ChaCha12Rng::from_seed(self.key);
        rng.set_stream(counter);
        rng
    }
}
