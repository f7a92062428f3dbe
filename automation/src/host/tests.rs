//! The driver against a scripted host: what happens when it dies, lies, hangs or is slow.

mod fake;
mod life;
mod recycle;
mod runs;
