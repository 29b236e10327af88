//! Native keys: (table, key) as the tokens of a subject and back.
//!
//! The table is the first token, so that the server filters one table. A key's own dots split tokens, so that it filters dotted
//! prefixes too. What NATS does not take in a token is escaped as `=` and two hexadecimal digits; everything else stays as it is,
//! and ordinary keys read the same in every client.
//!
//! | | stored as |
//! |---|---|
//! | table `users`, key `ada.email` | `users.ada.email` |
//! | table `a.b`, key `x y` | `a=2Eb.x=20y` |
//! | the root table, key `k` | `=.k` |
//! | table `t`, key `.a..b` | `t.=.a.=.b` |
//!
//! An empty token is a lone `=`, which no escape is; the mapping is injective because splitting at dots, and each step after it,
//! can be undone.

/// The root table, and an empty token of a key.
const EMPTY: &str = "=";
/// Names that begin so are NATS's own.
const RESERVED: &str = "_kv";

/// The tokens of a record, without the bucket's own prefix.
pub(crate) fn encode(table: &str, key: &str) -> String {
    let mut out = table_token(table);
    for token in key.split('.') {
        out.push('.');
        push_token(&mut out, token);
    }
    out
}

/// The first token of all records of a table.
pub(crate) fn table_token(table: &str) -> String {
    let mut out = String::with_capacity(table.len() + 2);
    if let Some(rest) = table.strip_prefix(RESERVED) {
        out.push_str("=5Fkv");
        escape(&mut out, rest);
    } else {
        push_token(&mut out, table);
    }
    out
}

/// A subject filter, without the bucket's own prefix, that lets all keys of a table pass which begin so, and few others.
pub(crate) fn filter(table: &str, prefix: &str) -> String {
    let mut out = table_token(table);
    // The last token of a prefix may be the beginning of a longer one.
    for token in prefix.split('.').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
        out.push('.');
        push_token(&mut out, token);
    }
    out.push_str(".>");
    out
}

/// Table and key of these tokens; `None` for what [`encode`] never makes.
pub(crate) fn decode(tokens: &str) -> Option<(String, String)> {
    let (table, rest) = tokens.split_once('.')?;
    let table_name = unescape(table)?;
    let mut key = String::with_capacity(rest.len());
    for (i, token) in rest.split('.').enumerate() {
        if i > 0 {
            key.push('.');
        }
        key.push_str(&unescape(token)?);
    }
    // Other spellings of the same record are not ours.
    let sound = !key.is_empty() && encode(&table_name, &key) == tokens;
    sound.then_some((table_name, key))
}

/// The key of tokens in a table where nothing is escaped: most are so, and listings have many.
pub(crate) fn ordinary<'a>(table: &str, tokens: &'a str) -> Option<&'a str> {
    let key = tokens.strip_prefix(table)?.strip_prefix('.')?;
    let plain = |text: &str| !text.is_empty() && text.bytes().all(is_plain);
    let sound = plain(table) && !table.starts_with(RESERVED) && key.split('.').all(plain);
    sound.then_some(key)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/')
}

fn push_token(out: &mut String, token: &str) {
    if token.is_empty() {
        out.push_str(EMPTY);
    } else {
        escape(out, token);
    }
}

fn escape(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(byte.into());
        } else {
            out.push('=');
            out.push(HEX[usize::from(byte >> 4)].into());
            out.push(HEX[usize::from(byte & 15)].into());
        }
    }
}

fn unescape(token: &str) -> Option<String> {
    if token == EMPTY {
        return Some(String::new());
    }
    if token.is_empty() {
        return None;
    }
    if !token.contains('=') {
        return Some(token.to_owned());
    }
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'=' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_keys_stay_as_they_are() {
        for (table, key, tokens) in [
            ("users", "ada", "users.ada"),
            ("users", "ada.email/1-2_3", "users.ada.email/1-2_3"),
            ("", "k", "=.k"),
            ("a.b", "x y", "a=2Eb.x=20y"),
            ("t", ".a..b.", "t.=.a.=.b.="),
            ("t", ".", "t.=.="),
            ("t", "=", "t.=3D"),
            ("=", "é*>", "=3D.=C3=A9=2A=3E"),
            ("_kv", "_kv", "=5Fkv._kv"),
            ("_kvx", "a", "=5Fkvx.a"),
            ("_k", "a", "_k.a"),
        ] {
            assert_eq!(encode(table, key), tokens);
            assert_eq!(decode(tokens), Some((table.to_owned(), key.to_owned())), "{tokens}");
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for bad in [
            "", "a", "a.", ".a", "a..b", "a.=4", "a.=zz", "a.=c3=a9", "a.=FF", "a.=41", "a.b c",
            "_kv.a", "=.=", "t.=",
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn filters_keep_to_the_table_and_its_dotted_prefix() {
        assert_eq!(filter("t", ""), "t.>");
        assert_eq!(filter("t", "a.b.c"), "t.a.b.>");
        assert_eq!(filter("", "a..c"), "=.a.=.>");
        assert_eq!(filter("t", "a."), "t.a.>");
    }

    /// NATS's own rule of matching.
    fn matches(filter: &str, subject: &str) -> bool {
        let fixed = filter.strip_suffix('>').unwrap();
        subject.strip_prefix(fixed).is_some_and(|rest| !rest.is_empty())
    }

    proptest! {
        #[test]
        fn every_record_comes_back(table in ".{0,12}", key in ".{1,24}") {
            let tokens = encode(&table, &key);
            prop_assert!(tokens.bytes().all(|b| is_plain(b) || b == b'.' || b == b'='));
            prop_assert!(tokens.split('.').all(|token| !token.is_empty()));
            prop_assert!(!tokens.starts_with(RESERVED));
            if let Some(ordinary) = ordinary(&table, &tokens) {
                prop_assert_eq!(ordinary, &key);
            }
            prop_assert_eq!(decode(&tokens), Some((table, key)));
        }

        #[test]
        fn two_records_never_meet(
            a in ("[a.=_k\u{e9} ]{0,4}", "[a.=\u{e9} ]{1,4}"),
            b in ("[a.=_k\u{e9} ]{0,4}", "[a.=\u{e9} ]{1,4}"),
        ) {
            prop_assert_eq!(encode(&a.0, &a.1) == encode(&b.0, &b.1), a == b);
        }

        #[test]
        fn a_filter_passes_all_that_begin_so(
            table in "[a.= ]{0,3}", key in "[ab.= ]{1,8}", cut in 0usize..8,
        ) {
            let prefix: String = key.chars().take(cut).collect();
            prop_assert!(matches(&filter(&table, &prefix), &encode(&table, &key)));
        }

        #[test]
        fn garbage_does_no_harm(tokens in "[=.A-F0-9a\u{e9}]{0,16}") {
            if let Some(key) = ordinary("a", &tokens) {
                prop_assert_eq!(decode(&tokens), Some(("a".to_owned(), key.to_owned())));
            }
            if let Some((table, key)) = decode(&tokens) {
                prop_assert_eq!(encode(&table, &key), tokens);
            }
        }
    }
}
