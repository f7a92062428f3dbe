//! What errors advise can be typed: every command that a text of the product or a page of an error names is one that there is,
//! with all that it needs.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::Args;

#[test]
fn every_command_that_an_error_advises_can_be_typed_as_it_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for folder in
        ["backend", "cli", "contracts", "gateway", "instance-image", "orchestrator", "providers", "proxy"]
    {
        collect(&root.join(folder), "rs", &mut files);
    }
    collect(&root.join("docs/errors"), "md", &mut files);
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for command in commands(&text) {
            seen += 1;
            if let Err(why) = check(&command) {
                wrong.push(format!("{}: `{command}`: {why}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 100, "only {seen} were found");
}

/// Sources and pages, but no tests and nothing that was built.
fn collect(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "tests", "node_modules"].contains(&name.as_str()) {
            collect(&path, extension, files);
        } else if path.extension().is_some_and(|one| one == extension) && name != "tests.rs" {
            files.push(path);
        }
    }
}

/// Between backticks, and in the blocks of pages; comments of sources are for other readers.
fn commands(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| match line.strip_suffix('\\') {
            // A text that goes on in the next line of the source.
            Some(part) => part.to_owned(),
            None => format!("{line}\n"),
        })
        .collect();
    let quoted = code.split('`').filter(|part| part.starts_with("pilot ") && !part.contains('\n'));
    quoted.map(|command| command.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn check(command: &str) -> Result<(), String> {
    let mut words = Vec::new();
    for word in command.split(' ') {
        match word {
            // What a shell reads.
            "..." | "<" | "|" => break,
            // What is put in when the text is made.
            "{server}" => words.push("https://pilot.example.com".to_owned()),
            word if word.contains('{') => words.push("demo".to_owned()),
            "NAME" | "SLUG" | "ID" => words.push("demo".to_owned()),
            "URL" => words.push("https://pilot.example.com".to_owned()),
            "ADDR" => words.push("127.0.0.1:1".to_owned()),
            "N" | "SECONDS" => words.push("1".to_owned()),
            word => words.push(word.trim_matches('"').to_owned()),
        }
    }
    let error = match Args::try_parse_from(&words) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let text = error.to_string();
    let missing = text.split("Usage:").next().unwrap_or_default();
    match error.kind() {
        // The group of commands itself is meant.
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingSubcommand => Ok(()),
        // Files and addresses are the reader's. Which workspace a command is about is not.
        ErrorKind::MissingRequiredArgument if !missing.contains("<SLUG>") => Ok(()),
        _ => Err(missing.split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}
