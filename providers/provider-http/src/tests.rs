use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use contracts::ErrorCode;
use provider_api::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::Rate;

fn vendor_at(base: &str, pace: Pace) -> Vendor {
    Vendor::new(VendorConfig {
        name: "Acme",
        base: base.parse().unwrap(),
        access: Access::bearer("canary"),
        request_id: "acme-request-id",
        words: &["/error"],
        pace,
        timeout: Duration::from_secs(3),
    })
    .unwrap()
}

/// Answers the first call with `first` and later ones with 200, and counts them.
async fn answering(first: impl IntoResponse + Clone + Send + Sync + 'static) -> (Vendor, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&calls);
    let answer = move || {
        let (seen, first) = (Arc::clone(&seen), first.clone());
        async move {
            match seen.fetch_add(1, Ordering::SeqCst) {
                0 => first.into_response(),
                _ => r#"{"ok":true}"#.into_response(),
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1/", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (vendor_at(&base, Pace::default()), calls)
}

/// Reads a request and closes the connection.
async fn cutting() -> Vendor {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":").await;
        }
    });
    vendor_at(&base, Pace::default())
}

#[tokio::test]
async fn a_refusal_carries_the_vendors_words_and_request_id_and_is_final() {
    let (vendor, calls) = answering((
        StatusCode::UNPROCESSABLE_ENTITY,
        [("acme-request-id", "r-1")],
        r#"{"error":"the name is taken"}"#,
    ))
    .await;
    let failure = vendor.send(Call::get("/things")).await.unwrap_err();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let error = failure.clone().into_error(failure.code(), "Acme", "make it");
    assert_eq!(error.code, ErrorCode::ProviderFailed);
    assert_eq!(error.outcome, Outcome::NothingHappened);
    assert_eq!(error.request_id.as_deref(), Some("r-1"));
    assert!(error.message.contains("422") && error.message.contains("the name is taken"), "{error}");
    assert!(!format!("{failure:?}{error:?}").contains("canary"));
}

#[tokio::test]
async fn a_server_error_is_repeated_for_a_read_and_unknown_for_a_create() {
    let (vendor, calls) = answering(StatusCode::INTERNAL_SERVER_ERROR).await;
    vendor.send(Call::get("/things")).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let (vendor, calls) = answering(StatusCode::INTERNAL_SERVER_ERROR).await;
    let failure = vendor.send(Call::post("/things")).await.unwrap_err();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(failure.may_have_happened());
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_the_vendor_says() {
    let (vendor, calls) = answering((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")])).await;
    let began = Instant::now();
    vendor.send(Call::post("/things")).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    let (vendor, calls) = answering((StatusCode::TOO_MANY_REQUESTS, [("retry-after", "60")])).await;
    let failure = vendor.send(Call::post("/things")).await.unwrap_err();
    assert_eq!(
        (failure.code(), failure.retry_after),
        (ErrorCode::ProviderRateLimited, Some(Duration::from_secs(60)))
    );
    assert_eq!(calls.load(Ordering::SeqCst), 1, "a wait that is longer than the timeout is not begun");
}

#[tokio::test]
async fn half_an_answer_leaves_open_what_happened() {
    let failure = cutting().await.send(Call::post("/things")).await.unwrap_err();
    assert_eq!(failure.kind, Kind::Lost);
    assert_eq!(failure.clone().into_error(failure.code(), "Acme", "make it").outcome, Outcome::Unknown);
}

#[tokio::test]
async fn a_page_for_people_is_neither_an_answer_nor_a_word_that_something_is_gone() {
    let page = "<!DOCTYPE html><html><body>Not here</body></html>";
    let (vendor, _) = answering((StatusCode::NOT_FOUND, page)).await;
    let failure = vendor.send(Call::get("/things")).await.unwrap_err();
    assert!(!failure.is_absent());
    assert_eq!(failure.code(), ErrorCode::ProviderUnreadable);
    let (vendor, _) = answering(page).await;
    let answer = vendor.send(Call::post("/things")).await.unwrap();
    let failure = answer.json::<serde_json::Value>().unwrap_err();
    assert_eq!(failure.kind, Kind::Unreadable);
    assert!(failure.message.contains("HTML"), "{failure}");
}

#[tokio::test]
async fn nobody_there_means_that_nothing_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failure =
        vendor_at(&base, Pace::default()).send(Call::post("/things?token=canary")).await.unwrap_err();
    assert_eq!((failure.kind.clone(), failure.may_have_happened()), (Kind::Unreachable, false));
    assert!(!failure.message.contains("canary"), "{failure}");
}

#[tokio::test]
async fn a_call_that_hangs_ends_at_its_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vendor = vendor_at(&format!("http://{}", listener.local_addr().unwrap()), Pace::default());
    let call = Call::post("/things").limit(Duration::from_millis(200));
    let failure = vendor.send(call).await.unwrap_err();
    assert_eq!((failure.kind.clone(), failure.code()), (Kind::Lost, ErrorCode::ProviderTimeout));
}

#[tokio::test]
async fn calls_for_one_object_keep_its_rate_and_those_for_another_do_not_wait() {
    let (vendor, _) = answering("{}").await;
    let rate = Rate { interval: Duration::from_millis(300), burst: NonZeroU32::new(2).unwrap() };
    let vendor = vendor_at(vendor.config.base.as_str(), Pace::new([("start", rate)]));
    let began = Instant::now();
    let start = |object: &str| vendor.send(Call::get("/things").action("start", object));
    for object in ["a", "a", "b", "b"] {
        start(object).await.unwrap();
    }
    let burst = began.elapsed();
    start("a").await.unwrap();
    assert!(burst < Duration::from_millis(300) || burst < began.elapsed());
    assert!(began.elapsed() >= Duration::from_millis(290), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_call_that_found_no_room_in_the_rate_was_not_sent_and_one_that_waited_for_it_has_its_whole_time() {
    let (vendor, calls) = answering("{}").await;
    let base = vendor.config.base.as_str();
    let every = |seconds| Rate { interval: Duration::from_secs(seconds), burst: NonZeroU32::MIN };
    let full = vendor_at(base, Pace::new([("start", every(4))]));
    let start = || Call::post("/things").action("start", "a");
    full.send(start()).await.unwrap();
    let failure = full.send(start()).await.unwrap_err();
    assert_eq!((failure.kind.clone(), failure.code()), (Kind::NotSent, ErrorCode::ProviderRateLimited));
    assert!(failure.retry_after.is_some(), "{failure}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(
        failure.clone().into_error(failure.code(), "Acme", "start it").outcome,
        Outcome::NothingHappened
    );

    // Its turn comes after two of three seconds, and the answer after another two.
    let slow = Router::new().fallback(async || tokio::time::sleep(Duration::from_secs(2)).await);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, slow).await });
    let slow = vendor_at(&base, Pace::new([("start", every(2))]));
    let both = tokio::join!(slow.send(start()), slow.send(start()));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
}

#[test]
fn a_date_to_retry_at_is_read_against_the_answers_own_clock() {
    let mut headers = HeaderMap::new();
    headers.insert("date", "Wed, 25 Nov 2020 10:00:00 GMT".parse().unwrap());
    headers.insert("retry-after", "Wed, 25 Nov 2020 10:00:30 GMT".parse().unwrap());
    assert_eq!(retry_after(&headers), Some(Duration::from_secs(30)));
    for far in ["18446744073709551615", "Thu, 31 Dec 9998 10:00:00 GMT"] {
        headers.insert("retry-after", far.parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(24 * 60 * 60)), "{far}");
    }
    headers.insert("retry-after", "soon".parse().unwrap());
    assert_eq!(retry_after(&headers), None);
}
