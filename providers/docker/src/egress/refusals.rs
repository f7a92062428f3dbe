//! What instances were refused lately, as their keeper remembers it: names in what a list's resolver says, addresses in sets that
//! the rules fill. It is asked in the volume of lists, like for a list, and no start asks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contracts::ErrorCode;
use contracts::egress::EgressAllow;
use contracts::egress::report::{Refused, RefusedKind};
use jiff::{SignedDuration, Timestamp};
use provider_api::{ProviderError, Refusals, Refuses, Result, RuntimeRef};

use super::keeper::{self, Keeper};
use super::rules::{Destination, MOST_CLOSED, REMEMBERED, is_closed};
use super::{list, lists, rules};
use crate::container::Machine;
use crate::generation;
use crate::hosts::Hosts;

/// A keeper looks twice in a second, and at all lists before it answers.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Another program may have asked meanwhile, whose answer took the place of ours.
const REPEATED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);
/// As many names as the keeper tells.
const MOST_NAMES: usize = 100;
/// Of DNS, as it is written.
const LONGEST_NAME: usize = 253;

pub(crate) struct DockerRefusals {
    pub hosts: Arc<Hosts>,
}

#[async_trait]
impl Refuses for DockerRefusals {
    async fn refusals(&self, runtime: &RuntimeRef) -> Result<Refusals> {
        let engine = self.hosts.of(&runtime.runtime_id).await?;
        let machine = Machine::new(&engine, runtime.clone());
        let Some(found) = machine.find().await? else {
            return Ok(not_in_force("the workspace has no instance now"));
        };
        let list = generation::seen(&engine, &found).await?.egress;
        let keeper = Keeper { engine: &engine, installation: &runtime.installation };
        match runs(&keeper).await? {
            None => look(&keeper, runtime, list.as_ref()).await,
            Some(_) if list.is_none() => Ok(Refusals::default()),
            Some(why) => Ok(not_in_force(why)),
        }
    }
}

fn not_in_force(why: impl Into<String>) -> Refusals {
    Refusals { not_in_force: Some(why.into()), ..Refusals::default() }
}

/// Why there is nobody to ask; `None` when there is. One that an older Pilot has made knows no such question.
async fn runs(keeper: &Keeper<'_>) -> Result<Option<String>> {
    let host = &keeper.engine.host.name;
    match keeper.find().await? {
        None => Ok(Some(format!("nothing keeps rules on the Docker host {host}"))),
        Some(found) if !keeper::runs(&found) => {
            Ok(Some(format!("the container {} on the Docker host {host} does not run", keeper.name())))
        }
        Some(found) if keeper.is_current(&found) => Ok(None),
        Some(_) => match keeper.ensure(None).await {
            Ok(_) => Ok(None),
            Err(error) if error.code == ErrorCode::EgressOpen => Ok(Some(error.message)),
            Err(error) => Err(error),
        },
    }
}

async fn look(keeper: &Keeper<'_>, runtime: &RuntimeRef, list: Option<&EgressAllow>) -> Result<Refusals> {
    let bridge = rules::bridge(&runtime.installation, &runtime.runtime_id, list.is_some());
    let question = lists::question();
    let deadline = Instant::now() + TIMEOUT;
    let mut asked: Option<Instant> = None;
    while Instant::now() < deadline {
        if asked.is_none_or(|asked| asked.elapsed() > REPEATED) {
            let file = format!("{question}\nend\n");
            lists::put(keeper.engine, &keeper.name(), &format!("{bridge}.ask"), &file)
                .await
                .map_err(ProviderError::from)?;
            asked = Some(Instant::now());
        }
        let answer = lists::answer(keeper.engine, &keeper.name(), &format!("{bridge}.seen")).await?;
        if let Some(seen) = answer.and_then(|answer| Seen::read(&answer, &question)) {
            let wanted = list.map(|list| list::version(&runtime.installation, &runtime.runtime_id, list));
            return Ok(seen.told(wanted.as_deref(), &keeper.engine.egress.open, Timestamp::now()));
        }
        tokio::time::sleep(PAUSE).await;
    }
    let message = format!(
        "the container {} on the Docker host {} did not say in time what it refuses",
        keeper.name(),
        keeper.engine.host.name
    );
    Err(ProviderError::new(ErrorCode::ProviderTimeout, message)
        .with_action(format!("Try again; `docker logs {}` says more.", keeper.name())))
}

/// One that is not told apart from others.
type Which = (RefusedKind, String, Option<String>, Option<u16>);

/// What the keeper has said, as it is true at that moment.
#[derive(Debug, Default)]
struct Seen {
    /// The version of the list that is in force.
    version: Option<String>,
    /// How often, how long ago last, and whether no list opens it.
    refused: BTreeMap<Which, (u64, Duration, bool)>,
    more: bool,
}

impl Seen {
    /// `None` when it answers another question, or is not whole.
    fn read(answer: &str, question: &str) -> Option<Self> {
        let rest = answer.strip_prefix(question)?.strip_prefix('\n')?.strip_suffix("end")?;
        let mut seen = Self::default();
        let (mut now, mut names) = (0_u64, 0);
        for line in rest.lines() {
            let Some((letter, line)) = line.split_once(' ') else { continue };
            match letter {
                "v" => seen.version = Some(line.to_owned()),
                "t" => now = line.parse().ok()?,
                "n" => {
                    names += 1;
                    seen.name(line, now);
                }
                "a" | "c" => seen.address(line, letter == "c"),
                "s" => seen.more |= is_full(line),
                _ => {}
            }
        }
        seen.more |= names >= MOST_NAMES;
        Some(seen)
    }

    /// `LAST COUNT NAME`. A name is whatever an instance has asked for.
    fn name(&mut self, line: &str, now: u64) {
        let mut words = line.split(' ');
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
        let (Some(last), Some(count)) = (number(words.next()), number(words.next())) else { return };
        let name = words.next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        let is_name = |name: &str| name.len() <= LONGEST_NAME && name.chars().all(|c| c.is_ascii_graphic());
        if !name.is_empty() && is_name(&name) {
            let ago = Duration::from_secs(now.saturating_sub(last));
            self.add((RefusedKind::Name, name, None, None), count, ago, false);
        }
    }

    /// `ADDRESS . PROTOCOL . PORT counter packets N bytes N expires TIME`, as nft lists an element.
    fn address(&mut self, line: &str, is_closed: bool) {
        let words: Vec<&str> = line.split_whitespace().filter(|word| *word != ".").collect();
        let after = |what: &str| words.iter().position(|word| *word == what).and_then(|at| words.get(at + 1));
        let Some(address) = words.first().and_then(|word| word.parse::<IpAddr>().ok()) else { return };
        // Whoever looks for neighbours or printers wants nothing outside.
        if address.is_multicast() || address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) {
            return;
        }
        let Some(protocol) = words.get(1).map(|word| protocol(word)) else { return };
        let port = words.get(2).and_then(|word| word.parse().ok());
        let count = after("packets").and_then(|word| word.parse().ok()).unwrap_or(1);
        let left = after("expires").and_then(|word| duration(word)).unwrap_or(REMEMBERED);
        let which = (RefusedKind::Address, address.to_string(), Some(protocol), port);
        self.add(which, count, REMEMBERED.saturating_sub(left), is_closed);
    }

    fn add(&mut self, which: Which, count: u64, ago: Duration, is_closed: bool) {
        let known = self.refused.entry(which).or_insert((0, ago, is_closed));
        *known = (known.0 + count, known.1.min(ago), known.2 || is_closed);
    }

    fn told(self, wanted: Option<&str>, open: &[Destination], now: Timestamp) -> Refusals {
        let not_in_force = match (wanted, self.version.as_deref()) {
            (Some(wanted), Some(version)) if wanted == version => None,
            (Some(_), Some(_)) => Some("another list is in force on its host".to_owned()),
            (Some(_), None) => Some("its host has no rules of it, or its resolver does not run".to_owned()),
            (None, _) => None,
        };
        let closed = |destination: &str| destination.parse().is_ok_and(|address| is_closed(address, open));
        let one = |((kind, destination, protocol, port), (count, ago, is_closed)): (Which, _)| {
            let ago = SignedDuration::try_from(ago).unwrap_or_default();
            let closed_for_all = is_closed || (kind == RefusedKind::Address && closed(&destination));
            let last = now.checked_sub(ago).unwrap_or(now);
            Refused { kind, destination, protocol, port, count, last, closed_for_all }
        };
        let mut refused: Vec<Refused> = self.refused.into_iter().map(one).collect();
        refused.sort_by_key(|one| std::cmp::Reverse(one.last));
        Refusals { not_in_force, refused, more: self.more }
    }
}

/// `TABLE SET COUNT`: the table of a list has its name's end.
fn is_full(line: &str) -> bool {
    let mut words = line.split(' ');
    let table = words.next().unwrap_or_default();
    let most = if table.matches('_').count() > 1 { list::MOST_REFUSED } else { MOST_CLOSED };
    words.nth(1).and_then(|count| count.parse::<usize>().ok()).is_some_and(|count| count >= most)
}

/// Where there is no file that names protocols, nft says their numbers.
fn protocol(word: &str) -> String {
    match word {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" | "ipv6-icmp" => "icmpv6",
        other => other,
    }
    .to_owned()
}

/// As nft writes it: `59m58s980ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut whole = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let number: u64 = number.parse().ok()?;
        whole += match unit {
            "d" => Duration::from_secs(number.checked_mul(24 * 60 * 60)?),
            "h" => Duration::from_secs(number.checked_mul(60 * 60)?),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return None,
        };
        rest = after;
    }
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "q1\nv abc\nt 10000\nn 9990 4 registry.npmjs.org\nn 9000 1 Files.Example.\nn 9000 1 \x1b[2Jx\ns pilot_1_pm1 refused4 3\n\
        a 203.0.113.13 . 6 . 443 counter packets 3 bytes 180 expires 59m58s980ms \na 10.0.0.9 . tcp . 80 timeout 1h expires 30m counter packets 2 bytes 1\n\
        a 224.0.0.251 . udp . 5353 counter packets 9 bytes 1 expires 59m\na not an address\ns pilot_1 refused4 4\n\
        c 172.17.0.1 . 17 . 53 counter packets 1 bytes 60 expires 59m59s\nc 10.0.0.9 . 1 counter packets 1 bytes 84 expires 1h\nend";

    fn shown(seen: Seen, open: &[Destination]) -> Vec<String> {
        let now = Timestamp::from_second(100_000).unwrap();
        let told = seen.told(Some("abc"), open, now);
        assert_eq!(told.not_in_force, None);
        let one = |one: &Refused| {
            let port = one.port.map(|port| format!(":{port}")).unwrap_or_default();
            let protocol = one.protocol.as_deref().unwrap_or("name");
            let closed = if one.closed_for_all { " closed" } else { "" };
            format!(
                "{} {}{port} {protocol} {}{closed}",
                one.count,
                one.destination,
                100_000 - one.last.as_second()
            )
        };
        told.refused.iter().map(one).collect()
    }

    #[test]
    fn what_a_keeper_says_is_each_destination_once_and_the_last_first() {
        let seen = Seen::read(ANSWER, "q1").unwrap();
        assert!(!seen.more);
        let all = [
            "1 10.0.0.9 icmp 0 closed",
            "1 172.17.0.1:53 udp 1 closed",
            "3 203.0.113.13:443 tcp 2",
            "4 registry.npmjs.org name 10",
            "1 files.example name 1000",
            "2 10.0.0.9:80 tcp 1800 closed",
        ];
        let mut expected = all.to_vec();
        expected.sort_unstable();
        let mut told = shown(seen, &[]);
        assert!(told[0].ends_with(" 0 closed") && told[5].contains("1800"), "{told:?}");
        told.sort_unstable();
        assert_eq!(told, expected);
        // What an operator has opened a list can open as well.
        let open = [Destination::read("10.0.0.0/24").unwrap()];
        let told = shown(Seen::read(ANSWER, "q1").unwrap(), &open);
        assert!(told.contains(&"2 10.0.0.9:80 tcp 1800".to_owned()), "{told:?}");
    }

    #[test]
    fn an_answer_to_somebody_else_or_half_of_one_is_none() {
        assert!(Seen::read(ANSWER, "q2").is_none() && Seen::read(ANSWER, "q").is_none());
        assert!(Seen::read(ANSWER.strip_suffix("end").unwrap(), "q1").is_none());
        let other = Seen::read(ANSWER, "q1").unwrap().told(Some("x"), &[], Timestamp::now());
        assert!(other.not_in_force.unwrap().contains("another list"));
        let none = Seen::read("q1\nt 1\nend", "q1").unwrap().told(Some("x"), &[], Timestamp::now());
        assert!(none.not_in_force.is_some() && none.refused.is_empty());
    }

    #[test]
    fn who_was_refused_more_than_is_remembered_is_told_so() {
        for (line, is_so) in [
            ("pilot_1_pm1 refused4 256", true),
            ("pilot_1 refused4 256", false),
            ("pilot_1 refused4 4096", true),
        ] {
            assert_eq!(is_full(line), is_so, "{line}");
        }
        let names: String = (0..MOST_NAMES).map(|each| format!("n 1 1 n{each}.example\n")).collect();
        assert!(Seen::read(&format!("q\nt 2\n{names}end"), "q").unwrap().more);
    }

    #[test]
    fn times_are_read_as_nft_writes_them() {
        for (text, seconds) in [("1h", 3600.0), ("59m58s980ms", 3598.98), ("1d2s", 86402.0), ("5ms", 0.005)] {
            assert_eq!(duration(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
        assert!(duration("5").is_none() && duration("x").is_none());
    }
}
