//! Pilot as its users meet it: the real `pilot serve`, real Pulumi, OpenCode, git and Docker. Only the
//! model is a fake, because a real one has no place in a test.

mod support;

mod bad_input;
mod deletion;
mod faults;
mod interrupted;
mod life;
mod stack_export;
