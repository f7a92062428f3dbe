//! What a later process is told, so that it reaches the same server.

use super::*;
use crate::client::Target;

fn way(connection: &Connection, context: Option<&str>, data_is_named: bool) -> Way {
    let target = Target {
        server: "http://127.0.0.1:14010".parse().unwrap(),
        gateway: None,
        ca: None,
        context: context.map(str::to_owned),
        why: String::new(),
    };
    let folders = Folders { data: "/no such/data".into(), data_is_named, config: "/c d".into() };
    Way::of(&Client::new(target, None).unwrap(), connection, &folders).unwrap()
}

fn words(way: &Way) -> String {
    let words = way.proxy(&"demo".parse().unwrap(), Path::new("/k"));
    words[1..].iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join("|")
}

#[test]
fn the_server_that_is_meant_now_is_meant_later_as_well() {
    let tail = "ssh|--stdio|--known-hosts|/k|demo";
    let none = Connection::default();
    let of_context = way(&none, Some("prod"), false);
    assert_eq!(words(&of_context), format!("--config|/c d|ws|--context|prod|{tail}"));
    let of_data = way(&none, None, true);
    assert_eq!(words(&of_data), format!("--config|/c d|--data|/no such/data|ws|{tail}"));
    let usual = way(&none, None, false);
    assert_eq!(words(&usual), format!("--config|/c d|ws|--server|http://127.0.0.1:14010/|{tail}"));
    let named = Connection {
        server: Some("https://p.example.com".parse().unwrap()),
        gateway: Some("https://g.example.com".parse().unwrap()),
        token_file: Some("/t".into()),
        ca: Some("/ca".into()),
        token: Some("secret".to_owned()),
        ..Connection::default()
    };
    let named = words(&way(&named, None, false));
    let expected = "--config|/c d|ws|--server|https://p.example.com/|--gateway|https://g.example.com/|--token-file|/t|--ca|/ca";
    assert_eq!(named, format!("{expected}|{tail}"), "and never the token");
    let mut ids = [of_context.id, of_data.id, usual.id];
    assert!(
        ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')),
        "{ids:?}"
    );
    ids.sort();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
}
