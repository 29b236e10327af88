//! Every key lists back exactly as it was written, and no two keys meet.

use super::prelude::*;
use crate::{MAX_KEY_LEN, MAX_TABLE_LEN};

pub(super) fn cases() -> Vec<Case> {
    vec![
        group(
            "keys/dots",
            "dots, at every place",
            &[".", "..", "...", "a.b", ".a", "a.", "a..b", "a.b.", "a"],
        ),
        group(
            "keys/nats-wildcards",
            "wildcards of subjects are plain characters",
            &["*", ">", "a.*", "a.>", "*.b", "a*", "a", "a.b"],
        ),
        group(
            "keys/globs",
            "wildcards of patterns are plain characters",
            &["?", "[a]", "[^a]", "{a,b}", "\\*", "a?", "ab", "*b"],
        ),
        group(
            "keys/slashes",
            "slashes, also doubled and at both ends",
            &["/", "//", "a/", "/a", "a//b", "a/b", "a", "a/b/"],
        ),
        group(
            "keys/paths",
            "paths are not walked",
            &["../x", "../../x", "a/../x", "./x", "x", "a/./x", "..%2fx"],
        ),
        group(
            "keys/spaces",
            "spaces count, at both ends too",
            &[" ", "  ", "a b", " a", "a ", "a", "a  b", "\u{a0}a"],
        ),
        group(
            "keys/control-characters",
            "control characters",
            &["\n", "\r\n", "\t", "a\nb", "a\rb", "\u{1}", "\u{7f}", "a\u{1b}[0m"],
        ),
        group("keys/nul", "NUL is a character", &["\0", "a\0", "\0a", "a\0b", "a\0\0b", "a"]),
        group(
            "keys/percent",
            "percent signs are no escapes",
            &["%", "%%", "%2e", "%2E", ".", "%252e", "a%00", "%zz"],
        ),
        group(
            "keys/escape-look-alikes",
            "what looks like an escape is itself",
            &[
                "=2E", "=2e", "=", "==", "\\x2e", "~2e", "_2e", "$2e", "\\", "\\\\", "&#46;", "+",
                "%20",
            ],
        ),
        group(
            "keys/separators",
            "separators of other layouts",
            &["_", "a_b", "a:b", "a::b", "a|b", "a||b", "a-b", "a;b", "a,b", ":"],
        ),
        group(
            "keys/braces",
            "braces do not choose a place",
            &["{a}", "{a}b", "{}a", "{a}{b}", "}a{", "{b}a", "a{"],
        ),
        group(
            "keys/quotes",
            "quotes",
            &["'", "\"", "`", "a'b", "a\"b", "''", "\"a\"", "\\\"", "'; DROP TABLE t; --"],
        ),
        group(
            "keys/case",
            "upper and lower case differ",
            &["a", "A", "aB", "Ab", "AB", "ab", "ß", "SS", "ı", "I"],
        ),
        group(
            "keys/normal-forms",
            "composed and decomposed letters differ",
            &["é", "e\u{301}", "Å", "A\u{30a}", "\u{212b}", "ﬁ", "fi"],
        ),
        group(
            "keys/scripts",
            "other scripts and characters beyond the basic plane",
            &[
                "ключ",
                "键",
                "مفتاح",
                "🔑",
                "👩‍👩‍👧",
                "\u{10ffff}",
                "\u{fffd}",
                "\u{feff}a",
                "a\u{200b}b",
            ],
        ),
        group(
            "keys/reserved",
            "names that backends keep for themselves",
            &[
                "$KV",
                "$JS.API",
                "_nats",
                "__proto__",
                "KV_a",
                "DEL",
                "PURGE",
                "null",
                "-",
                "DELETE_BUCKET",
                "___lock",
            ],
        ),
        group(
            "keys/encoded-look-alikes",
            "keys that are valid base32, base64 or hex",
            &["ABCDEFGH", "ME======", "YWJj", "YQ==", "616263", "abc", "a"],
        ),
        group(
            "keys/numbers",
            "numbers are text",
            &["1", "01", "1.0", "+1", "-1", "10", "1e1", "9223372036854775808", "0"],
        ),
        case("keys/longest", "a key may be as long as the store says, and no longer").run(
            |cx| async move {
                let longest = cx.declared().max_key_len.unwrap_or(MAX_KEY_LEN);
                let t = cx.table()?;
                let keys = [
                    "k".repeat(longest),
                    "k".repeat(longest - 1),
                    format!("{}x", "k".repeat(longest - 1)),
                ];
                fill(&t, &keys).await?;
                for key in &keys {
                    ensure_value(&t, key, key).await?;
                }
                let mut want = keys.to_vec();
                want.sort();
                ensure_eq!(cx.keys(&t).await?, want, "the long keys");
                refused(
                    t.write(&"k".repeat(longest + 1), "v").await,
                    ErrorKind::TooLarge,
                    "one byte more",
                )?;
                ensure_eq!(cx.keys(&t).await?.len(), 3, "keys after the refusal");
                Ok(())
            },
        ),
        case("keys/longest-in-other-scripts", "the length of a key counts bytes").run(
            |cx| async move {
                let longest = cx.declared().max_key_len.unwrap_or(MAX_KEY_LEN);
                let t = cx.table()?;
                let key = "é".repeat(longest / 2);
                if !cx.target().accepts_key(&key) {
                    return Err(Failure::NotApplicable("not in this layout's alphabet"));
                }
                t.write(&key, "v").await?;
                ensure_value(&t, &key, "v").await?;
                ensure_eq!(cx.keys(&t).await?, [&*key], "keys");
                refused(
                    t.write(&format!("{key}é"), "v").await,
                    ErrorKind::TooLarge,
                    "two bytes more",
                )?;
                Ok(())
            },
        ),
        case(
            "keys/longest-of-what-must-be-escaped",
            "the longest key may consist of what a layout must escape",
        )
        .run(|cx| async move {
            let longest = cx.declared().max_key_len.unwrap_or(MAX_KEY_LEN);
            for c in ["*", " ", ".", "%"] {
                let (t, key) = (cx.table()?, c.repeat(longest));
                if cx.target().accepts_key(&key) {
                    t.write(&key, "v").await?;
                    ensure_value(&t, &key, "v").await?;
                    t.delete(&key).await?;
                }
            }
            Ok(())
        }),
        case("keys/too-long-everywhere", "each verb refuses a key that is too long").run(
            |cx| async move {
                let (t, key) = (cx.table()?, "k".repeat(MAX_KEY_LEN + 1));
                refused(t.read(&key).await, ErrorKind::TooLarge, "read")?;
                refused(t.value(&key).await, ErrorKind::TooLarge, "value")?;
                refused(t.exists(&key).await, ErrorKind::TooLarge, "exists")?;
                refused(t.write(&key, "v").await, ErrorKind::TooLarge, "write")?;
                refused(t.delete(&key).await, ErrorKind::TooLarge, "delete")?;
                refused(
                    t.set_expiry(&key, Expiry::Never).await,
                    ErrorKind::TooLarge,
                    "set_expiry",
                )?;
                refused(t.increment(&key, 1).await, ErrorKind::TooLarge, "increment")?;
                refused(t.history(&key).await, ErrorKind::TooLarge, "history")?;
                Ok(())
            },
        ),
        case("keys/empty-everywhere", "each verb refuses an empty key").run(|cx| async move {
            let t = cx.table()?;
            invalid(t.read("").await, "read")?;
            invalid(t.value("").await, "value")?;
            invalid(t.exists("").await, "exists")?;
            invalid(t.write("", "v").await, "write")?;
            invalid(t.delete("").await, "delete")?;
            invalid(t.set_expiry("", Expiry::Never).await, "set_expiry")?;
            invalid(t.increment("", 1).await, "increment")?;
            invalid(t.history("").await, "history")?;
            Ok(())
        }),
        case(
            "keys/alike-beginnings-are-apart",
            "a key is not found by its beginning or its continuation",
        )
        .run(|cx| async move {
            let t = cx.table()?;
            t.write("user-1", "v").await?;
            for other in ["user-", "user-10", "user-1-", "ser-1", "user"] {
                ensure_absent(&t, other).await?;
                ensure!(!t.exists(other).await?, "{other:?} exists");
            }
            Ok(())
        }),
        case("keys/watched-exactly", "a watch names keys exactly as they were written")
            .needs([F::Watch])
            .run(|cx| async move {
                let t = cx.table()?;
                let mut watch = cx.changes(&t).await?;
                for key in ["a.b", "a b", "*", ">", "%2e", "é", "e\u{301}", "\0", "x/../y"] {
                    if cx.target().accepts_key(key) {
                        t.write(key, "v").await?;
                        watch.expect_put(key, "v").await?;
                        t.delete(key).await?;
                        watch.expect_gone(key, Gone::Deleted).await?;
                    }
                }
                Ok(())
            }),
        case(
            "keys/table-and-key-at-their-longest",
            "the longest table name and the longest key go together",
        )
        .needs([F::Tables])
        .run(|cx| async move {
            let key = "k".repeat(cx.declared().max_key_len.unwrap_or(MAX_KEY_LEN));
            let table = "t".repeat(cx.declared().max_table_len.unwrap_or(MAX_TABLE_LEN));
            let t = cx.named(&table)?;
            t.write(&key, "v").await?;
            ensure_value(&t, &key, "v").await?;
            ensure_eq!(cx.keys(&t).await?, [key], "keys");
            Ok(())
        }),
    ]
}

/// Keys that are easily mistaken for each other, kept side by side.
fn group(id: &'static str, title: &'static str, keys: &'static [&'static str]) -> Case {
    case(id, title).run(move |cx| async move {
        let t = cx.table()?;
        let (inside, outside): (Vec<&str>, Vec<&str>) =
            keys.iter().partition(|key| cx.target().accepts_key(key));
        for key in outside {
            invalid(t.write(key, "v").await, format_args!("{key:?}, outside of the alphabet"))?;
        }
        fill(&t, &inside).await?;
        for key in &inside {
            ensure_value(&t, key, key).await?;
            ensure!(t.exists(key).await?, "{key:?} does not exist");
        }
        let mut want = inside.clone();
        want.sort_unstable();
        ensure_eq!(cx.keys(&t).await?, want, "the keys of the table");
        let mut scanned: Vec<_> = cx.scan(&t).await?;
        scanned.sort_by(|a, b| a.key().cmp(b.key()));
        for (record, key) in scanned.iter().zip(&want) {
            ensure_eq!(
                (record.key(), &*text(record.value())),
                (*key, *key),
                "a record of the scan"
            );
        }
        // Each is deleted alone.
        for (at, key) in inside.iter().enumerate() {
            t.delete(key).await?;
            ensure_absent(&t, key).await?;
            ensure_eq!(
                cx.keys(&t).await?.len(),
                inside.len() - at - 1,
                "keys left without {key:?}"
            );
        }
        Ok(())
    })
}
