//! Base32 of RFC 4648, upper case, with padding: how Go-Micro writes keys when it is told to encode them.

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut group = [0; 8];
        group[3..3 + chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(group);
        let digits = (chunk.len() * 8).div_ceil(5);
        for i in 0..8 {
            let digit = ALPHABET[(bits >> (35 - 5 * i)) as usize & 31];
            out.push(if i < digits { digit.into() } else { '=' });
        }
    }
    out
}

/// `None` for what [`encode`] never makes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(8) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 8 * 5);
    for group in text.trim_end_matches('=').as_bytes().chunks(8) {
        let mut bits = 0_u64;
        for (i, byte) in group.iter().enumerate() {
            let value = ALPHABET.iter().position(|digit| digit == byte)? as u64;
            bits |= value << (35 - 5 * i);
        }
        out.extend_from_slice(&bits.to_be_bytes()[3..3 + group.len() * 5 / 8]);
    }
    // Also refuses wrong padding and bits that are not zero.
    (encode(&out) == text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc() {
        for (plain, text) in [
            ("f", "MY======"),
            ("fo", "MZXQ===="),
            ("foo", "MZXW6==="),
            ("foob", "MZXW6YQ="),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI======"),
        ] {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()));
        }
        for bad in
            ["", "M", "MY", "my======", "MZ======", "MY=====A", "MY====== ", "========", "é======"]
        {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
