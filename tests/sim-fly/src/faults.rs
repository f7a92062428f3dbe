//! Faults that a test orders: which requests they hit, how often, and what happens to those.

use std::sync::{Mutex, PoisonError};

use http::Method;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// An order, as `POST /faults` takes it.
///
/// ```json
/// {"method": "POST", "path": "/v1/apps/*/machines", "count": 1, "then": {"kind": "cut_after"}}
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Only requests with this method; all when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// A path in which `*` stands for one part and `**` at the end for all that follow.
    pub path: String,
    /// How many requests are hit; without a limit when absent.
    #[serde(default)]
    pub count: Option<u64>,
    /// The share of matching requests that is hit, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// Two simulators with the same seed hit the same requests of the same sequence.
    #[serde(default)]
    pub seed: u64,
    pub then: Kind,
}

fn always() -> f64 {
    1.0
}

/// What happens to a request that is hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// Answered so instead of being carried out.
    Status {
        code: u16,
        #[serde(default)]
        body: String,
        /// Seconds, as the `Retry-After` header.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Carried out, so many milliseconds later.
    Delay { ms: u64 },
    /// Never answered and not carried out.
    Hang,
    /// Carried out and never answered.
    HangAfter,
    /// The connection ends before anything is done.
    CutBefore,
    /// It is carried out, and the connection ends instead of an answer.
    CutAfter,
    /// Carried out; the answer's body ends half-way.
    Truncate,
    /// Answered with a web page and this status, as a broken edge does.
    Html { code: u16 },
    /// Lists, and reads of applications, do not show what is younger than this.
    Lag { ms: u64 },
    /// The request sees a clock that is so many seconds ahead: `Date`, `created_at`, lease times.
    ClockSkew { seconds: i64 },
}

#[derive(Debug)]
struct Order {
    id: u64,
    fault: Fault,
    left: Option<u64>,
    dice: StdRng,
}

/// The orders that are in force.
#[derive(Debug, Default)]
pub struct Faults {
    orders: Mutex<(u64, Vec<Order>)>,
}

impl Faults {
    /// Puts an order in force and returns its number.
    pub fn add(&self, fault: Fault) -> u64 {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.0 += 1;
        let id = orders.0;
        let dice = StdRng::seed_from_u64(fault.seed);
        orders.1.push(Order { id, left: fault.count, dice, fault });
        id
    }

    pub fn all(&self) -> Vec<(u64, Fault)> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.1.iter().map(|order| (order.id, order.fault.clone())).collect()
    }

    /// Takes one order back, or all.
    pub fn clear(&self, id: Option<u64>) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.1.retain(|order| id.is_some_and(|id| order.id != id));
    }

    /// What happens to this request. Counts it against the orders that hit it.
    pub fn hit(&self, method: &Method, path: &str) -> Vec<Kind> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hits = Vec::new();
        for order in &mut orders.1 {
            let wanted = order.fault.method.as_deref().is_none_or(|wanted| wanted == method.as_str());
            if !wanted || !matches(&order.fault.path, path) || order.left == Some(0) {
                continue;
            }
            if order.fault.probability < 1.0 && order.dice.random::<f64>() >= order.fault.probability {
                continue;
            }
            order.left = order.left.map(|left| left - 1);
            hits.push(order.fault.then.clone());
        }
        orders.1.retain(|order| order.left != Some(0));
        hits
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (Some("**"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(path: &str) -> Fault {
        Fault {
            method: None,
            path: path.to_owned(),
            count: None,
            probability: 1.0,
            seed: 7,
            then: Kind::Hang,
        }
    }

    #[test]
    fn a_star_is_one_part_and_two_are_the_rest() {
        assert!(matches("/v1/apps/*/machines", "/v1/apps/a/machines"));
        assert!(!matches("/v1/apps/*/machines", "/v1/apps/a/machines/m"));
        assert!(!matches("/v1/apps/*", "/v1/apps"));
        assert!(matches("/v1/**", "/v1/apps/a/machines/m"));
    }

    #[test]
    fn a_counted_order_ends_and_a_seed_repeats_its_dice() {
        let faults = Faults::default();
        faults.add(Fault { count: Some(2), method: Some("POST".to_owned()), ..fault("/v1/apps") });
        let hit = |faults: &Faults, method: Method| !faults.hit(&method, "/v1/apps").is_empty();
        assert!(!hit(&faults, Method::GET));
        assert!(hit(&faults, Method::POST) && hit(&faults, Method::POST) && !hit(&faults, Method::POST));
        assert!(faults.all().is_empty());
        let draws = || {
            let faults = Faults::default();
            faults.add(Fault { probability: 0.3, ..fault("/v1/apps") });
            (0..100).map(|_| hit(&faults, Method::POST)).collect::<Vec<_>>()
        };
        assert_eq!(draws(), draws());
        let hits = draws().into_iter().filter(|hit| *hit).count();
        assert!((15..45).contains(&hits), "{hits}");
    }

    #[test]
    fn an_order_reads_as_json() {
        let text = r#"{"path": "/v1/**", "then": {"kind": "status", "code": 503, "body": "x"}}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!(fault.then, Kind::Status { code: 503, body: "x".to_owned(), retry_after: None });
    }
}
