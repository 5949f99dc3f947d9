//! Side-by-side benchmarks of Thalweg against its peers.
//!
//! `bench/run` runs both sides in turn and writes what came out to `bench/results` and `bench/README.md`. Its parts:
//!
//! | part | what it does |
//! |---|---|
//! | [`task`] | the networks and data that both sides train on |
//! | [`clock`] | CPU time, step by step |
//! | [`measurement`] | one line of JSON, as both sides print it |
//! | [`comparison`] | ratios to the peer, round by round |
//! | [`goal`] | what is to be reached, and whether it is |
//! | [`page`] | tables for people |
//!
//! The programs are `private_step`, `private_math`, `vote_round`, `dynamics`, `loop_cost` and `event_log`, which measure, and
//! `summarise`, which compares. The other side lies in `peers/`.

#![forbid(unsafe_code)]

pub mod clock;
pub mod comparison;
pub mod goal;
pub mod measurement;
pub mod page;
pub mod task;
