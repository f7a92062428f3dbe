//! The gateway's signature for tests: a fresh key pair and tokens signed with it.

use contracts::assertion::{Claims, LIFETIME_SECONDS, Surface};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

/// The fixed beginning of an Ed25519 private key in PKCS#8; the 32 secret bytes follow.
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

pub struct Signer {
    key: EncodingKey,
    public: String,
}

impl Signer {
    pub fn new() -> Self {
        let mut der = PKCS8_PREFIX.to_vec();
        der.extend(rand::random::<[u8; 32]>());
        let key = EncodingKey::from_ed_der(&der);
        let AlgorithmParameters::OctetKeyPair(pair) =
            Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap().algorithm
        else {
            panic!("an Ed25519 key is an octet key pair");
        };
        Self { key, public: pair.x }
    }

    /// As the provider writes it into the boot file.
    pub fn public(&self) -> &str {
        &self.public
    }

    pub fn token(&self, runtime: &str, surface: Surface) -> String {
        let now = jsonwebtoken::get_current_timestamp();
        let claims = Claims {
            iss: "in-test".to_owned(),
            aud: runtime.to_owned(),
            sub: "admin".to_owned(),
            iat: now,
            exp: now + LIFETIME_SECONDS,
            surface,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.key).unwrap()
    }
}
