//! Signals as the API names them.

use rustix::process::Signal;
use serde_json::Value;

const NAMES: [(&str, Signal); 8] = [
    ("SIGHUP", Signal::HUP),
    ("SIGINT", Signal::INT),
    ("SIGQUIT", Signal::QUIT),
    ("SIGABRT", Signal::ABORT),
    ("SIGKILL", Signal::KILL),
    ("SIGUSR1", Signal::USR1),
    ("SIGUSR2", Signal::USR2),
    ("SIGTERM", Signal::TERM),
];

/// The number of a signal that was named, or given as a number.
pub fn parse(value: &Value) -> Option<i32> {
    match value {
        Value::Number(number) => i32::try_from(number.as_i64()?).ok().filter(|&raw| signal(raw).is_some()),
        Value::String(name) => {
            let named =
                NAMES.iter().find(|(known, _)| known == name || known.strip_prefix("SIG") == Some(name));
            named.map(|(_, signal)| signal.as_raw())
        }
        _ => None,
    }
}

/// The signal of a number.
pub(super) fn signal(raw: i32) -> Option<Signal> {
    Signal::from_named_raw(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name_and_number() {
        assert_eq!(parse(&"SIGTERM".into()), Some(15));
        assert_eq!(parse(&"KILL".into()), Some(9));
        assert_eq!(parse(&9.into()), Some(9));
        assert_eq!((parse(&"SIGNONE".into()), parse(&0.into())), (None, None));
    }
}
