//! The key pair of the tests. It protects nothing.

use contracts::assertion::Claims;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};

const PUBLIC: &str = "Mbfz8BmYBwPReVpFz4aJ1eHUdPqg93tjklU-DeikT_E";

pub fn private_pem() -> String {
    let kind = "PRIVATE KEY";
    let der = "MC4CAQAwBQYDK2VwBCIEIBJy7FeZLoLswuqhn2CW49uQr+oYtxmG1wTzW70gg2nh";
    format!("-----BEGIN {kind}-----\n{der}\n-----END {kind}-----\n")
}

/// The claims of an assertion, after the check that an instance makes.
pub fn verified(token: &str) -> Claims {
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.validate_aud = false;
    decode(token, &DecodingKey::from_ed_components(PUBLIC).unwrap(), &rules).unwrap().claims
}
