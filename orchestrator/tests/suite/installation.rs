//! An installation of a test's own, with something in every table and some states, and what is really in a place, seen
//! without any of the code that copies.

use std::collections::BTreeMap;
use std::path::Path;

use contracts::OperationId;
use contracts::operation::OperationKind;
use orchestrator::backup::{Installation, Key};
use orchestrator::data::{DataFolder, Layout};
use orchestrator::store::{Change, NewOperation, Store, WorkspaceRow};
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

pub type Rows = Vec<BTreeMap<String, Value>>;
pub type Dump = BTreeMap<String, Rows>;

pub fn key() -> Key {
    Key::new(&[b'k'; 40]).unwrap()
}

pub fn in_folder(root: &Path) -> Installation {
    Installation { layout: Layout { root: root.to_owned() }, database: None }
}

pub async fn open(at: &Installation) -> Store {
    match &at.database {
        Some(url) => Store::join(url).await.unwrap(),
        None => Store::open(&at.layout.database()).await.unwrap(),
    }
}

pub async fn connect(at: &Installation) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let file = || format!("sqlite://{}?mode=rwc", at.layout.database().display());
    AnyConnection::connect(&at.database.clone().unwrap_or_else(file)).await.unwrap()
}

/// Secrets and empty tables.
pub async fn found(at: &Installation) -> Store {
    let data = DataFolder::open(&at.layout.root).unwrap();
    let store = open(at).await;
    assert!(store.belongs_to(&data.secrets_digest()).await.unwrap());
    store
}

/// With a workspace that runs, one that is being made, and a row in every table.
pub async fn inhabited(at: &Installation) -> [WorkspaceRow; 2] {
    let store = found(at).await;
    let rows = ["demo", "other"]
        .map(|slug| WorkspaceRow::new(slug.parse().unwrap(), "fake".parse().unwrap(), "small".to_owned()));
    for row in &rows {
        store.insert_workspace(row, &new(OperationKind::Create)).await.unwrap();
    }
    let claimed = store.claim("one", std::time::Duration::from_secs(60), &[], &[]).await.unwrap().unwrap();
    let hold = orchestrator::store::Hold {
        operation: claimed.operation.id.clone(),
        runtime: claimed.operation.runtime_id.clone(),
        fence: claimed.fence,
    };
    use orchestrator::lifecycle::state::Event;
    for event in [Event::CreateStarted, Event::Applied] {
        let step = orchestrator::store::Step { phases: None, change: Some(Change::of(event)) };
        store.advance(&hold, step).await.unwrap();
    }
    assert!(store.lease("reconciler", "one", std::time::Duration::from_secs(60)).await.unwrap().is_some());
    let member = contracts::rollout::Member {
        workspace_id: rows[0].id.clone(),
        slug: rows[0].slug.clone(),
        state: contracts::rollout::MemberState::Waiting,
        reason: None,
        before: None,
        target: contracts::workspace::Image::named("fake:2"),
        operation: None,
    };
    let rollout = contracts::rollout::Rollout {
        id: contracts::RolloutId::random(),
        provider: rows[0].provider.clone(),
        state: contracts::rollout::RolloutState::Running,
        image: None,
        rolls_back: None,
        at_once: 1,
        counts: Default::default(),
        error: None,
        created_at: jiff::Timestamp::now(),
        finished_at: None,
        members: vec![member],
    };
    store.insert_rollout(&rollout, ("admin", "req-2"), None).await.unwrap();
    let stray = provider_api::OwnedObject {
        runtime_id: contracts::RuntimeId::random(),
        kind: "volume".to_owned(),
        id: "of-nobody".to_owned(),
        home: provider_api::Home::Is,
    };
    store.keep_strays(&rows[0].provider, vec![stray]).await.unwrap();
    store.close().await;
    let mut connection = connect(at).await;
    for (number, row) in rows.iter().enumerate() {
        let operation = OperationId::random();
        let text = format!(
            "INSERT INTO events (operation_id, sequence, at, body) VALUES ('{}', 1, 'now', '{{\"it''s\": \"{number}\"}}')",
            operation.as_str()
        );
        connection.execute(sqlx::raw_sql(AssertSqlSafe(text))).await.unwrap();
        put_state(at, &mut connection, row.runtime_id.as_str(), &checkpoint(row.runtime_id.as_str())).await;
    }
    connection.close().await.unwrap();
    rows
}

pub fn checkpoint(name: &str) -> String {
    json!({"version": 3, "checkpoint": {"stack": name, "latest": {}}}).to_string()
}

pub fn new(kind: OperationKind) -> NewOperation {
    let (request_id, principal) = ("req-1".to_owned(), "admin".to_owned());
    let idempotency = Some((OperationId::random().to_string(), "digest".to_owned()));
    NewOperation { idempotency, ..NewOperation::of(kind, &principal, &request_id) }
}

/// A state as Pulumi keeps it.
pub async fn put_state(at: &Installation, connection: &mut AnyConnection, stack: &str, text: &str) {
    let key = format!(".pulumi/stacks/pilot/{stack}.json");
    match at.database {
        None => {
            let path = at.layout.state().join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Some(_) => {
            use base64::Engine as _;
            let table = "CREATE TABLE IF NOT EXISTS pulumi_state (key TEXT PRIMARY KEY, data JSON NOT NULL,
                         updated_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now())";
            connection.execute(table).await.unwrap();
            let data = json!({"data": base64::engine::general_purpose::STANDARD.encode(text)}).to_string();
            let put =
                "INSERT INTO pulumi_state (key, data) VALUES (current_database() || '/' || $1, $2::json)";
            sqlx::query(put).bind(key).bind(data).execute(connection).await.unwrap();
        }
    }
}

/// What is in every table, sorted.
pub async fn dump(at: &Installation) -> Dump {
    let mut connection = connect(at).await;
    let mut dump = Dump::new();
    for table in tables(at, &mut connection).await {
        let select = match at.database {
            Some(_) => format!("SELECT row_to_json(t)::text FROM \"{table}\" t"),
            None => {
                let names = "SELECT group_concat(quote(name) || ', \"' || name || '\"', ', ') FROM pragma_table_info($1)";
                let names: String =
                    sqlx::query_scalar(names).bind(&table).fetch_one(&mut connection).await.unwrap();
                format!("SELECT json_object({names}) FROM \"{table}\"")
            }
        };
        let rows =
            sqlx::query_scalar::<_, String>(AssertSqlSafe(select)).fetch_all(&mut connection).await.unwrap();
        let mut rows: Rows = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
        // A column that only one of the databases has is empty in it.
        rows.iter_mut().for_each(|row| row.retain(|_, value| !value.is_null()));
        rows.sort_by_key(|row| serde_json::to_string(row).unwrap());
        dump.insert(table, rows);
    }
    connection.close().await.unwrap();
    dump
}

async fn tables(at: &Installation, connection: &mut AnyConnection) -> Vec<String> {
    let select = match at.database {
        Some(_) => "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
        None => "SELECT name FROM sqlite_master WHERE type = 'table'",
    };
    let mut names = sqlx::query_scalar::<_, String>(select).fetch_all(connection).await.unwrap();
    names.retain(|name| !["_sqlx_migrations", "sqlite_sequence", "pulumi_state"].contains(&name.as_str()));
    names
}

/// As a restore makes it of what was there.
pub fn as_restored(mut dump: Dump) -> Dump {
    let raise = |row: &mut BTreeMap<String, Value>, column: &str, by: i64| {
        let raised = row[column].as_i64().unwrap() + by;
        row.insert(column.to_owned(), raised.into());
    };
    for row in dump.get_mut("runtimes").unwrap() {
        raise(row, "fence", 1_000_000);
        raise(row, "generation", 1_000);
        raise(row, "revision", 1);
    }
    for row in dump.get_mut("leases").unwrap() {
        raise(row, "fence", 1_000_000);
        row.insert("holder".to_owned(), "".into());
        row.insert("until".to_owned(), 0.into());
    }
    for row in dump.get_mut("operations").unwrap().iter_mut().filter(|row| row["state"] == "running") {
        row.remove("claimer");
        row.insert("lease_until".to_owned(), 0.into());
    }
    dump.values_mut().for_each(|rows| rows.sort_by_key(|row| serde_json::to_string(row).unwrap()));
    dump
}

/// All states by their keys.
pub async fn states(at: &Installation) -> BTreeMap<String, Vec<u8>> {
    if at.database.is_some() {
        use base64::Engine as _;
        let mut connection = connect(at).await;
        let select =
            "SELECT substr(key, length(current_database()) + 2) || ' ' || (data->>'data') FROM pulumi_state";
        let rows = sqlx::query_scalar::<_, String>(select).fetch_all(&mut connection).await.unwrap();
        let decode = |data: &str| base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        return rows
            .iter()
            .map(|row| row.split_once(' ').unwrap())
            .map(|(key, data)| (key.to_owned(), decode(data)))
            .collect();
    }
    let mut found = BTreeMap::new();
    let mut folders = vec![at.layout.state()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let key = entry.path().strip_prefix(at.layout.state()).unwrap().display().to_string();
            found.insert(key, std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

/// Every secret by its name.
pub fn secrets(at: &Installation) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(at.layout.root.join("secrets")).unwrap().flatten();
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}
