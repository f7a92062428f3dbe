//! How long something may take or is kept, as it is typed. Each has an upper bound: what is added to a time of today stays a
//! time that clocks, timers and the store can count to.

use std::ops::RangeInclusive;
use std::time::Duration;

use contracts::exec::LONGEST_TIMEOUT_SECONDS;
use jiff::SpanRelativeTo;

const YEAR: u64 = 365 * 24 * 60 * 60;
const WAITS: RangeInclusive<u64> = 1..=YEAR;
/// Archives are kept for years.
const KEPT: Duration = Duration::from_secs(10 * YEAR);

/// How long is waited, in whole seconds.
pub(super) fn wait(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| WAITS.contains(seconds));
    seconds.map(Duration::from_secs).ok_or("write a number of seconds from 1 to 31536000, which is a year")
}

/// How long something is kept, such as `24h`, `90m`, `7d` or `0`.
pub(super) fn grace(text: &str) -> Result<Duration, &'static str> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let time =
        text.parse::<jiff::Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let time = time.ok().and_then(|time| Duration::try_from(time).ok()).filter(|time| *time <= KEPT);
    time.ok_or("write a number with a unit, such as 30s, 10m, 24h, 7d, and at most 3650d; 0 for none")
}

/// How long a command in an instance may run: what it is given as, in seconds that are a part of one, too.
pub(super) fn command(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_secs(LONGEST_TIMEOUT_SECONDS);
    let time = grace(text).ok().filter(|time| !time.is_zero() && *time <= longest);
    time.ok_or_else(|| {
        "a command runs for 1s to 5m: write a number with a unit, such as 90s. A longer one can go on in the background, with \
         nohup"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use clap::builder::ValueParser;
    use clap::{Arg, Command, CommandFactory};

    use super::*;
    use crate::args::Args;

    /// All options below a command.
    fn options(command: &Command) -> Vec<Arg> {
        let below = command.get_subcommands().flat_map(options);
        command.get_arguments().filter(|arg| arg.get_long().is_some()).cloned().chain(below).collect()
    }

    fn takes(option: &Arg, value: &str) -> Result<(), clap::Error> {
        let line = ["pilot".to_owned(), format!("--{}={value}", option.get_long().unwrap())];
        Command::new("pilot").arg(option.clone().required(false)).try_get_matches_from(line).map(drop)
    }

    #[test]
    fn every_option_that_is_a_time_refuses_more_than_clocks_can_count_and_names_its_range() {
        let times: Vec<_> = options(&Args::command())
            .into_iter()
            .filter(|option| option.get_value_parser().type_id() == ValueParser::from(wait).type_id())
            .collect();
        let names: Vec<_> = times.iter().filter_map(Arg::get_long).collect();
        assert_eq!(names, ["ready-timeout", "home-grace", "stray-grace", "timeout", "timeout"]);
        for option in &times {
            let defaults = option.get_default_values();
            let is_command = defaults == ["30s"];
            let most = if defaults == ["120"] {
                "31536000"
            } else if is_command {
                "5m"
            } else {
                "3650d"
            };
            takes(option, most).unwrap();
            for value in
                ["31536001", "9223372036854775807", "18446744073709551615", "3651d", "3000000d", "-1s"]
            {
                let error = takes(option, value).unwrap_err().to_string();
                let range = if is_command { "1s to 5m" } else { most };
                assert!(error.contains(range), "{error}");
            }
        }
    }

    #[test]
    fn an_option_that_speaks_of_a_time_is_read_as_one() {
        for option in options(&Args::command()) {
            let help = option.get_help().map(ToString::to_string).unwrap_or_default().to_lowercase();
            let name = option.get_long().unwrap_or_default();
            let speaks = help.contains("how long")
                || ["timeout", "grace", "interval"].iter().any(|word| name.contains(word));
            let is_time = option.get_value_parser().type_id() == ValueParser::from(wait).type_id();
            assert_eq!(speaks, is_time, "--{name}: {help}");
        }
    }

    #[test]
    fn a_grace_is_a_number_with_a_unit_and_what_is_none_is_told_in_our_words() {
        for (text, seconds) in
            [("30s", 30), ("10m", 600), ("24h", 86_400), ("7d", 604_800), ("0", 0), ("0s", 0)]
        {
            assert_eq!(grace(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["10", "1mo", "-5m", "soon", ""] {
            assert!(grace(text).unwrap_err().starts_with("write a number with a unit"), "{text}");
        }
    }
}
