//! A gateway's signature for tests: a fresh key pair and tokens signed with it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contracts::RuntimeId;
use contracts::assertion::{Claims, LIFETIME_SECONDS, Surface};
use contracts::identity::{Platform, RuntimeIdentity};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

/// The fixed beginning of an Ed25519 private key in PKCS#8; the 32 secret bytes follow.
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

pub(crate) struct Signer {
    key: EncodingKey,
    public: String,
}

impl Signer {
    /// Two signers of different seeds do not know each other.
    pub(crate) fn new(seed: u8) -> Self {
        let mut der = PKCS8_PREFIX.to_vec();
        der.extend([seed; 32]);
        let key = EncodingKey::from_ed_der(&der);
        let jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap();
        let AlgorithmParameters::OctetKeyPair(pair) = jwk.algorithm else {
            panic!("an Ed25519 key is an octet key pair");
        };
        assert_eq!(URL_SAFE_NO_PAD.decode(&pair.x).unwrap().len(), 32);
        Self { key, public: pair.x }
    }

    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &self.key).unwrap()
    }

    pub(crate) fn token(&self, runtime: &str, surface: Surface) -> String {
        self.sign(&claims(runtime, surface))
    }
}

/// Claims that are good now.
pub(crate) fn claims(runtime: &str, surface: Surface) -> Claims {
    let now = jsonwebtoken::get_current_timestamp();
    Claims {
        iss: "in-test".to_owned(),
        aud: runtime.to_owned(),
        sub: "admin".to_owned(),
        iat: now,
        exp: now + LIFETIME_SECONDS,
        surface,
    }
}

pub(crate) fn runtime() -> RuntimeId {
    "rt-test".parse().unwrap()
}

pub(crate) fn identity() -> RuntimeIdentity {
    RuntimeIdentity { runtime_id: runtime(), runtime_label: "demo".to_owned(), platform: Platform::Runtime }
}
