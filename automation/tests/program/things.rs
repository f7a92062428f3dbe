//! Short forms for what every program here is made of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use pulumi_auto::{Error, Input, Outputs, Program, ResourceArgs, ResourceOptions, Stack, Update};

pub fn thing<const N: usize>(name: &str, inputs: [(&str, Input); N]) -> ResourceArgs {
    with(name, inputs, ResourceOptions::default())
}

pub fn with<const N: usize>(
    name: &str,
    inputs: [(&str, Input); N],
    options: ResourceOptions,
) -> ResourceArgs {
    let (resource_type, name) = ("cloud:test:Thing".to_owned(), name.to_owned());
    ResourceArgs { resource_type, name, inputs: properties(inputs), options }
}

pub fn properties<const N: usize>(inputs: [(&str, Input); N]) -> BTreeMap<String, Input> {
    inputs.into_iter().map(|(name, input)| (name.to_owned(), input)).collect()
}

pub fn nothing() -> Outputs {
    Outputs::new()
}

pub async fn up(stack: &Stack, program: Arc<dyn Program>) -> Update {
    stack.up(program).await.unwrap()
}

pub async fn up_fails(stack: &Stack, program: Arc<dyn Program>) -> Error {
    stack.up(program).await.unwrap_err()
}

pub async fn destroy(stack: &Stack) {
    stack.destroy(pulumi_auto::program(|_| async { Ok(nothing()) })).await.unwrap();
}

/// What a program has seen, for the test to look at afterwards.
#[derive(Clone)]
pub struct Noted<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Noted<T> {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }

    pub fn note(&self, what: T) {
        self.0.lock().unwrap().push(what);
    }

    pub fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }

    pub fn only(&self) -> T {
        let all = self.all();
        assert_eq!(all.len(), 1);
        all[0].clone()
    }
}
