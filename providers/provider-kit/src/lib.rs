//! What every provider module would write in the same way, so that a module holds only what is its vendor's.
//!
//! - [`owner`] says whose an object is by its labels, and refuses in words what may not be touched.
//! - [`inputs`] are those that every resource has, as a type, as properties of a schema and in a declaration.
//! - [`offer`] finds the size and the region that are meant.
//! - [`boot`] reads the files that a boot brings, and refuses what would leave the home.
//! - [`instance`] is what an instance is told by its environment.
//! - [`command`] wraps a command in a shell that tells whether it was begun, and ends it in time.
//! - [`errors`] are the words for what happens at every vendor: gone, not running, ended at once.
//! - [`copies`] says why a copy of a home is not begun.
//! - [`secrets`] leaves secrets out of a fork, in a shell.
//! - [`image`] reads references to images, [`archive`] images in files; [`logins`] reads a file of Docker's form for registries.
//! - [`Locks`] let one call at a time work on a thing, within this program.
//! - [`wait`] asks again until something is there, or until a refusal has passed.
//!
//! The promises themselves are in `provider-api`; a module may keep them without this crate.

#![warn(missing_docs)]

pub mod apart;
pub mod archive;
pub mod boot;
pub mod command;
pub mod copies;
pub mod errors;
pub mod image;
pub mod inputs;
pub mod instance;
mod locks;
pub mod logins;
pub mod offer;
pub mod owner;
pub mod secrets;
pub mod wait;

pub use locks::Locks;
