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

#![forbid(unsafe_code)]

pub mod domain;
pub mod error;
pub mod field;
pub mod polynomial;
pub mod schedule;
pub mod tie;

pub use domain::Domain;
pub use error::{Error, Result};
pub use field::Field;
pub use polynomial::{Degree, Majority, Polynomial, PolynomialSummary};
pub use schedule::{Product, Schedule, ScheduleKind};
pub use tie::Tie;
