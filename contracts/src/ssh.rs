//! SSH into an instance: what the `pilot` command and the backend say to each other.
//!
//! The gateway carries a WebSocket from one to the other. Its binary messages are the bytes of one SSH connection, in both
//! directions. The request brings the public key that may log in; the answer tells the server's own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Below the home of an instance: its host key, and what its connections need. It is secret, and it is of this one instance: no
/// copy of a home may have it, or two instances would be the same to who connects.
pub const STATE_FOLDER: &str = ".local/state/pilot/ssh";

/// Below a workspace's API. A plain GET answers with [`SshInfo`], a WebSocket is a connection.
pub const ROUTE: &str = "ssh";
/// The public key of who connects, in the request. Not `x-pilot-`: those are the gateway's own words, and it removes a caller's.
pub const KEY: &str = "ssh-client-key";
/// The public key of the instance, in the answer.
pub const HOST_KEY: &str = "ssh-host-key";
/// A text message of the client: no more bytes will come from it, and those of the other side are still wanted.
pub const END_OF_INPUT: &str = "eof";
/// Bytes of one message, at most.
pub const LARGEST_MESSAGE: usize = 256 * 1024;

/// As whom one logs in, and the key by which the instance is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SshInfo {
    pub user: String,
    pub host_key: PublicKey,
}

/// A public key as OpenSSH writes it: `ssh-ed25519 AAAA...`. Nothing else: neither options before it nor a comment behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(String);

/// Why a text is no public key. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not one public SSH key of a known type, as in `ssh-ed25519 AAAA...`, without options and without a comment"
)]
pub struct NoPublicKey;

/// A key of 8192 bits of RSA has some 1,400 characters.
const LONGEST: usize = 2048;

const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

impl PublicKey {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From a line of a file, which may have a comment.
    pub fn of_line(line: &str) -> Result<Self, NoPublicKey> {
        let mut words = line.trim().splitn(3, ' ');
        match (words.next(), words.next()) {
            (Some(kind), Some(key)) => format!("{kind} {key}").parse(),
            _ => Err(NoPublicKey),
        }
    }
}

impl std::str::FromStr for PublicKey {
    type Err = NoPublicKey;

    fn from_str(text: &str) -> Result<Self, NoPublicKey> {
        let (kind, key) = text.split_once(' ').filter(|_| text.len() <= LONGEST).ok_or(NoPublicKey)?;
        let blob = STANDARD.decode(key).map_err(|_| NoPublicKey)?;
        // The key says its type once more: what the line says alone is nobody's promise.
        let length = blob.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize);
        let named = length.and_then(|length| blob.get(4..)?.get(..length));
        let has_more = length.is_some_and(|length| blob.len() > 4 + length);
        let is_sound = TYPES.contains(&kind) && named == Some(kind.as_bytes()) && has_more;
        if is_sound { Ok(Self(text.to_owned())) } else { Err(NoPublicKey) }
    }
}

impl TryFrom<String> for PublicKey {
    type Error = NoPublicKey;

    fn try_from(text: String) -> Result<Self, NoPublicKey> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.0
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8t0XwGu8vyNPYHbFlvv1wBGxhvKrz8QbOqHPB7JhHy";

    #[test]
    fn a_key_is_one_line_of_a_known_type_without_options_or_a_comment() {
        assert_eq!(KEY.parse::<PublicKey>().unwrap().as_str(), KEY);
        let base64 = KEY.split_once(' ').unwrap().1;
        for wrong in [
            String::new(),
            base64.to_owned(),
            format!("{KEY} me@home"),
            format!(" {KEY}"),
            format!("{KEY}\n"),
            format!("{KEY}\nssh-ed25519 {base64}"),
            format!("command=\"sh\" {KEY}"),
            format!("ssh-ed25519  {base64}"),
            format!("ssh-ed25519\t{base64}"),
            format!("ssh-rsa {base64}"),
            format!("ssh-dss {base64}"),
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5".to_owned(),
            "ssh-ed25519 /////w==".to_owned(),
            format!("ssh-ed25519 {}", "A".repeat(4096)),
        ] {
            assert_eq!(wrong.parse::<PublicKey>(), Err(NoPublicKey), "{wrong:?}");
        }
        assert_eq!(PublicKey::of_line(&format!("{KEY} me@home here\n")).unwrap().as_str(), KEY);
        assert!(PublicKey::of_line(&format!("command=\"sh\" {KEY}")).is_err());
    }
}
