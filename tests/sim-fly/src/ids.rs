//! Identifiers in the shapes that the vendor uses.

use jiff::Timestamp;

/// The letters of a ULID.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BASE36: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// 14 hexadecimal digits.
pub fn machine() -> String {
    format!("{:014x}", rand::random::<u64>() >> 8)
}

/// `vol_` and 16 letters or digits.
pub fn volume() -> String {
    format!("vol_{}", letters(BASE36, 16))
}

/// `vs_` and 16 letters or digits.
pub fn snapshot() -> String {
    format!("vs_{}", letters(BASE36, 16))
}

/// 26 characters that rise with the time, for versions, events and requests.
pub fn ulid(at: Timestamp) -> String {
    let milliseconds = at.as_millisecond().unsigned_abs();
    let mut text: String =
        (0..10).rev().map(|place| CROCKFORD[(milliseconds >> (5 * place)) as usize & 31] as char).collect();
    text.push_str(&letters(CROCKFORD, 16));
    text
}

/// A lease's secret.
pub fn nonce() -> String {
    format!("{:012x}", rand::random::<u64>() >> 16)
}

/// An address in the network of an application.
pub fn private_address(network: &str) -> String {
    let hash = network.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let [a, b, c]: [u16; 3] = rand::random();
    format!("fdaa:{:x}:{:x}:a7b:{a:x}:{b:x}:{c:x}:2", hash >> 16, hash & 0xffff)
}

fn letters(alphabet: &[u8], count: usize) -> String {
    (0..count).map(|_| alphabet[rand::random_range(0..alphabet.len())] as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_vendors_shapes_and_versions_rise() {
        assert_eq!(machine().len(), 14);
        assert!(volume().starts_with("vol_") && volume().len() == 20);
        let (early, late) =
            (ulid(Timestamp::from_second(1).unwrap()), ulid(Timestamp::from_second(2).unwrap()));
        assert!(early.len() == 26 && early < late);
        assert!(private_address("n").starts_with("fdaa:"));
    }
}
