//! Declarations, checked as a whole and put in order.

use std::collections::{BTreeMap, BTreeSet};

use provider_api::{Declaration, Declared, Expr};

/// The Pulumi project of every runtime's stack.
pub const PROJECT: &str = "pilot";

/// Resources in an order in which they can be created, and the stack's outputs. The name of a runtime's
/// stack is the runtime id, never the slug, so that a rename changes no state.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    pub name: String,
    pub resources: Vec<Declaration>,
    pub outputs: BTreeMap<String, Expr>,
}

impl Stack {
    /// Logical names of what holds the user's files, and of what that needs.
    pub fn protected(&self) -> BTreeSet<String> {
        // What is needed comes before what needs it.
        let mut names = BTreeSet::new();
        for resource in self.resources.iter().rev() {
            if resource.protect || names.contains(&resource.name) {
                names.extend(needs(resource));
                names.insert(resource.name.clone());
            }
        }
        names
    }
}

/// A mistake in a provider's declarations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    #[error("two resources are named {name:?}")]
    DuplicateName { name: String },
    #[error("resource {resource:?} has the type {token:?}, which is not of the form package:module:Type")]
    InvalidToken { resource: String, token: String },
    #[error("{user:?} refers to {missing:?}, which is not declared")]
    UnknownReference { user: String, missing: String },
    #[error("these resources wait for each other: {}", names.join(", "))]
    Cycle { names: Vec<String> },
}

/// The stack of this name. Checks names, types and references, and orders resources so that each comes after those it needs;
/// independent ones keep the provider's order.
pub fn compile(name: &str, declared: Declared) -> Result<Stack, CompileError> {
    let mut names = BTreeSet::new();
    for resource in &declared.resources {
        if !names.insert(resource.name.clone()) {
            return Err(CompileError::DuplicateName { name: resource.name.clone() });
        }
        if resource.token.split(':').filter(|part| !part.is_empty()).count() != 3 {
            let (resource, token) = (resource.name.clone(), resource.token.clone());
            return Err(CompileError::InvalidToken { resource, token });
        }
    }
    for resource in &declared.resources {
        check_references(&resource.name, needs(resource), &names)?;
    }
    for (name, output) in &declared.outputs {
        check_references(name, references(output).collect(), &names)?;
    }
    let resources = order(declared.resources)?;
    Ok(Stack { name: name.to_owned(), resources, outputs: declared.outputs })
}

/// The logical names that a resource must wait for.
pub(crate) fn needs(resource: &Declaration) -> BTreeSet<String> {
    let mut needs: BTreeSet<String> = resource.depends_on.iter().cloned().collect();
    needs.extend(resource.inputs.values().flat_map(references));
    needs
}

fn references(expr: &Expr) -> impl Iterator<Item = String> {
    expr.references().into_iter().map(str::to_owned)
}

fn check_references(
    user: &str,
    needs: BTreeSet<String>,
    names: &BTreeSet<String>,
) -> Result<(), CompileError> {
    match needs.into_iter().find(|need| !names.contains(need)) {
        Some(missing) => Err(CompileError::UnknownReference { user: user.to_owned(), missing }),
        None => Ok(()),
    }
}

fn order(mut waiting: Vec<Declaration>) -> Result<Vec<Declaration>, CompileError> {
    let mut ordered: Vec<Declaration> = Vec::with_capacity(waiting.len());
    let mut done = BTreeSet::new();
    while !waiting.is_empty() {
        let Some(next) = waiting.iter().position(|resource| needs(resource).is_subset(&done)) else {
            return Err(CompileError::Cycle { names: waiting.into_iter().map(|r| r.name).collect() });
        };
        let resource = waiting.remove(next);
        done.insert(resource.name.clone());
        ordered.push(resource);
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(resources: Vec<Declaration>) -> Declared {
        Declared { resources, outputs: BTreeMap::new() }
    }

    fn names(stack: &Stack) -> Vec<&str> {
        stack.resources.iter().map(|resource| resource.name.as_str()).collect()
    }

    #[test]
    fn resources_come_after_what_they_refer_to_and_else_keep_their_order() {
        let stack = compile(
            "rt-1",
            declared(vec![
                Declaration::new("c", "p:m:T").input("x", Expr::output("b", "y")),
                Declaration::new("b", "p:m:T").depends_on("a"),
                Declaration::new("z", "p:m:T"),
                Declaration::new("a", "p:m:T"),
            ]),
        );
        assert_eq!(names(&stack.unwrap()), ["z", "a", "b", "c"]);
    }

    #[test]
    fn what_holds_files_is_protected_with_all_that_it_needs() {
        let stack = compile(
            "rt-1",
            declared(vec![
                Declaration::new("app", "p:m:T"),
                Declaration::new("network", "p:m:T"),
                Declaration::new("disk", "p:m:T").input("app", Expr::output("app", "name")).protected(),
                Declaration::new("machine", "p:m:T").depends_on("disk").depends_on("network"),
            ]),
        );
        assert_eq!(stack.unwrap().protected().into_iter().collect::<Vec<_>>(), ["app", "disk"]);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |resources| compile("rt-1", declared(resources)).unwrap_err().to_string();
        let a = || Declaration::new("a", "p:m:T");
        assert_eq!(check(vec![a(), a()]), r#"two resources are named "a""#);
        assert_eq!(check(vec![a().depends_on("b")]), r#""a" refers to "b", which is not declared"#);
        let cycle = vec![a().depends_on("b"), Declaration::new("b", "p:m:T").depends_on("a")];
        assert_eq!(check(cycle), "these resources wait for each other: a, b");
        assert!(check(vec![Declaration::new("a", "p::T")]).contains("not of the form"));
    }

    #[test]
    fn an_output_may_only_refer_to_a_declared_resource() {
        let mut declared = declared(vec![Declaration::new("a", "p:m:T")]);
        declared.outputs.insert("port".to_owned(), Expr::output("b", "port"));
        assert!(compile("rt-1", declared).is_err());
    }

    #[test]
    fn the_stack_is_named_after_the_runtime() {
        assert_eq!(compile("rt-1", declared(vec![])).unwrap().name, "rt-1");
    }
}
