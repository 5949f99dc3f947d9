//! Correlated randomness: what the dealer prepares so that shares can be multiplied.
//!
//! Every user expands its shares from its seed, and nothing is sent; but the shares of a product must add up to the product. So one
//! user, the *holder*, gets the difference from the dealer. The holder changes with round and attempt.

mod deal;
mod recipe;
mod source;

pub use deal::{Deal, MemberKeys, holder};
pub use recipe::{Entry, Recipe, SIGN_MASKS, Slot, Value, ZERO_SHARING};
pub use source::{CorrelationSource, Explicit, Missing, Seeded};
