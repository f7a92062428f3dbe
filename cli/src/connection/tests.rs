//! Which server is meant, and which token goes there.

use super::*;
use crate::endpoints::Endpoint;

struct Home {
    _temporary: tempfile::TempDir,
    folders: Folders,
}

/// A data folder with a token, and two contexts of which `prod` is the current one.
fn home() -> Home {
    let temporary = tempfile::tempdir().unwrap();
    let data = temporary.path().join("data");
    std::fs::create_dir_all(data.join("secrets")).unwrap();
    std::fs::write(data.join("secrets/admin-token"), "of-the-folder\n").unwrap();
    let folders = Folders { data, data_is_named: false, config: temporary.path().join("config") };
    let add = |contexts: &mut Contexts| {
        for name in ["prod", "test"] {
            let server = format!("https://{name}.example.com").parse().unwrap();
            let context = Context { server, gateway: None, ca: None, token: format!("of-{name}") };
            contexts.contexts.insert(name.to_owned(), context);
        }
        contexts.current = Some("prod".to_owned());
        Ok(())
    };
    Contexts::change(&folders.config, add).unwrap();
    Home { _temporary: temporary, folders }
}

fn serve(folders: &Folders, pid: u32) {
    let endpoint = |port| Some(Endpoint { url: loopback(port).unwrap(), pid });
    Endpoints { orchestrator: endpoint(1), gateway: endpoint(2), admin: None }
        .publish(&folders.data)
        .unwrap();
}

/// Host, who chose it, and the token.
fn chosen(connection: &Connection, folders: &Folders) -> (String, String, String) {
    let Chosen { target, token } = choose(connection, folders).unwrap();
    let token = read_token(connection, token, folders).unwrap_or_else(|problem| problem.code.to_string());
    (target.server.host_str().unwrap().to_owned(), target.why, token)
}

/// No process has it.
const NOBODY: u32 = u32::MAX;

#[test]
fn a_named_server_comes_first_then_a_named_context_then_this_machines_server_then_the_current_context() {
    let Home { folders, _temporary } = home();
    let mut connection = Connection::default();
    let current = ("prod.example.com", "the current context, prod", "of-prod");
    let expect = |connection: &Connection, (host, why, token): (&str, &str, &str)| {
        let expected = (host.to_owned(), why.to_owned(), token.to_owned());
        assert_eq!(chosen(connection, &folders), expected);
    };
    expect(&connection, current);
    serve(&folders, NOBODY);
    expect(&connection, current);
    serve(&folders, std::process::id());
    let here = format!("the server of {}", folders.data.display());
    expect(&connection, ("127.0.0.1", &here, "of-the-folder"));
    connection.context = Some("test".to_owned());
    expect(&connection, ("test.example.com", "context test", "of-test"));
    connection.server = Some("http://127.0.0.1:9".parse().unwrap());
    expect(&connection, ("127.0.0.1", "named by --server or PILOT_SERVER", "of-the-folder"));
}

#[test]
fn a_named_data_folder_means_its_own_server_even_when_that_is_down() {
    let Home { mut folders, _temporary } = home();
    folders.data_is_named = true;
    serve(&folders, NOBODY);
    let (host, why, token) = chosen(&Connection::default(), &folders);
    assert_eq!((host.as_str(), token.as_str()), ("127.0.0.1", "of-the-folder"));
    assert!(why.starts_with("the server of"), "{why}");
}

#[test]
fn a_named_data_folder_without_a_server_leads_to_no_other_server() {
    let Home { mut folders, _temporary } = home();
    folders.data_is_named = true;
    let problem = choose(&Connection::default(), &folders).err().unwrap();
    assert_eq!(problem.code, ErrorCode::OrchestratorUnreachable);
    assert!(problem.detail.contains(folders.data.to_str().unwrap()), "{problem}");
}

#[test]
fn a_server_without_a_gateway_leads_to_no_other_gateway() {
    let Home { folders, _temporary } = home();
    let at = Endpoint { url: loopback(1).unwrap(), pid: std::process::id() };
    Endpoints { orchestrator: Some(at), ..Endpoints::default() }.publish(&folders.data).unwrap();
    assert_eq!(choose(&Connection::default(), &folders).unwrap().target.gateway, None);
}

#[test]
fn without_contexts_the_usual_address_is_tried() {
    let Home { mut folders, _temporary } = home();
    folders.config = folders.data.join("none");
    assert_eq!(chosen(&Connection::default(), &folders).1, "the usual address");
    let unknown = Connection { context: Some("nope".to_owned()), ..Connection::default() };
    let problem = choose(&unknown, &folders).err().unwrap();
    assert_eq!(
        (problem.code, problem.title.as_str()),
        (ErrorCode::NotFound.into(), "There is no such context")
    );
}

#[test]
fn the_data_folders_token_and_gateway_are_not_for_other_machines() {
    let Home { mut folders, _temporary } = home();
    let named = |url: &str| Connection { server: Some(url.parse().unwrap()), ..Connection::default() };
    for (url, token, has_gateway) in [
        ("http://localhost:1", "of-the-folder", true),
        ("http://[::1]:1", "of-the-folder", true),
        ("https://pilot.example.com", "unauthorized", false),
        ("http://10.0.0.1:1", "unauthorized", false),
    ] {
        assert_eq!(chosen(&named(url), &folders).2, token, "{url}");
        assert_eq!(choose(&named(url), &folders).unwrap().target.gateway.is_some(), has_gateway, "{url}");
    }
    folders.data_is_named = true;
    assert_eq!(chosen(&named("https://pilot.example.com"), &folders).2, "of-the-folder", "both were named");
}

#[test]
fn a_token_that_is_given_comes_before_those_that_are_kept() {
    let Home { folders, _temporary } = home();
    let mut connection = Connection { token: Some(" given \n".to_owned()), ..Connection::default() };
    assert_eq!(chosen(&connection, &folders).2, "given");
    let file = folders.data.join("token");
    std::fs::write(&file, "of-the-file\n").unwrap();
    connection.token_file = Some(file);
    assert_eq!(chosen(&connection, &folders).2, "of-the-file");
    connection.token_file = Some(folders.data.join("none"));
    assert_eq!(chosen(&connection, &folders).2, "unauthorized", "a file that was named is not passed over");
    assert!(checked("two words").is_err() && checked("\n").is_err());
}

#[test]
fn addresses_with_passwords_or_of_other_kinds_are_refused() {
    for bad in ["https://ada:secret@a", "https://ada@a", "ftp://a", "data:x"] {
        assert_eq!(usable(bad.parse().unwrap()).unwrap_err().code, ErrorCode::BadRequest, "{bad}");
    }
    assert!(usable("https://a:1".parse().unwrap()).is_ok());
}
