//! What is an entry of a list, what it becomes, and what is refused with a reason.

use proptest::prelude::*;

use super::*;

fn one(text: &str) -> Result<String, String> {
    text.parse::<Destination>().map(|entry| entry.to_string()).map_err(|error| error.to_string())
}

#[test]
fn an_entry_is_kept_as_dns_and_the_kernel_have_it() {
    for (text, kept) in [
        ("github.com", "github.com"),
        ("GitHub.COM.", "github.com"),
        (" *.npmjs.org ", "*.npmjs.org"),
        ("api.anthropic.com:443", "api.anthropic.com:443"),
        ("*.Bücher.example:8443", "*.xn--bcher-kva.example:8443"),
        ("gitserver", "gitserver"),
        ("my_bucket.store.example", "my_bucket.store.example"),
        ("_mongodb._tcp.cluster.example:27017", "_mongodb._tcp.cluster.example:27017"),
        ("*._TCP.example", "*._tcp.example"),
        ("r3---sn-4g5e.video.example", "r3---sn-4g5e.video.example"),
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:22", "203.0.113.7:22"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("203.0.113.7/24:443", "203.0.113.0/24:443"),
        ("0.0.0.0/0:443", "0.0.0.0/0:443"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:db8::1/32", "2001:db8::/32"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443"),
        ("[2001:db8::/32]:443", "[2001:db8::/32]:443"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
    ] {
        assert_eq!(one(text), Ok(kept.to_owned()), "{text}");
    }
}

#[test]
fn what_is_no_entry_is_refused_with_its_text_and_why() {
    for (text, why) in [
        ("https://github.com/", "no URL"),
        ("github.com/pilot", "paths"),
        ("*", "write all"),
        ("a.*.com", "stands alone at the beginning"),
        ("*github.com", "stands alone at the beginning"),
        ("all", "stands alone"),
        ("none", "stands alone"),
        ("", "no name"),
        (".", "no name"),
        ("a..b", "labels"),
        ("-a.com", "labels"),
        ("a-.com", "labels"),
        ("a!.com", "labels"),
        ("a b.com", "labels"),
        ("1.2.3", "looks like an address"),
        ("2130706433", "looks like an address"),
        ("a.0x7f", "looks like an address"),
        ("10.0.0.0/33", "0 to 32"),
        ("10.0.0.0/+8", "0 to 32"),
        ("2001:db8::/129", "0 to 128"),
        ("a.com:0", "1 to 65535"),
        ("a.com:+443", "1 to 65535"),
        ("a.com:65536", "1 to 65535"),
        ("a.com:", "1 to 65535"),
        ("[2001:db8::1", "] is missing"),
        ("[a.com]:443", "IPv6"),
        ("a:b:c", "several colons"),
    ] {
        let error = one(text).unwrap_err();
        assert!(error.contains(why) && error.contains(&format!("{text:?}")), "{text}: {error}");
    }
    assert!(one(&"a".repeat(64)).is_err() && one(&vec!["a"; 130].join(".")).is_err());
}

#[test]
fn a_choice_is_all_none_or_a_list_in_which_each_entry_is_once() {
    let read = |text: &str| text.parse::<EgressChoice>();
    assert_eq!(read("all"), Ok(EgressChoice::All));
    assert_eq!(read("none").unwrap().list().unwrap().to_string(), "none");
    assert_eq!(read("a.com, A.com. b.com").unwrap().list().unwrap().texts(), ["a.com", "b.com"]);
    assert!(read("all,a.com").unwrap_err().to_string().contains("stands alone"));
    assert!(read(" , ").unwrap_err().to_string().contains("names nothing"));
    assert_eq!(EgressChoice::read(&[]), read("none"));
}

#[test]
fn a_list_has_an_end() {
    let many = |count: usize, suffix: fn(usize) -> String| {
        (1..=count).map(|index| format!("n{index}.com{}", suffix(index))).collect::<Vec<_>>()
    };
    assert!(EgressChoice::read(&many(MOST, |_| String::new())).is_ok());
    assert!(EgressChoice::read(&many(MOST + 1, |_| String::new())).unwrap_err().to_string().contains("128"));
    assert!(EgressChoice::read(&many(MOST_PORTS, |index| format!(":{index}"))).is_ok());
    assert!(EgressChoice::read(&many(MOST_PORTS + 1, |index| format!(":{index}"))).is_err());
}

#[test]
fn programs_see_a_list_of_texts() {
    let list: EgressAllow = "a.com:443,10.0.0.0/8".parse().unwrap();
    let json = serde_json::to_string(&EgressChoice::Only(list.clone())).unwrap();
    assert_eq!(json, r#"["a.com:443","10.0.0.0/8"]"#);
    assert_eq!(serde_json::from_str::<EgressChoice>(&json).unwrap(), EgressChoice::Only(list));
    assert_eq!(serde_json::from_str::<EgressChoice>(r#"["all"]"#).unwrap(), EgressChoice::All);
    assert!(serde_json::from_str::<EgressAllow>(r#"["all"]"#).is_err());
    assert_eq!(serde_json::to_string(&EgressAllow::default()).unwrap(), r#"["none"]"#);
    for none in ["[]", r#"["none"]"#] {
        assert_eq!(serde_json::from_str::<EgressAllow>(none).unwrap(), EgressAllow::default());
    }
}

fn entry() -> impl Strategy<Value = String> {
    let name = "[a-zA-Z_][a-zA-Z0-9_]{0,8}(\\.[a-zA-Z_][a-zA-Z0-9_]{0,8}){0,3}\\.?";
    let host = prop_oneof![
        name.prop_map(String::from),
        name.prop_map(|name| format!("*.{name}")),
        (any::<u32>(), 0u8..=32).prop_map(|(address, bits)| format!("{}/{bits}", Ipv4Addr::from(address))),
        (any::<u128>(), 0u8..=128)
            .prop_map(|(address, bits)| format!("[{}/{bits}]", Ipv6Addr::from(address))),
    ];
    (host, proptest::option::of(1u16..)).prop_map(|(host, port)| match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

proptest! {
    #[test]
    fn what_is_kept_is_read_as_itself(text in entry()) {
        let kept: Destination = text.parse().unwrap();
        prop_assert_eq!(kept.to_string().parse::<Destination>().unwrap(), kept.clone());
        prop_assert!(!kept.to_string().contains(|c: char| c.is_uppercase() || c.is_whitespace() || c == ','));
    }

    /// What is accepted goes into the rules of a host and the settings of a resolver: nothing else may be in it.
    #[test]
    fn no_text_becomes_anything_but_letters_that_mean_nothing_there(text in "\\PC{0,40}") {
        if let Ok(kept) = text.parse::<Destination>() {
            let known = |c: char| c.is_ascii_alphanumeric() || ".-_*:/[]".contains(c);
            prop_assert!(kept.to_string().chars().all(known), "{}", kept);
        }
    }
}
