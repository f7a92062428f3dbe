//! The key of one stack.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use super::answer::Refusal;

#[derive(Debug)]
pub struct Key(RandomizedNonceKey);

impl Key {
    pub fn new() -> Self {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).unwrap();
        Self(RandomizedNonceKey::new(&AES_256_GCM, &bytes).unwrap())
    }

    /// A nonce of its own comes before each ciphertext.
    pub fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let mut text = plain.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::empty(), &mut text).unwrap();
        [nonce.as_ref().as_slice(), &text].concat()
    }

    /// Refused where another stack's key has encrypted it.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Vec<u8>, Refusal> {
        let refuse = || Refusal::bad("The value was not encrypted for this stack");
        let (nonce, text) = ciphertext.split_at_checked(NONCE_LEN).ok_or_else(refuse)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refuse())?;
        let mut text = text.to_vec();
        self.0.open_in_place(nonce, Aad::empty(), &mut text).map(|plain| plain.to_vec()).map_err(|_| refuse())
    }
}
