//! Whole commands against a fake server: what they send, print and return.

mod fake;

mod changes;
mod failures;
mod queries;
