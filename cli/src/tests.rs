//! Whole commands against a fake server: what they send, print and return.

pub mod fake;

mod advice;
mod changes;
mod contexts;
mod egress;
mod exec;
mod failures;
mod image;
mod listing;
mod logs;
mod queries;
mod tls;
mod waiting;
