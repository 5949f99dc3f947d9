//! Phase diagrams: a lab of exact dynamics over a grid of two parameters and many seeds.
//!
//! Each cell (a place of the grid and a seed) is computed on its own, from draws of its own, and written to a file of its own; what is
//! drawn comes from these files alone. So a sweep may be stopped at any moment, resumed, or shared among processes, and ends with the
//! same bytes.

mod csv;
mod grid;
mod lab;
mod sweep;
mod theory;

pub use csv::csv;
pub use grid::{Axis, Grid, label};
pub use lab::{Lab, Parameters};
pub use sweep::{Found, Part, Place, Sweep, crossing};
pub use theory::TheoryLine;
