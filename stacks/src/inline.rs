//! A [`Stack`] as a program for `automation`: resources are registered as soon as what they need exists.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use automation::{
    Context, Input, Outputs, Program, ProgramError, Resource, ResourceArgs, ResourceOptions, Value,
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use provider_api::{Declaration, Expr};

use crate::compile::{Stack, needs};

/// Runs a stack inline.
pub struct Inline(pub Stack);

#[async_trait]
impl Program for Inline {
    async fn run(&self, context: &Context) -> Result<Outputs, ProgramError> {
        let mut made: HashMap<&str, Resource> = HashMap::new();
        let mut waiting: Vec<&Declaration> = self.0.resources.iter().collect();
        let mut running = FuturesUnordered::new();
        loop {
            let ready =
                |resource: &&Declaration| needs(resource).iter().all(|need| made.contains_key(need.as_str()));
            let (start, wait): (Vec<_>, Vec<_>) = waiting.into_iter().partition(ready);
            waiting = wait;
            for resource in start {
                let args = arguments(resource, &made);
                running.push(async move { (resource.name.as_str(), context.register(args).await) });
            }
            match running.next().await {
                Some((name, result)) => made.insert(name, result?),
                // `compile` has proven that there is no cycle, so nothing can be waiting here.
                None => break,
            };
        }
        Ok(self.0.outputs.iter().map(|(name, expr)| (name.clone(), evaluate(expr, &made))).collect())
    }
}

fn arguments(resource: &Declaration, made: &HashMap<&str, Resource>) -> ResourceArgs {
    let inputs: BTreeMap<String, Input> =
        resource.inputs.iter().map(|(name, expr)| (name.clone(), evaluate(expr, made))).collect();
    let depends_on = resource.depends_on.iter().filter_map(|name| made.get(name.as_str()));
    ResourceArgs {
        resource_type: resource.token.clone(),
        name: resource.name.clone(),
        inputs,
        options: ResourceOptions::default()
            .depends_on(depends_on.map(|resource| resource.urn.clone()))
            .protect(resource.protect.then_some(true))
            .delete_before_replace(resource.delete_before_replace.then_some(true)),
    }
}

fn evaluate(expr: &Expr, made: &HashMap<&str, Resource>) -> Input {
    match expr {
        Expr::Value(value) => Input::from(Value::from(value.clone())),
        Expr::Secret(inner) => evaluate(inner, made).into_secret(),
        Expr::Output { resource, property } => match made.get(resource.as_str()) {
            Some(resource) => resource.output(property),
            // `compile` has proven that the name exists; unmade means a later bug, not a value.
            None => Input::from(Value::Unknown),
        },
        Expr::List(items) => {
            let items = items.iter().map(|item| evaluate(item, made).into_value());
            Input::from(Value::List(items.collect()))
        }
        Expr::Object(entries) => {
            let entries =
                entries.iter().map(|(name, value)| (name.clone(), evaluate(value, made).into_value()));
            Input::from(Value::Object(entries.collect()))
        }
    }
}
