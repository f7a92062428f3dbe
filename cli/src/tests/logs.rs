//! `ws logs -f`: what is new, until the workspace is gone.

use serde_json::Value;

use crate::Outcome;
use crate::tests::fake::{pilot, server};

fn lines(range: std::ops::Range<u32>) -> String {
    range.map(|number| format!("line {number} of the log\n")).collect()
}

#[tokio::test]
async fn following_prints_each_line_once_and_ends_with_the_workspace() {
    let (at, script) = server().await;
    script.lock().unwrap().logs = [lines(0..3), lines(0..3), lines(1..6)].into();
    script.lock().unwrap().ends = true;
    let shown = pilot(at, "ws logs demo -f").await;
    assert_eq!((shown.result, shown.out), (Ok(Outcome::Done), lines(0..6)));
    assert_eq!(shown.err, "demo is deleted.\n");
    let asked = script.lock().unwrap().asked.pop().unwrap();
    assert_eq!(asked, "GET /v1/workspaces/ws_1/logs?bytes=65536");
}

#[tokio::test]
async fn a_log_that_was_replaced_is_shown_from_its_beginning() {
    let (at, script) = server().await;
    script.lock().unwrap().logs = [lines(0..3), "booting\n".to_owned()].into();
    script.lock().unwrap().ends = true;
    let shown = pilot(at, "ws logs demo --follow").await;
    assert_eq!(shown.out, lines(0..3) + "booting\n");
    assert_eq!(shown.err, "... the log begins anew\ndemo is deleted.\n");
}

#[tokio::test]
async fn more_than_fits_between_two_looks_is_said_to_be_missing() {
    let (at, script) = server().await;
    script.lock().unwrap().logs = [lines(0..3000), lines(5000..8000)].into();
    script.lock().unwrap().ends = true;
    let shown = pilot(at, "ws logs demo -f --bytes 100 --json").await;
    assert_eq!(shown.err, "... some lines were not seen\ndemo is deleted.\n");
    let texts: Vec<Value> = shown.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(texts[0]["text"], lines(2996..3000), "only as much of the first end as was asked for");
    assert_eq!(texts[1]["text"], lines(5000..8000));
}

#[tokio::test]
async fn a_log_without_anything_in_it_says_so_and_prints_nothing() {
    let (at, script) = server().await;
    script.lock().unwrap().logs = [String::new()].into();
    let shown = pilot(at, "ws logs demo").await;
    assert_eq!((shown.result, shown.out.as_str()), (Ok(Outcome::Done), ""));
    assert!(shown.err.starts_with("There is nothing in the log of demo"), "{}", shown.err);
}
