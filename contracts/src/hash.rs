//! Numbers for texts.

/// The same for the same text in every version of Pilot, which the standard library does not promise: names of what exists are made
/// from it. FNV-1a of 64 bits; it keeps nobody from finding another text with the same number.
pub fn stable(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::stable;

    #[test]
    fn the_numbers_are_those_that_fnv_publishes() {
        assert_eq!(stable(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(stable("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(stable("foobar"), 0x8594_4171_f739_67e8);
    }
}
