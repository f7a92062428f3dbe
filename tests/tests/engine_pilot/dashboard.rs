//! The dashboard of `docs/grafana/` against what a server tells: a panel with a name that nothing has would stay empty for good.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::postgres::Postgres;
use crate::support::collector::Collector;
use crate::support::eventually;
use crate::support::world::World;

/// The labels of every series by its name.
type Series = BTreeMap<String, BTreeSet<String>>;

fn series(page: &str) -> Series {
    let mut series = Series::new();
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let end = line.find(['{', ' ']).unwrap();
        let labels = series.entry(line[..end].to_owned()).or_default();
        if line[end..].starts_with('{') {
            labels.extend(names(&line[end..]).selected.into_iter().map(|(_, label)| label));
        }
    }
    series
}

/// What an expression names.
#[derive(Debug, Default, PartialEq)]
struct Names {
    metrics: BTreeSet<String>,
    /// With the metric that they select of.
    selected: BTreeSet<(String, String)>,
    grouped: BTreeSet<String>,
}

/// PromQL as far as names go: words, and whether they are in braces, in a list of labels, or before a parenthesis.
fn names(expression: &str) -> Names {
    let (mut names, mut metric, mut in_braces, mut grouping) =
        (Names::default(), String::new(), false, false);
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (token, after) = match first {
            // A string, a range: no names in them.
            '"' => rest.split_at(1 + rest[1..].find('"').unwrap() + 1),
            '[' => rest.split_at(rest.find(']').unwrap() + 1),
            _ => rest.split_at(word.max(first.len_utf8())),
        };
        rest = after;
        let is_name = first.is_ascii_alphabetic() || first == '_';
        match token {
            "{" => in_braces = true,
            "}" => in_braces = false,
            ")" => grouping = false,
            "by" | "without" | "on" => grouping = true,
            "or" | "and" | "unless" => {}
            _ if !is_name => {}
            label if in_braces => drop(names.selected.insert((metric.clone(), label.to_owned()))),
            label if grouping => drop(names.grouped.insert(label.to_owned())),
            // A function, or an aggregation with its labels in front.
            _ if rest.trim_start().starts_with('(') || rest.trim_start().starts_with("by") => {}
            name => {
                metric = name.to_owned();
                names.metrics.insert(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn the_names_of_an_expression_are_its_metrics_and_labels() {
    let found = names(
        r#"histogram_quantile(0.9, sum by (le, kind) (rate(a_bucket{state=~"x{y", b!="z"}[5m]))) / on (k) c or time()"#,
    );
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(found.metrics, set(&["a_bucket", "c"]));
    assert_eq!(found.grouped, set(&["le", "kind", "k"]));
    let of = |label: &str| ("a_bucket".to_owned(), label.to_owned());
    assert_eq!(found.selected, BTreeSet::from([of("state"), of("b")]));
}

/// Of a legend like `{{kind}} {{state}}`.
fn legend(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).map(|part| part.split("}}").next().unwrap().trim())
}

#[tokio::test]
async fn every_expression_of_the_dashboard_names_what_a_server_tells_after_a_create_and_a_delete() {
    let database = Postgres::start();
    let collector = Collector::start().await;
    let env = [("PILOT_DATABASE", database.url()), ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.clone())];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let world = World::start_with_env(&["--providers", "fake"], &env).await;
    world.api.succeeded(&world.api.create(json!({"slug": "demo"})).await).await;
    world.api.succeeded(&world.api.delete("demo").await).await;
    let dashboard: Value =
        serde_json::from_str(include_str!("../../../docs/grafana/pilot.json")).expect("it is JSON");
    let targets: Vec<&Value> =
        dashboard["panels"].as_array().unwrap().iter().fold(vec![], |mut all, panel| {
            all.extend(panel["targets"].as_array().into_iter().flatten());
            all
        });
    assert!(targets.len() > 20, "{}", targets.len());
    let used: BTreeSet<String> =
        targets.iter().flat_map(|target| names(target["expr"].as_str().unwrap()).metrics).collect();
    // Some are told by a task that goes round by itself.
    let told = eventually("every metric of the dashboard", Duration::from_secs(30), || async {
        let told = series(&world.api.metrics().await);
        used.iter().all(|name| told.contains_key(name)).then_some(told)
    })
    .await;
    for target in targets {
        let (expression, text) = (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
        let names = names(expression);
        let known: BTreeSet<&str> =
            names.metrics.iter().flat_map(|name| &told[name]).map(String::as_str).collect();
        for (metric, label) in &names.selected {
            assert!(told[metric].contains(label), "{metric} has no {label}: {expression}");
        }
        for label in &names.grouped {
            assert!(known.contains(label.as_str()), "no {label}: {expression}");
        }
        for label in legend(text) {
            // Of each target that Prometheus scrapes.
            let grouped = names.grouped.contains(label) || names.grouped.is_empty() && label == "instance";
            assert!(grouped, "the legend {text} has {label}: {expression}");
        }
    }
    // And the other way round: what is worth measuring is worth being shown.
    let listed = include_str!("../../../docs/metrics.md").lines().filter_map(|line| {
        let name = line.strip_prefix("| `pilot_")?.split('`').next()?;
        Some(format!("pilot_{name}"))
    });
    let shown = |name: &str| used.iter().any(|used| used.starts_with(name));
    let hidden: Vec<String> = listed.filter(|name| !shown(name)).collect();
    assert_eq!(hidden, Vec::<String>::new());
}
