use contracts::assertion::{LIFETIME_SECONDS, Surface};
use http::HeaderValue;
use jsonwebtoken::{EncodingKey, Header};

use super::*;
use crate::testing::{Signer, claims, runtime};

fn headers(tokens: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for token in tokens {
        headers.append(contracts::headers::ASSERTION, HeaderValue::from_str(token).unwrap());
    }
    headers
}

fn verify(token: &str) -> Result<Claims, Refusal> {
    let installation = "in-test".parse().unwrap();
    Verifier::new(Signer::new(1).public(), &runtime(), Some(&installation)).verify(&headers(&[token]))
}

#[test]
fn the_gateways_assertion_for_this_runtime_is_accepted() {
    let sent = claims("rt-test", Surface::Ui);
    assert_eq!(verify(&Signer::new(1).sign(&sent)), Ok(sent));
}

#[test]
fn a_key_file_may_end_with_padding_and_a_newline() {
    let signer = Signer::new(1);
    let verifier = Verifier::new(&format!("{}=\n", signer.public()), &runtime(), None);
    assert!(verifier.verify(&headers(&[&signer.token("rt-test", Surface::Api)])).is_ok());
}

#[test]
fn an_assertion_for_another_runtime_or_installation_is_refused() {
    let signer = Signer::new(1);
    assert_eq!(verify(&signer.token("rt-other", Surface::Api)), Err(Refusal::OtherRuntime));
    let mut foreign = claims("rt-test", Surface::Api);
    foreign.iss = "in-other".to_owned();
    assert_eq!(verify(&signer.sign(&foreign)), Err(Refusal::OtherInstallation));
}

#[test]
fn a_signature_of_another_key_is_refused() {
    assert_eq!(verify(&Signer::new(2).token("rt-test", Surface::Api)), Err(Refusal::BadSignature));
}

#[test]
fn a_changed_token_is_refused() {
    let token = Signer::new(1).token("rt-test", Surface::Api);
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    let other = Signer::new(1).token("rt-test", Surface::Ui);
    parts[1] = other.split('.').nth(1).unwrap().to_owned();
    assert_eq!(verify(&parts.join(".")), Err(Refusal::BadSignature));
    assert_eq!(verify("nonsense"), Err(Refusal::Unreadable));
    assert_eq!(verify(""), Err(Refusal::Unreadable));
}

#[test]
fn the_public_key_used_as_a_shared_secret_does_not_sign() {
    let key = URL_SAFE_NO_PAD.decode(Signer::new(1).public()).unwrap();
    for algorithm in [Algorithm::HS256, Algorithm::HS512] {
        let forged = jsonwebtoken::encode(
            &Header::new(algorithm),
            &claims("rt-test", Surface::Api),
            &EncodingKey::from_secret(&key),
        )
        .unwrap();
        assert_eq!(verify(&forged), Err(Refusal::BadSignature));
    }
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims("rt-test", Surface::Api)).unwrap());
    assert!(verify(&format!("{none}.{body}.")).is_err());
}

#[test]
fn time_is_checked_with_a_little_leeway() {
    let signer = Signer::new(1);
    let shifted = |by: i64, life: u64| {
        let mut claims = claims("rt-test", Surface::Api);
        claims.iat = claims.iat.saturating_add_signed(by);
        claims.exp = claims.iat + life;
        verify(&signer.sign(&claims)).map(|_| ())
    };
    let leeway = i64::try_from(LEEWAY_SECONDS).unwrap();
    let life = i64::try_from(LIFETIME_SECONDS).unwrap();
    assert_eq!(shifted(0, LIFETIME_SECONDS), Ok(()));
    assert_eq!(shifted(leeway - 5, LIFETIME_SECONDS), Ok(()));
    assert_eq!(shifted(leeway + 5, LIFETIME_SECONDS), Err(Refusal::WrongTime));
    assert_eq!(shifted(-life - leeway + 5, LIFETIME_SECONDS), Ok(()));
    assert_eq!(shifted(-life - leeway - 5, LIFETIME_SECONDS), Err(Refusal::WrongTime));
    assert_eq!(shifted(0, LONGEST_LIFE_SECONDS + 1), Err(Refusal::WrongTime), "too long a life");
}

#[test]
fn exactly_one_assertion_is_expected() {
    let signer = Signer::new(1);
    let verifier = Verifier::new(signer.public(), &runtime(), None);
    let token = signer.token("rt-test", Surface::Api);
    assert_eq!(verifier.verify(&HeaderMap::new()), Err(Refusal::Missing));
    assert_eq!(verifier.verify(&headers(&[&token, &token])), Err(Refusal::Repeated));
}

#[test]
fn without_a_usable_key_everything_is_refused_and_the_reason_is_told() {
    let token = Signer::new(1).token("rt-test", Surface::Api);
    for (verifier, reason) in [
        (Verifier::without_key("there is no file", &runtime(), None), "there is no file"),
        (Verifier::new("", &runtime(), None), "holds 0 bytes"),
        (Verifier::new("not base64!", &runtime(), None), "not base64url"),
        (Verifier::new("c2hvcnQ", &runtime(), None), "holds 5 bytes"),
    ] {
        let problem = Problem::from(verifier.verify(&headers(&[&token])).unwrap_err());
        assert_eq!(problem.code, ErrorCode::Unauthorized);
        assert!(problem.detail.contains(reason), "{}", problem.detail);
        assert!(problem.action.is_some());
    }
}
