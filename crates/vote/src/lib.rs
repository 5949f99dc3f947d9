//! Secure majority vote on gradient signs.
//!
//! n users hold signs `x_i` in {-1, +1}^d and want `sign(sum_i x_i)` in each coordinate, for signSGD with majority vote, while
//! nobody learns a single user's signs beyond what the result implies. The argument of the vote is a sum, and a user's own signs
//! are an additive share of it; so a vote is the evaluation of one public polynomial on a shared value.
//!
//! | question | module |
//! |---|---|
//! | which polynomial is the majority? | [`polynomial`], over a [`field`] |
//! | which products does it take? | [`schedule`] |
//! | how do gradients become votes, elements bytes, and seeds shares? | [`signs`], [`packing`], [`prg`] |
//! | who votes with whom? | [`grouping`] |
//! | how is it evaluated on shares, and from which correlated randomness? | [`circuit`], [`mod@evaluate`], [`correlation`] |
//! | what must come out? | [`plain`] |
//! | what is agreed, and who sends what when? | [`settings`]; [`client`], [`aggregator`], [`dealer`] as [`machine`]s; [`wire`] |
//! | how many bytes, and against what? | [`ledger`], [`costs`], [`mod@plan`] |
//! | what does a vote say about one user, and a vote of votes about the vote? | [`leakage`], [`agreement`] |
//! | all of it in one process, or without secrecy? | [`simulate`], by [`mode`] |
//! | between processes, over TLS? | `net`, with the feature of that name |
//! | does it agree with an independent program? | [`vectors`] |

#![forbid(unsafe_code)]

pub mod aggregator;
pub mod agreement;
pub mod circuit;
pub mod client;
pub mod correlation;
pub mod costs;
pub mod dealer;
pub mod domain;
pub mod error;
pub mod evaluate;
pub mod field;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod grouping;
pub mod leakage;
pub mod ledger;
pub mod mac;
pub mod machine;
pub mod mode;
#[cfg(feature = "net")]
pub mod net;
pub mod packing;
pub mod plain;
pub mod plan;
pub mod polynomial;
pub mod prg;
pub mod protocol;
pub mod roster;
mod scene;
pub mod schedule;
pub mod settings;
pub mod signs;
pub mod simulate;
pub mod tie;
pub mod vectors;
pub mod wiped;
pub mod wire;

pub use aggregator::{Aggregator, AggregatorConfig};
pub use circuit::{Circuit, ZeroSharing};
pub use client::{BeaconRule, Client, ClientConfig};
pub use dealer::{Dealer, DealerConfig};
pub use domain::Domain;
pub use error::{Error, Result};
pub use field::Field;
pub use grouping::Regroup;
pub use mode::Mode;
pub use packing::Encoding;
pub use polynomial::{Degree, Majority, Polynomial, PolynomialSummary};
pub use protocol::Protocol;
pub use schedule::{Product, Schedule, ScheduleKind};
pub use settings::{Outer, Settings, Switch};
pub use simulate::{Simulation, SimulationConfig};
pub use tie::Tie;
pub use vectors::check_vectors;
