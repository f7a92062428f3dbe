//! Rows of any content in every table, and states of any bytes.

use orchestrator::backup::Installation;
use proptest::prelude::*;
use sqlx::AssertSqlSafe;

use super::installation::{connect, put_state};

/// What fills the columns, one after the other.
#[derive(Debug, Clone)]
pub struct Given {
    rows: usize,
    texts: Vec<String>,
    numbers: Vec<i64>,
    states: Vec<String>,
}

/// PostgreSQL has no text with a zero in it; numbers leave room for what a restore adds.
pub fn given() -> impl Strategy<Value = Given> {
    let text = || "[^\u{0}]{0,40}";
    let number = prop_oneof![-(1i64 << 62)..(1i64 << 62), -3i64..3];
    (
        0usize..20,
        proptest::collection::vec(text(), 1..30),
        proptest::collection::vec(number, 1..30),
        proptest::collection::vec(text(), 0..6),
    )
        .prop_map(|(rows, texts, numbers, states)| Given { rows, texts, numbers, states })
}

/// Columns that were given up, and are empty in every file.
const BEFORE: [&str; 2] = ["idempotency_key", "request_digest"];

impl Given {
    /// Each table gets rows; what must be unique begins with the row's number, and workspaces have a runtime each.
    pub async fn put(&self, at: &Installation) {
        let mut connection = connect(at).await;
        let names = "SELECT m.name || ' ' || p.name || ' ' || p.type FROM sqlite_master m, pragma_table_info(m.name) p
                     WHERE m.type = 'table' AND m.name NOT LIKE '!_%' ESCAPE '!' AND m.name NOT LIKE 'sqlite%'";
        let columns = sqlx::query_scalar::<_, String>(names).fetch_all(&mut connection).await.unwrap();
        let mut tables: Vec<&str> = columns.iter().map(|column| column.split(' ').next().unwrap()).collect();
        tables.dedup();
        // Those that are referred to come first.
        tables.sort_by_key(|table| *table != "runtimes");
        let mut taken = 0;
        for table in tables {
            for row in 0..self.rows {
                let mut values = Vec::new();
                let mut names = Vec::new();
                for column in columns.iter().filter(|column| column.split(' ').next() == Some(table)) {
                    let [_, name, kind] = column.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                        panic!("{column}")
                    };
                    if BEFORE.contains(&name) {
                        continue;
                    }
                    taken += 1;
                    let text = &self.texts[taken % self.texts.len()];
                    let number = self.numbers[taken % self.numbers.len()];
                    names.push(format!("\"{name}\""));
                    values.push(match (table, name, kind) {
                        ("runtimes", "id", _) | ("workspaces", "runtime_id", _) => {
                            quoted(&format!("rt-{row}"))
                        }
                        (_, "sequence" | "began", _) => row.to_string(),
                        (_, _, "TEXT") => quoted(&format!("{row}-{text}")),
                        _ => number.to_string(),
                    });
                }
                let text =
                    format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
                sqlx::query(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
            }
        }
        for (number, text) in self.states.iter().enumerate() {
            put_state(at, &mut connection, &format!("rt-{number}"), text).await;
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
