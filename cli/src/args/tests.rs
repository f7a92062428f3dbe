//! What can be typed, and what cannot.

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Args::command().debug_assert();
}

/// All commands that can be typed, by their words.
fn commands(of: &clap::Command, words: &[&str], all: &mut Vec<Vec<String>>) {
    let words = [words, &[of.get_name()]].concat();
    match of.has_subcommands() {
        true => of
            .get_subcommands()
            .filter(|one| one.get_name() != "help")
            .for_each(|one| commands(one, &words, all)),
        false => all.push(words.iter().map(|word| word.to_string()).collect()),
    }
}

#[test]
fn no_usage_has_what_every_command_takes_as_if_a_command_needed_it() {
    let (mut all, mut wrong) = (Vec::new(), 0);
    commands(&Args::command(), &[], &mut all);
    for words in &all {
        let line = words.iter().map(String::as_str).chain(["--json", "--data", "here", "--config", "there"]);
        // Nothing else is said, so that whoever needs something misses it.
        let Err(error) = Args::parser().try_get_matches_from(line) else { continue };
        assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument, "{words:?}: {error}");
        let text = error.to_string();
        let usage = text.lines().find(|line| line.starts_with("Usage: ")).unwrap();
        assert!(usage.starts_with(&format!("Usage: {} ", words.join(" "))), "{usage}");
        for option in ["--json", "--data", "--config", "--server", "--token"] {
            assert!(!usage.contains(option), "{usage}");
        }
        wrong += 1;
    }
    assert!(all.len() > 40 && wrong > 25, "{wrong} of {}", all.len());
}

#[test]
fn connection_flags_stand_anywhere_after_the_noun() {
    for line in ["pilot ws --server http://a:1 ls", "pilot ws ls --server http://a:1 --json"] {
        let args = Args::try_parse_from(line.split(' ')).unwrap();
        let Command::Ws(ws) = args.command else { panic!("{line}") };
        assert_eq!(ws.connection.server.unwrap().as_str(), "http://a:1/");
    }
}

#[test]
fn what_makes_or_renames_a_workspace_says_which_names_there_can_be() {
    let most = "a".repeat(40);
    assert!(
        most.parse::<contracts::Slug>().is_ok() && format!("{most}a").parse::<contracts::Slug>().is_err()
    );
    for line in ["pilot ws create --help", "pilot ws rename --help"] {
        let help = Args::try_parse_from(line.split(' ')).unwrap_err().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let (last, first) = contracts::ids::RESERVED.split_last().unwrap();
        let reserved = format!("{} and {last} are reserved", first.join(", "));
        assert!(help.contains("1 to 40 of a-z, 0-9 and '-'") && help.contains(&reserved), "{help}");
    }
}

#[test]
fn serve_takes_addresses_under_short_names_as_well() {
    let line = "pilot serve --gateway 127.0.0.1:1 --orchestrator 127.0.0.1:2 --admin 127.0.0.1:3";
    let Command::Serve(serve) = Args::try_parse_from(line.split(' ')).unwrap().command else { panic!() };
    let given = [serve.listen_gateway, serve.listen_orchestrator, serve.listen_admin];
    assert_eq!(given.map(|address| address.unwrap().port()), [1, 2, 3]);
}

#[test]
fn a_label_that_is_given_twice_is_wrong_usage_and_named() {
    let read = |line: &str| Args::try_parse_from(line.split(' ')).unwrap().sound();
    for twice in
        ["pilot ws create x --label a=1 --label b=1 --label a=2", "pilot ws create x --label a=1 --label a=1"]
    {
        let error = read(twice).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("the label a is given twice"), "{error}");
    }
    assert!(read("pilot ws create x --label a=1 --label b=1").is_ok());
    assert!(read("pilot ws ls --label a=1 --label a=1").is_ok());
}

#[test]
fn contradicting_flags_are_wrong_usage() {
    for line in [
        "pilot ws create a --plan --no-wait",
        "pilot ws create a --ref main",
        "pilot ws stop",
        "pilot ws rm a --all",
        "pilot ws rm --deleted --all",
        "pilot ws rm a --purge --forget",
        "pilot backup create a.backup --key-file k --database mysql://a/b",
        "pilot serve --ready-timeout 0",
        "pilot serve --instance-ports 9-1",
        "pilot serve --log a=b=c",
    ] {
        let error = Args::try_parse_from(line.split(' ')).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

/// A line that is broken in the source is broken a second time where the terminal ends.
#[test]
fn the_words_below_a_help_are_broken_by_the_terminal_alone() {
    fn broken(of: &clap::Command, found: &mut Vec<String>) {
        let text = of.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let is_prose =
                |line: &str| line.starts_with(|first: char| !first.is_whitespace()) && !line.ends_with(':');
            if is_prose(pair[0]) && is_prose(pair[1]) {
                found.push(format!("{}: {}", of.get_name(), pair[0]));
            }
        }
        of.get_subcommands().for_each(|one| broken(one, found));
    }
    let mut found = Vec::new();
    broken(&Args::command(), &mut found);
    assert_eq!(found, Vec::<String>::new());
}
