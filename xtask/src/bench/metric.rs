//! A measured number and its peer, printed for people or for programs.

use anyhow::Result;
use serde::Serialize;

use crate::ui;

/// One line of a benchmark's result.
#[derive(Serialize)]
pub struct Metric {
    pub metric: String,
    pub value: f64,
    pub unit: &'static str,
    pub peer: Option<&'static str>,
    pub peer_value: Option<f64>,
    /// How many times better than the peer.
    pub ratio: Option<f64>,
}

impl Metric {
    /// A number without a peer.
    pub fn alone(metric: impl Into<String>, value: f64, unit: &'static str) -> Metric {
        Metric {
            metric: metric.into(),
            value: rounded(value),
            unit,
            peer: None,
            peer_value: None,
            ratio: None,
        }
    }

    /// A number of which less is better, beside its peer's.
    pub fn less_is_better(
        metric: &str,
        value: f64,
        unit: &'static str,
        peer: &'static str,
        peer_value: f64,
    ) -> Metric {
        let ratio = Some(rounded(peer_value / value));
        Metric {
            peer: Some(peer),
            peer_value: Some(rounded(peer_value)),
            ratio,
            ..Metric::alone(metric, value, unit)
        }
    }
}

/// The middle value; the mean of the two middle ones where their number is even.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// One JSON object per line, or a table.
pub fn print(metrics: &[Metric], json: bool) -> Result<()> {
    for metric in metrics {
        if json {
            ui::say(serde_json::to_string(metric)?);
            continue;
        }
        let beside = match (metric.peer, metric.peer_value, metric.ratio) {
            (Some(peer), Some(value), Some(ratio)) => {
                format!("{peer}: {value} {}, {ratio} times as good", metric.unit)
            }
            _ => String::new(),
        };
        ui::say(format!("{:<28} {:>10} {:<3} {beside}", metric.metric, metric.value, metric.unit));
    }
    Ok(())
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_peers_time_is_twice_as_good() {
        let metric = Metric::less_is_better("m", 2.0, "s", "peer", 4.0);
        let expected = r#"{"metric":"m","value":2.0,"unit":"s","peer":"peer","peer_value":4.0,"ratio":2.0}"#;
        assert_eq!(serde_json::to_string(&metric).unwrap(), expected);
    }

    #[test]
    fn the_median_ignores_order_and_outliers() {
        assert!((median(&[9.0, 1.0, 100.0]) - 9.0).abs() < f64::EPSILON);
        assert!((median(&[4.0, 1.0]) - 2.5).abs() < f64::EPSILON);
    }
}
