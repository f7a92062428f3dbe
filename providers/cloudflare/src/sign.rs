//! The signature of control calls: the other half of `worker/src/control.js`.

use aws_lc_rs::{digest, hmac};

use crate::config::ControlKey;

/// The headers of one call. A call that is sent again is signed again: a nonce counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub time: String,
    pub nonce: String,
    pub signature: String,
}

/// `path` with its query, `time` in seconds.
pub(crate) fn sign(
    key: &ControlKey,
    method: &str,
    path: &str,
    body: &[u8],
    time: i64,
    nonce: String,
) -> Signed {
    let body = hex(digest::digest(&digest::SHA256, body).as_ref());
    let message = format!("pilot-control-v1\n{method}\n{path}\n{time}\n{nonce}\n{body}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.bytes());
    let signature = hex(hmac::sign(&key, message.as_bytes()).as_ref());
    Signed { time: time.to_string(), nonce, signature }
}

/// 128 random bits.
pub(crate) fn nonce() -> String {
    hex(&rand::random::<[u8; 16]>())
}

/// Tells two pairs of keys apart and shows neither.
pub(crate) fn fingerprint(key: &ControlKey, gateway_key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.bytes());
    let tag = hmac::sign(&key, format!("fingerprint\n{gateway_key}").as_bytes());
    hex(&tag.as_ref()[..8])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_the_worker_expects() {
        // The same values are in worker/test/control.test.js.
        let key = ControlKey::new([7; 32]);
        let path = "/_pilot/runtimes/rt-1?x=1";
        let signed = sign(&key, "PUT", path, b"{\"a\":1}", 1_700_000_000, "nonce-nonce-nonce".to_owned());
        let expected = "dd55ecf7aeb60063b72c0e99264be5e294c31947f7541103943b49b750dae51d";
        assert_eq!(signed.signature, expected);
    }

    #[test]
    fn a_fingerprint_changes_with_either_key_and_holds_none() {
        let (one, two) = (ControlKey::new([1; 32]), ControlKey::new([2; 32]));
        let of_one = fingerprint(&one, "g");
        assert_ne!(of_one, fingerprint(&two, "g"));
        assert_ne!(of_one, fingerprint(&one, "h"));
        assert_eq!((of_one.len(), format!("{one:?}").as_str()), (16, "ControlKey(...)"));
    }
}
