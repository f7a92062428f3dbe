use serde_json::json;

use super::*;

fn archive(folder: &Path, files: &[(&str, Vec<u8>)]) -> PathBuf {
    let path = folder.join("image.tar");
    let mut tar = tar::Builder::new(File::create(&path).unwrap());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap();
    path
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// A layout whose index leads to an index, with an attestation, as BuildKit writes it.
fn layout(images: &[&str]) -> Vec<(&'static str, Vec<u8>)> {
    let images: Vec<_> = images
        .iter()
        .map(|architecture| json!({"digest": format!("sha256:{architecture}"), "platform": {"architecture": architecture}}))
        .collect();
    let image = |config: &str| {
        bytes(
            &json!({"config": {"digest": format!("sha256:{config}")}, "layers": [{"digest": "sha256:layer"}]}),
        )
    };
    let config = |architecture: &str| bytes(&json!({"architecture": architecture, "os": "linux"}));
    let name = json!({"io.containerd.image.name": "docker.io/team/app:2"});
    vec![
        ("oci-layout", bytes(&json!({"imageLayoutVersion": "1.0.0"}))),
        ("index.json", bytes(&json!({"manifests": [{"digest": "sha256:inner", "annotations": name}]}))),
        ("blobs/sha256/inner", bytes(&json!({"manifests": images}))),
        ("blobs/sha256/arm64", image("c1")),
        ("blobs/sha256/amd64", image("c2")),
        ("blobs/sha256/c1", config("arm64")),
        ("blobs/sha256/c2", config("amd64")),
        ("blobs/sha256/layer", vec![7; 1500]),
    ]
}

#[tokio::test]
async fn an_oci_layout_is_read_through_its_indexes_and_without_attestations() {
    let folder = tempfile::tempdir().unwrap();
    let found = Archive::open(archive(folder.path(), &layout(&["arm64", "unknown"]))).await.unwrap();
    assert_eq!(found.architecture.as_deref(), Some("arm64"));
    assert_eq!(found.names, BTreeSet::from(["docker.io/team/app:2".to_owned()]));
    let mut content = Vec::new();
    found.content(&found.layers[0]).unwrap().read_to_end(&mut content).unwrap();
    assert_eq!(content, [7; 1500]);
}

#[tokio::test]
async fn the_names_that_a_load_would_give_are_known_before() {
    let folder = tempfile::tempdir().unwrap();
    let list = json!([{"Config": "c.json", "Layers": [], "RepoTags": ["a:1", "b:2"]}]);
    let files = [("manifest.json", bytes(&list)), ("c.json", bytes(&json!({"architecture": "amd64"})))];
    let found = Archive::open(archive(folder.path(), &files)).await.unwrap();
    assert_eq!(found.names.iter().map(String::as_str).collect::<Vec<_>>(), ["a:1", "b:2"]);
}

#[tokio::test]
async fn what_is_no_archive_of_an_image_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let error = Archive::open(archive(folder.path(), &[("x", vec![1])])).await.unwrap_err();
    assert!(error.code == ErrorCode::BadRequest && error.message.contains("manifest.json"), "{error}");
    let index = json!({"manifests": [{"digest": "sha256:own"}]});
    let endless = [("index.json", bytes(&index)), ("blobs/sha256/own", bytes(&index))];
    let error = Archive::open(archive(folder.path(), &endless)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::BadRequest, "{error}");
}

#[tokio::test]
async fn an_image_for_another_system_than_linux_is_unusable_whatever_its_processors() {
    let folder = tempfile::tempdir().unwrap();
    let list = json!([{"Config": "c.json", "Layers": [], "RepoTags": null}]);
    for (system, code) in [
        (json!("windows"), Some(ErrorCode::ImageUnusable)),
        (json!("linux"), None),
        (json!(""), None),
        (Value::Null, None),
    ] {
        let config = json!({"architecture": "amd64", "os": system});
        let files = [("manifest.json", bytes(&list)), ("c.json", bytes(&config))];
        let found = Archive::open(archive(folder.path(), &files)).await;
        assert_eq!(found.err().map(|error| error.code), code, "{system}");
    }
}

#[tokio::test]
async fn a_layer_is_known_by_its_digests_and_each_has_to_have_one_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let files = |ids: &[&str]| {
        let list = json!([{"Config": "c.json", "Layers": ["blobs/sha256/1b"], "RepoTags": null}]);
        let config = json!({"rootfs": {"diff_ids": ids}});
        [("manifest.json", bytes(&list)), ("c.json", bytes(&config)), ("blobs/sha256/1b", vec![1])]
    };
    let found = Archive::open(archive(folder.path(), &files(&["sha256:2c"]))).await.unwrap();
    let layer = &found.layers[0];
    let digests = (layer.digest.as_deref(), layer.diff_id.as_deref());
    assert_eq!(digests, (Some("sha256:1b"), Some("sha256:2c")));
    let error = Archive::open(archive(folder.path(), &files(&["a", "b"]))).await.unwrap_err();
    assert!(error.code == ErrorCode::BadRequest && error.message.contains("2 layers"), "{error}");
}

#[tokio::test]
async fn what_is_compressed_or_no_archive_is_told_without_its_content_and_without_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.tar");
    let secret = "canary-5d1 ".repeat(100);
    let zstd = [&[0x28, 0xb5, 0x2f, 0xfd], secret.as_bytes()].concat();
    let gzip = [&[0x1f, 0x8b, 8], secret.as_bytes()].concat();
    for (content, said) in [
        (gzip.as_slice(), "gunzip"),
        (&zstd, "unzstd"),
        (secret.as_bytes(), "no tar archive"),
        (&secret.as_bytes()[..99], "no tar archive"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = Archive::open(path.clone()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::BadRequest);
        let words = format!("{} {}", error.message, error.action.unwrap_or_default());
        assert!(words.contains(said), "{words}");
        assert!(!words.contains("canary") && !words.contains(&*folder.path().to_string_lossy()), "{words}");
    }
}

#[tokio::test]
async fn an_archive_for_several_processors_names_them_and_how_one_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let several = archive(folder.path(), &layout(&["arm64", "amd64"]));
    let error = Archive::open(several).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::BadRequest);
    assert!(error.message.contains("linux/amd64, linux/arm64"), "{error}");
    assert!(error.action.unwrap().contains("docker save --platform linux/amd64"));

    let list = json!([{"Config": "c.json", "Layers": [], "RepoTags": ["a:1"]}, {"Config": "d.json", "Layers": [], "RepoTags": ["b:2"]}]);
    let config = bytes(&json!({"architecture": "amd64", "os": "linux"}));
    let files = [("manifest.json", bytes(&list)), ("c.json", config.clone()), ("d.json", config)];
    let error = Archive::open(archive(folder.path(), &files)).await.unwrap_err();
    assert!(error.message.ends_with("several images: a:1, b:2"), "{error}");
    assert!(!error.action.unwrap().contains("--platform"));
}

#[tokio::test]
async fn an_image_under_two_tags_is_one_and_what_is_attached_to_it_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let named = |name: &str| json!({"digest": "sha256:amd64", "platform": {"architecture": "amd64"}, "annotations": {"io.containerd.image.name": name}});
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let of = |manifests: Value| {
        let mut files = layout(&[]);
        files[1].1 = bytes(&json!({"manifests": manifests}));
        let artifact = json!({"config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:c1"}, "layers": []});
        files.push(("blobs/sha256/sbom", bytes(&artifact)));
        archive(folder.path(), &files)
    };
    let sbom = json!({"digest": "sha256:sbom", "mediaType": kind});
    let typed = json!({"digest": "sha256:arm64", "mediaType": kind, "artifactType": "application/spdx+json"});
    let left_out = json!({"digest": "sha256:none", "platform": {"architecture": "riscv64"}});
    let found = Archive::open(of(json!([named("a:1"), named("b:2"), sbom, typed, left_out]))).await.unwrap();
    assert_eq!(found.architecture.as_deref(), Some("amd64"));
    assert_eq!(found.names.iter().map(String::as_str).collect::<Vec<_>>(), ["a:1", "b:2"]);

    let alone = json!({"digest": "sha256:arm64", "mediaType": kind});
    let found = Archive::open(of(json!([alone, sbom]))).await.unwrap();
    assert_eq!(found.architecture.as_deref(), Some("arm64"));
    let error = Archive::open(of(json!([sbom, left_out]))).await.unwrap_err();
    assert!(error.code == ErrorCode::BadRequest && error.message.contains("blobs/sha256/none"), "{error}");
    let error = Archive::open(of(json!([sbom]))).await.unwrap_err();
    assert!(error.message.contains("no image"), "{error}");
}
