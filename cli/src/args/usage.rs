//! What can be typed after `pilot usage`.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::Connection;

#[derive(Debug, clap::Args)]
pub struct Usage {
    #[command(flatten)]
    pub connection: Connection,
    /// From when on: a date (UTC) or a time as RFC 3339 [default: the beginning]
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Timestamp>,
    /// Until when; a day is given as the one behind it, because what begins then does not count [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// Only what was this owner's
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only that of this workspace; one that is deleted has its id alone
    #[arg(long, value_name = "SLUG")]
    workspace: Option<String>,
}

impl Usage {
    /// As the lifecycle API takes it.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let wanted = [
            ("from", self.from.map(|at| at.to_string())),
            ("to", self.to.map(|at| at.to_string())),
            ("owner", self.owner.clone()),
            ("workspace", self.workspace.clone()),
        ];
        wanted.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    // A date is the beginning of a time as well, so the longer is tried first.
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let midnight = text.parse::<Date>().ok().filter(|_| text.len() == "2026-11-29".len());
    let midnight = midnight.and_then(|date| TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
    midnight.ok_or_else(|| {
        match text.get(..10).is_some_and(|date| date.parse().is_ok_and(|date: Date| date == Date::MAX)) {
            // That day is a date, but its end is beyond what time zones can shift.
            true => {
                "that is later than any time that can be counted; leave the option away for \"until now\""
                    .to_owned()
            }
            false => "write it as 2026-11-29 or 2026-11-29T12:00:00Z".to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_first_moment_in_utc() {
        assert_eq!(time("2026-11-29").unwrap(), time("2026-11-29T00:00:00Z").unwrap());
        assert_eq!(time("2026-11-29T12:00:00+02:00").unwrap(), time("2026-11-29T10:00:00Z").unwrap());
        for text in ["yesterday", "2026-13-01", "10000-01-01"] {
            assert!(time(text).unwrap_err().starts_with("write it as"), "{text}");
        }
        assert!(time("9999-12-30").is_ok());
        for text in ["9999-12-31", "9999-12-31T00:00:00Z"] {
            assert!(time(text).unwrap_err().contains("later than any time"), "{text}");
        }
    }
}
