//! The descent loop that every method of Thalweg shares.
//!
//! A descent has five seams, and a method is a new piece at one or two of them:
//!
//! | seam | the question | trait |
//! |---|---|---|
//! | [`choose`] | on which examples, weights or imagined futures is the gradient taken? | [`Choose`] |
//! | [`differentiate`] | how is it computed? | [`Differentiate`], giving [`Contributions`] |
//! | [`guard`] | what may leave this machine? | [`Guard`] |
//! | [`step`] | how do the parameters move? | [`Step`] |
//! | [`observe`] | what do we know of the way down? | [`Observe`] |
//!
//! [`Descent`] drives them. It is a machine that takes one step at a time: [`Descent::contribute`] gives what a step sends,
//! [`Descent::apply`] takes the update that came back, and [`Descent::run`] is a thin loop over both.
//!
//! Parameters, gradients and updates are flat slices of `f32` or `f64`, divided by a [`Layout`] into named blocks. So one loop
//! serves a network, a plan of 80 actions and a 4 x 4 matrix, and a piece can be used without the loop.
//!
//! Randomness comes from named streams of one [`Seed`]; learning rates from a [`Schedule`] that is known before the run. The
//! [`store`] records a run so that a kill at any moment loses nothing.

#![forbid(unsafe_code)]

pub mod batch;
pub mod choose;
pub mod descent;
pub mod differentiate;
pub mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod guard;
pub mod layout;
pub mod observe;
pub mod participation;
pub mod real;
pub mod reduction;
pub mod schedule;
pub mod state;
pub mod step;
pub mod store;
pub mod streams;

pub use batch::{Batch, Batches};
pub use choose::{Choose, Position};
pub use descent::{Contribution, Descent, Pieces, Rates};
pub use differentiate::{Contributions, Differentiate, SquaredNorms, Weights};
pub use error::{Error, Result};
pub use guard::{Disclosure, Guard, Mean};
pub use layout::{Block, BlockId, Layout};
pub use observe::{Every, Observe, Record, View};
pub use participation::Participation;
pub use real::{Real, norm};
pub use reduction::Reduction;
pub use schedule::Schedule;
pub use state::Stateful;
pub use step::Step;
pub use streams::{Seed, Stream};
