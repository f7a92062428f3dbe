//! Cases about what users and operators read before they choose.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use contracts::ErrorCode;

use crate::conformance::{Fixture, Stack};
use crate::{Description, Property, PropertyType, RuntimeSpec, Setting};

/// Nobody rents an instance for more than this an hour; a price above it is in another unit.
const DEAREST_MICRO_USD: u32 = 100_000_000;

fn all_different<'a>(what: &str, names: impl IntoIterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    for name in names {
        assert!(!name.trim().is_empty(), "a name of {what} is empty");
        assert!(seen.insert(name), "{what}: {name} is there twice");
    }
}

pub(super) fn says_something(what: &str, text: &str) {
    assert!(text.trim().len() > 3 && text.trim() == text, "{what} is described by {text:?}");
}

pub async fn what_it_offers_can_be_chosen(fixture: &Fixture) {
    let described = fixture.provider.describe();
    says_something("the provider", described.summary);
    says_something("its isolation", described.isolation);
    sizes_and_regions(&described);
    for setting in &described.settings {
        usable(setting);
    }
    all_different("settings", described.settings.iter().map(|setting| setting.name));
    let variables: Vec<_> = described.settings.iter().map(|each| each.variable(&described.name)).collect();
    all_different("variables", variables.iter().map(String::as_str));
    let is_secret = described.settings.iter().any(|setting| setting.secret);
    assert_eq!(is_secret, fixture.credential.is_some(), "a fixture tells the credential of its modules");
    schemas(fixture, &described);
    for size in &described.sizes {
        for region in regions(&described) {
            let spec = RuntimeSpec { size: size.name.clone(), region, ..fixture.stack().spec };
            let declared = fixture.provider.declare(&spec).expect("every size in every region");
            all_different("resources", declared.resources.iter().map(|each| each.name.as_str()));
        }
    }
}

fn regions(described: &Description) -> Vec<Option<String>> {
    let named: Vec<_> = described.regions.iter().map(|region| Some(region.name.clone())).collect();
    if named.is_empty() { vec![None] } else { named }
}

fn sizes_and_regions(described: &Description) {
    assert!(!described.sizes.is_empty(), "a provider has a size");
    all_different("sizes", described.sizes.iter().map(|size| size.name.as_str()));
    for size in &described.sizes {
        assert_ne!(size.memory_mib, Some(0), "{size:?}");
        assert_ne!(size.cpu_millis, Some(0), "{size:?}");
        assert_ne!(size.disk_mib, Some(0), "{size:?}");
        let is_sane = size.hourly_micro_usd.is_none_or(|price| (1..=DEAREST_MICRO_USD).contains(&price));
        assert!(is_sane, "no price of an hour in millionths of a dollar: {size:?}");
    }
    all_different("regions", described.regions.iter().map(|region| region.name.as_str()));
    for region in &described.regions {
        assert!(!region.title.trim().is_empty(), "{region:?} has no title");
    }
}

fn usable(setting: &Setting) {
    let name = setting.name;
    says_something(name, setting.description);
    let is_camel = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric());
    assert!(is_camel, "the setting {name} is not in camelCase");
    let Some(default) = setting.default else { return };
    assert!(!setting.required, "{name} has a default, so it is not required");
    assert!(!setting.secret, "{name} is a secret, so it has no default");
    assert!(!default.is_empty() && default.trim() == default, "{name} has the default {default:?}");
}

fn schemas(fixture: &Fixture, described: &Description) {
    let schemas: Vec<_> = fixture.provider.resources().iter().map(|resource| resource.schema()).collect();
    all_different("resource types", schemas.iter().map(|schema| schema.token));
    for schema in &schemas {
        assert!(schema.token.starts_with(&format!("pilot:{}:", described.name)), "{}", schema.token);
        says_something(schema.token, schema.description);
        all_different("inputs", schema.inputs.iter().map(|property| property.name));
        for Property { name, description, .. } in schema.inputs.iter().chain(&schema.outputs) {
            says_something(&format!("{} of {}", name, schema.token), description);
        }
    }
    let mut types = BTreeMap::new();
    for schema in &schemas {
        let own = schema.token.rsplit(':').next().unwrap_or_default();
        types.insert(own, None);
    }
    for property in schemas.iter().flat_map(|schema| schema.inputs.iter().chain(&schema.outputs)) {
        named_types(property.kind, &mut types);
    }
}

/// What a property's type is called is a name of the whole module.
fn named_types(kind: PropertyType, types: &mut BTreeMap<&'static str, Option<PropertyType>>) {
    let (name, description) = match kind {
        PropertyType::List(of) | PropertyType::Map(of) => return named_types(*of, types),
        PropertyType::Object(of) => (of.name, of.description),
        PropertyType::Enum(of) => (of.name, of.description),
        _ => return,
    };
    says_something(name, description);
    assert!(name.starts_with(|first: char| first.is_ascii_uppercase()), "{name} is not in PascalCase");
    let other = types.insert(name, Some(kind));
    assert!(other.is_none_or(|other| other == Some(kind)), "{name} is the name of two types");
    match kind {
        PropertyType::Object(of) => {
            all_different(name, of.properties.iter().map(|property| property.name));
            for property in of.properties {
                says_something(&format!("{} of {name}", property.name), property.description);
                assert!(!property.replaces, "{} of {name} cannot replace by itself", property.name);
                named_types(property.kind, types);
            }
        }
        PropertyType::Enum(of) => {
            all_different(name, of.values.iter().map(|(value, _)| *value));
            of.values.iter().for_each(|(value, meaning)| says_something(value, meaning));
        }
        _ => {}
    }
}

pub async fn what_it_does_not_offer_is_refused(fixture: &Fixture) {
    let known = fixture.stack().spec;
    let spec = RuntimeSpec { size: "no-such-size".to_owned(), ..known };
    // What is offered is judged where it is asked for; a declaration has to say what a size is.
    let error = fixture.provider.declare(&spec).expect_err("nobody knows such a size");
    assert_eq!(error.code, ErrorCode::UnknownSize);
    let can = fixture.provider.capabilities();
    if !can.suspend {
        let refused = fixture.provider.lifecycle().suspend(&fixture.stack().runtime()).await;
        assert_eq!(refused.expect_err("it cannot suspend").code, ErrorCode::CapabilityUnsupported);
    }
}

pub async fn what_was_made_before_is_declared_still(fixture: &Fixture) {
    let fewer = fixture.fewer.clone().expect("a fixture with a module that offers less");
    let mut stack = fixture.stack();
    stack.up().await;
    let (region, described) = (stack.spec.region.as_ref(), fewer.describe());
    let is_offered = described.sizes.iter().any(|size| size.name == stack.spec.size)
        && region.is_none_or(|region| described.regions.iter().any(|offered| offered.name == *region));
    assert!(!is_offered, "the fixture's stack is of what the other module does not offer: {described:?}");
    assert_eq!(fewer.declare(&stack.spec).expect("it is there"), stack.declared);
    let mut same = Stack { provider: fewer, ..stack.clone() };
    same.change_to(RuntimeSpec { generation: 2, ..stack.spec }).await;
    same.down().await;
    assert_eq!(fixture.owned().await, []);
}

pub async fn it_says_that_it_is_ready(fixture: &Fixture) {
    let asked = Instant::now();
    fixture.provider.ready().await.expect("the fixture is a world in which it can work");
    assert!(asked.elapsed() < Duration::from_secs(5), "a request waits for it: {:?}", asked.elapsed());
}
