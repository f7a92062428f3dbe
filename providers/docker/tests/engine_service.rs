//! Services on the real engine: what is made, adopted, replaced, kept and left alone.

#[path = "support/service.rs"]
mod service;

use contracts::ErrorCode;
use provider_api::{CreateRequest, Outcome, Properties};
use provider_docker::conformance::IMAGE;
use provider_docker::conformance::Proxy;
use serde_json::json;
use service::{Service, docker};

#[tokio::test(flavor = "multi_thread")]
async fn a_service_created_twice_is_one_container_that_always_restarts() {
    let service = Service::new().await;
    let first = service.up(json!({})).await;
    let id = service.id();
    let again = service.up(json!({})).await;
    assert_eq!((first.id.as_str(), &first), (service.name.as_str(), &again));
    assert_eq!(first.outputs["intact"], true);
    assert_eq!(service.id(), id);
    assert_eq!(service.shown("{{.HostConfig.RestartPolicy.Name}}").unwrap(), "unless-stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_container_is_gone_for_a_read_and_made_again_with_its_data() {
    let service = Service::new().await;
    service.up(json!({})).await;
    service.exec("echo kept > file");
    docker(&["rm", "--force", &service.name]).unwrap();
    let inputs = service.inputs(json!({}));
    assert_eq!(service.read("Service", inputs.clone()).await.unwrap(), None);
    service.create("Service", &inputs).await.unwrap();
    assert_eq!(service.exec("cat file"), "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_stopped_by_hand_is_a_difference_that_an_update_repairs() {
    let service = Service::new().await;
    service.up(json!({})).await;
    // What is written as nothing is nothing.
    let (id, inputs) = (service.id(), service.inputs(json!({"environment": {}})));
    let well = service.read("Service", inputs.clone()).await.unwrap().unwrap();
    assert_eq!(service.diff(&well, &inputs).changed, Vec::<String>::new());

    docker(&["kill", &service.name]).unwrap();
    let killed = service.read("Service", inputs.clone()).await.unwrap().unwrap();
    let diff = service.diff(&killed, &inputs);
    assert_eq!((diff.changed, diff.replaces), (vec!["intact".to_owned()], vec![]));
    assert_eq!(service.update(&inputs).await.unwrap()["intact"], true);
    assert_eq!(service.id(), id);

    docker(&["pause", &service.name]).unwrap();
    service.update(&inputs).await.unwrap();
    assert_eq!(service.shown("{{.State.Paused}}").unwrap(), "false");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_inputs_make_another_container_and_keep_the_volume() {
    let service = Service::new().await;
    service.up(json!({})).await;
    service.exec("echo kept > file");
    let id = service.id();
    let changed = service.inputs(json!({"environment": {"COLOUR": "green"}}));
    let before = service.read("Service", service.inputs(json!({}))).await.unwrap().unwrap();
    let diff = service.diff(&before, &changed);
    assert_eq!((diff.changed, diff.replaces), (vec!["environment".to_owned()], vec![]));
    service.update(&changed).await.unwrap();
    assert_ne!(service.id(), id);
    assert_eq!(service.exec("cat file; echo $COLOUR"), "kept\ngreen");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_built_anew_is_a_difference_and_a_missing_one_removes_nothing() {
    let service = Service::new().await;
    let tag = format!("{}:1", service.name);
    docker(&["tag", IMAGE, &tag]).unwrap();
    service.up(json!({"image": tag})).await;
    let id = service.id();
    let inputs = service.inputs(json!({"image": tag}));
    let other = docker(&["commit", "--change", "LABEL other=1", &service.name, &tag]).unwrap();
    let read = service.read("Service", inputs.clone()).await.unwrap().unwrap();
    assert_eq!(read.outputs["intact"], false);
    service.update(&inputs).await.unwrap();
    assert_eq!(service.shown("{{.Image}}").unwrap(), other);
    assert_ne!(service.id(), id);

    let id = service.id();
    let missing = service.inputs(json!({"image": "pilot-no-such-image:1"}));
    let error = service.update(&missing).await.unwrap_err();
    assert_eq!((error.code, error.outcome), (ErrorCode::ImageMissing, Outcome::NothingHappened));
    assert!(error.action.unwrap().contains("image --pilot"));
    assert_eq!(service.id(), id);
    docker(&["rm", "--force", &service.name]);
    docker(&["rmi", "--force", &tag]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_made_is_neither_used_nor_removed() {
    let service = Service::new().await;
    let name = service.name.as_str();
    let id = docker(&["create", "--name", name, IMAGE]).unwrap();
    docker(&["volume", "create", "--label", "pilot.owner=another", name]).unwrap();
    let inputs = service.inputs(json!({"volumes": {}}));
    let errors = [
        service.create("Service", &inputs).await.unwrap_err(),
        service.update(&inputs).await.unwrap_err(),
        service.read("Service", inputs.clone()).await.unwrap_err(),
        service.delete("Service", inputs.clone()).await.unwrap_err(),
        service.create("ServiceVolume", &service.volume()).await.unwrap_err(),
        service.read("ServiceVolume", service.volume()).await.unwrap_err(),
        service.delete("ServiceVolume", service.volume()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code, ErrorCode::ForeignObject, "{error}");
        assert_eq!(error.outcome, Outcome::NothingHappened);
    }
    assert_eq!(service.read("Service", Properties::new()).await.unwrap(), None, "nothing to import");
    assert_eq!(service.id(), id);
    assert!(docker(&["volume", "inspect", name]).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_leaves_the_volume_and_both_may_be_deleted_again() {
    let service = Service::new().await;
    service.up(json!({})).await;
    for _ in 0..2 {
        service.delete("Service", service.inputs(json!({}))).await.unwrap();
        assert_eq!(service.shown("{{.Id}}"), None);
    }
    assert!(docker(&["volume", "inspect", &service.name]).is_some());
    for _ in 0..2 {
        service.delete("ServiceVolume", service.volume()).await.unwrap();
        assert_eq!(docker(&["volume", "inspect", &service.name]), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_by_name_reads_every_input_and_secrets_are_in_no_label() {
    let service = Service::new().await;
    let more = json!({"environment": {"TOKEN": "hush-hush", "EMPTY": ""}, "deleteGuard": ["true", "or not"]});
    service.up(more.clone()).await;
    let read = service.read("Service", Properties::new()).await.unwrap().unwrap();
    assert_eq!(read.inputs, service.inputs(more));
    assert_eq!(
        service.read("ServiceVolume", Properties::new()).await.unwrap().unwrap().inputs,
        service.volume()
    );
    let labels = service.shown("{{json .Config.Labels}}").unwrap();
    assert!(labels.contains("TOKEN") && !labels.contains("hush"), "{labels}");
    let schema = service.resource("Service").schema();
    assert!(schema.inputs.iter().any(|input| input.name == "environment" && input.secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_answer_fails_with_its_log_and_stays_owned() {
    let service = Service::new().await;
    service.create("ServiceVolume", &service.volume()).await.unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let inputs = service.inputs(json!({"healthUrl": format!("http://{free}/health")}));
    let timeout = Some(std::time::Duration::from_secs(1));
    let request = CreateRequest { urn: "u".to_owned(), inputs: inputs.clone(), timeout, fence: None };
    let error = service.resource("Service").create(request).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InstanceNotReady);
    assert!(error.message.contains("nothing answers") && error.message.contains("up"), "{error}");
    let Outcome::Partial { id, outputs } = error.outcome else { panic!("{:?}", error.outcome) };
    assert_eq!((id.as_str(), &outputs["intact"]), (service.name.as_str(), &json!(false)));
    service.delete("Service", inputs).await.unwrap();
    assert_eq!(service.shown("{{.Id}}"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ends_again_and_again_fails_with_what_it_said() {
    let service = Service::new().await;
    service.up(json!({})).await;
    service.exec("touch behave-die");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let inputs = service.inputs(json!({"healthUrl": format!("http://{free}/health")}));
    let error = service.update(&inputs).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::InstanceFailed);
    assert!(error.message.contains("cannot work today"), "{error}");
    assert!(matches!(error.outcome, Outcome::Partial { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_another_program_answers_is_refused_before_the_start() {
    let service = Service::new().await;
    service.create("ServiceVolume", &service.volume()).await.unwrap();
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = other.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let inputs = service.inputs(json!({"healthUrl": format!("http://{address}/health")}));
    let error = service.create("Service", &inputs).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::PortInUse);
    assert_eq!(service.shown("{{.State.Status}}").unwrap(), "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_guard_does_not_agree_or_cannot_be_asked_is_not_deleted() {
    let service = Service::new().await;
    let guard = "test ! -e tenant || { echo somebody lives here; exit 3; }";
    let more = json!({"deleteGuard": ["sh", "-c", format!("cd /home/pilot; {guard}")]});
    service.up(more.clone()).await;
    service.exec("touch tenant");
    let error = service.delete("Service", service.inputs(more.clone())).await.unwrap_err();
    assert_eq!((error.code, &error.outcome), (ErrorCode::ProviderInUse, &Outcome::NothingHappened));
    assert!(error.message.contains("ended with 3") && error.message.contains("somebody lives"), "{error}");

    service.exec("rm tenant");
    docker(&["kill", &service.name]).unwrap();
    let error = service.delete("Service", service.inputs(more.clone())).await.unwrap_err();
    assert!(error.message.contains("does not run"), "{error}");
    assert!(error.action.unwrap().contains("pulumi up --refresh"));

    service.update(&service.inputs(more.clone())).await.unwrap();
    service.delete("Service", service.inputs(more)).await.unwrap();
    assert_eq!(service.shown("{{.Id}}"), None);
}

/// The call is carried out, its answer never arrives: the next attempt must find what was made.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_make_no_orphans_and_no_doubles() {
    let proxy = Proxy::start().await;
    let service = Service::through(proxy.host()).await;
    let inputs = service.inputs(json!({}));
    let world = &service.world;
    for (kind, lost) in
        [("ServiceVolume", "/volumes/create"), ("Service", "/containers/create"), ("Service", "/start")]
    {
        let inputs = if kind == "Service" { inputs.clone() } else { service.volume() };
        proxy.lose_answer_to(lost);
        let error = service.create(kind, &inputs).await.unwrap_err();
        assert!(proxy.has_lost(), "{lost} was never asked");
        assert!(!matches!(error.outcome, Outcome::NothingHappened), "{lost}: {error:?}");
        if lost == "/containers/create" {
            assert!(world.docker.inspect_volume(&service.name).await.is_ok());
            docker(&["rm", "--force", &service.name]).unwrap();
        }
    }
    service.create("Service", &inputs).await.unwrap();
    assert_eq!(service.shown("{{.State.Status}}").unwrap(), "running");
    for _ in 0..2 {
        proxy.lose_answer_to("DELETE ");
        let _ = service.delete("Service", inputs.clone()).await;
    }
    assert_eq!(service.shown("{{.Id}}"), None);
}
