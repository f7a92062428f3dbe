//! What every provider module would write in the same way, so that a module holds only what is its vendor's.
//!
//! - [`errors`] are the words for what happens at every vendor: gone, not running, ended at once.
//! - [`Locks`] let one call at a time work on a thing, within this program.
//! - [`wait`] asks again until something is there, or until a refusal has passed.
//!
//! The promises themselves are in `provider-api`; a module may keep them without this crate.

#![warn(missing_docs)]

pub mod errors;
mod locks;
pub mod wait;

pub use locks::Locks;
