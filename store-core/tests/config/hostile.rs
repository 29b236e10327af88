//! Any text at all: never a panic, always the right kind of error, never a password in it.

use std::fmt::Write as _;

use proptest::prelude::*;
use store_core::config::{Config, Options, StoreUrl, duration, size};
use store_core::{Cursor, Error, ErrorKind, Name, Namespace, Result, Revision};

use crate::Local;

/// What is told of an error, and to whom.
fn told(error: &Error) -> String {
    format!("{error} {error:?} {error:#?}")
}

fn refused<T>(answer: Result<T>, kind: ErrorKind) {
    if let Err(error) = answer {
        assert_eq!(error.kind(), kind, "{error}");
    }
}

/// Text that is often nearly a URL.
fn near_url() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "local", "redis", "://", ":", "/", "//", "?", "&", "=", "#", "@", ",", "%", "%4", "%41",
            "%ff", "[", "]", "::1", "h", "6379", "99999", "timeout", "2s", "colour", "red", "retries",
            "database", "app", "\0", "\t", " ", "é", "\u{202e}", "..", "*", "+", ";", "\\", "..",
            "max_page", "18446744073709551616", "-1",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A password that could not be found in an error by accident, raw or percent-encoded.
fn password() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "", "/", "?", "#", "@", ":", "%", "%2F", "&", "=", ",", "[", " ", "é",
    ]);
    (odd.clone(), odd.clone(), odd).prop_map(|(a, b, c)| format!("{a}Zq7{b}Xw9{c}Jk3"))
}

const PARTS: [&str; 3] = ["Zq7", "Xw9", "Jk3"];

type Take = fn(&mut Options) -> Result<()>;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn any_text_as_a_url(text in near_url()) {
        refused(text.parse::<StoreUrl>(), ErrorKind::Config);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let registry = Local::new().registry();
        let tail = format!("local://{text}");
        for url in [&text, &tail] {
            refused(runtime.block_on(registry.open(url)), ErrorKind::Config);
        }
    }

    #[test]
    fn a_password_is_never_told(
        before in prop_oneof![Just("local://u:"), Just("local://:"), Just("local://"), Just("lokal://u:")],
        password in password(),
        after in prop_oneof![
            Just("@h".to_owned()), Just("@h:port".into()), Just("@h:1/a.b".into()),
            Just("@h?timeout=x".into()), Just("@h/app?colour=red".into()), Just("@".into()),
            near_url().prop_map(|text| format!("@{text}")),
        ],
        database in prop::option::of(Just("app")),
    ) {
        let url = format!("{before}{password}{after}");
        let mut config = Config::new();
        config.url = Some(url.clone());
        config.database = database.map(str::to_owned);
        let mut said = format!("{config:?}");
        if let Ok(url) = url.parse::<StoreUrl>() {
            write!(said, "{url} {url:?}").unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        match runtime.block_on(config.open(&Local::new().registry())) {
            Ok(opened) => write!(said, "{opened:?}").unwrap(),
            Err(error) => said += &told(&error),
        }
        for part in PARTS {
            prop_assert!(!said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_secret_in_an_option_is_never_told(password in password(), name in prop::sample::select(vec![
        "password", "colour", "timeout", "retries", "trace", "max_page", "max_value_len", "unused", "prefix", "database", "no_such",
    ])) {
        let mut config = Config::new();
        config.url = Some("local://".into());
        config.options.insert(name.to_owned(), password.clone());
        let mut said = format!("{config:?}");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        if let Err(error) = runtime.block_on(config.open(&Local::new().registry())) {
            prop_assert_eq!(error.kind(), ErrorKind::Config);
            prop_assert!(error.message().contains(name), "{}", error);
            said += &told(&error);
        }
        let var = format!("STORE_{}", name.to_uppercase());
        if let Err(error) = Config::from_vars("STORE_", [(var, password)]) {
            said += &told(&error);
        }
        for part in PARTS {
            prop_assert!(!said.contains(part), "{said}");
        }
    }

    #[test]
    fn any_text_as_an_option(name in any::<String>(), value in any::<String>()) {
        let mut options = Options::new();
        refused(options.insert(name, value.clone()), ErrorKind::Config);
        refused(duration::parse(&value), ErrorKind::Config);
        refused(size::parse(&value), ErrorKind::Config);
        let takes: [Take; 5] = [
            |o| o.take_bool("x").map(drop),
            |o| o.take_u64("x").map(drop),
            |o| o.take_duration("x").map(drop),
            |o| o.take_size("x").map(drop),
            |o| o.take_enum("x", &[("a", 1)]).map(drop),
        ];
        for take in takes {
            let mut options = Options::new();
            options.insert("x", value.clone()).unwrap();
            refused(take(&mut options), ErrorKind::Config);
        }
    }

    #[test]
    fn any_text_as_a_variable(name in "[A-Z_]{0,12}|.*", value in any::<String>()) {
        let vars = [(format!("STORE_{name}"), value.clone()), (name, value)];
        refused(Config::from_vars("STORE_", vars), ErrorKind::Config);
    }

    #[test]
    fn any_text_as_a_cursor_or_revision(text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{0,64}", "[0-9a-f]{1,20}-[0-9a-f]{1,20}"]) {
        let ns = Namespace::root(Name::new("app").unwrap());
        let cursor = text.parse::<Cursor>().and_then(|cursor| cursor.open_key(&ns, 1));
        refused(cursor, ErrorKind::InvalidArgument);
        refused(text.parse::<Revision>(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn any_text_as_a_file(text in any::<String>(), value in any::<String>()) {
        let _ = serde_json::from_str::<Config>(&text);
        let _ = toml::from_str::<Config>(&text);
        for field in ["url", "timeout", "trace", "prefix"] {
            let json = serde_json::json!({ field: value }).to_string();
            if let Ok(config) = serde_json::from_str::<Config>(&json) {
                let _ = format!("{config:?}");
            }
        }
    }
}
