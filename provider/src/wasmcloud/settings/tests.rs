//! What settings come to.

use store_core::config::StoreUrl;

use super::*;
use crate::wasmcloud::host::Secret;

fn registry() -> Registry {
    crate::wasmcloud::drivers()
}

fn given(config: &[(&str, &str)], secrets: &[(&str, &str)]) -> Given {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Given {
        config: config.iter().map(own).collect(),
        secrets: secrets.iter().map(own).map(|(n, v)| (n, Secret::String(v))).collect(),
    }
}

fn of(config: &[(&str, &str)]) -> Result<Plan, String> {
    plan(&given(config, &[]), &Given::default(), "c1", &registry())
}

fn refused(config: &[(&str, &str)]) -> String {
    let error = of(config).err().unwrap_or_else(|| panic!("{config:?} was taken"));
    assert!(!error.contains("hunter2"), "{error}");
    error
}

#[test]
fn the_manifests_of_upstream_mean_upstreams_layout() {
    let plan = of(&[("bucket", "wasmcloud")]).unwrap();
    assert_eq!(plan.url, "nats://0.0.0.0:4222?reconnect_wait=1500ms&layout=plain&auto_create=off");
    assert_eq!((plan.database.as_str(), plan.create), ("wasmcloud", Create::Never));
    assert_eq!(plan.identifier, Identifier::Link);
    let plan = of(&[
        ("bucket", "b"),
        ("cluster_uri", "nats://a:4222, b:4223"),
        ("js_domain", "hub"),
        ("tls_ca", "-----BEGIN"),
        ("tls_ca_file", "/not/read"),
        ("client_jwt", "j"),
        ("client_seed", "s"),
        ("enable_bucket_auto_create", "TRUE"),
    ])
    .unwrap();
    assert_eq!(
        plan.url,
        "nats://a:4222,b:4223?domain=hub&tls_ca=%2D%2D%2D%2D%2DBEGIN&jwt=j&jwt_seed=s&reconnect_wait=1500ms&layout=plain&auto_create=off"
    );
    assert_eq!(plan.create, Create::Try);
    assert_eq!(plan.exposed, ["client_jwt", "client_seed"]);
    let plan = of(&[
        ("URL", "redis://:p@h:6379/0"),
        ("BACKEND_RECONNECT_NUM_RETRIES", "7"),
        ("BACKEND_RECONNECT_MAX_DELAY_MS", "90"),
        ("BACKEND_CONNECTION_TIMEOUT_MS", "3000"),
        ("BACKEND_RESPONSE_TIMEOUT_MS", "1000"),
        ("SHARE_CONNECTIONS_BY_URL", ""),
    ])
    .unwrap();
    assert_eq!(
        plan.url,
        "redis://:p@h:6379?db=0&connect_timeout=3000ms&answer_timeout=1000ms&layout=plain"
    );
    assert_eq!((plan.identifier, &*plan.exposed), (Identifier::Any, &["url".to_owned()][..]));
    assert_eq!(plan.reconnect, Reconnect { retries: 7, max_delay: Duration::from_millis(90) });
    assert_eq!(of(&[("url", "redis://h")]).unwrap().url, "redis://h?layout=plain");
    // What is watched is what others keep by upstream's settings.
    let watched = of(&[("bucket", "b"), ("watch", "SET@k")]).unwrap();
    assert_eq!(watched.url, of(&[("bucket", "b")]).unwrap().url);
}

#[test]
fn settings_of_ours_mean_our_layout() {
    let plan = of(&[
        ("url", "nats://h"),
        ("database", "users"),
        ("table", "t"),
        ("prefix", "p:"),
        ("ttl", "1h"),
        ("identifier", "table"),
        ("buckets", "a, b"),
        ("max_value_len", "1MiB"),
        ("page", "10"),
        ("history", "5"),
        ("replicas", "3"),
        ("storage", "memory"),
        ("default_ttl", "2h"),
        ("token", "hunter2"),
    ])
    .unwrap();
    assert_eq!(plan.url, "nats://h?token=hunter2&reconnect_wait=1500ms&auto_create=off");
    assert_eq!((&*plan.table, &*plan.prefix), ("t", "p:"));
    assert_eq!(plan.granted.unwrap(), ["a", "b"]);
    assert_eq!((plan.limits.max_value_len, plan.limits.page), (1 << 20, 10));
    assert_eq!((plan.config.history, plan.config.replicas), (Some(5), Some(3)));
    assert_eq!((plan.create, plan.ttl), (Create::Missing, Some(Duration::from_hours(1))));
    assert_eq!(plan.exposed, ["token"]);
    let plan = of(&[("url", "nats://h/users?domain=hub"), ("timeout", "1s")]).unwrap();
    assert_eq!(plan.url, "nats://h?domain=hub&timeout=1s&reconnect_wait=1500ms");
    assert_eq!(plan.database.as_str(), "users");
    assert!(refused(&[("url", "nats://h/users"), ("bucket", "b")]).contains("given twice"));
    let plan = of(&[("url", "redis://h/cache"), ("layout", "table")]).unwrap();
    assert_eq!((&*plan.url, plan.database.as_str()), ("redis://h?layout=table", "cache"));
}

#[test]
fn components_in_memory_share_only_what_is_named() {
    let name = |component: &str, config: &[(&str, &str)]| {
        let plan = plan(&given(config, &[]), &Given::default(), component, &registry());
        plan.map(|plan| plan.database.to_string())
    };
    let memory = [("backend", "memory")];
    let components = ["a", "A", "a.b", "a_b", "component_YS5i", "YS5i", "ä", ""];
    let names: std::collections::BTreeSet<_> =
        components.iter().map(|component| name(component, &memory).unwrap()).collect();
    assert_eq!(names.len(), components.len(), "{names:?}");
    assert!(name(&"x.".repeat(100), &memory).unwrap_err().contains("`database`"));
    let shared = [("backend", "memory"), ("database", "shared")];
    assert_eq!(name("a", &shared), name("b", &shared));
}

#[test]
fn the_provider_has_defaults_for_both_backends() {
    let provider = given(
        &[("cluster_uri", "nats://n:4222"), ("URL", "redis://r"), ("js_domain", "hub")],
        &[("client_seed", "hunter2"), ("client_jwt", "j")],
    );
    let link = |config: &[(&str, &str)]| {
        plan(&given(config, &[]), &provider, "c", &registry()).map(|plan| plan.url)
    };
    assert_eq!(
        link(&[("bucket", "b")]).unwrap(),
        "nats://n:4222?domain=hub&jwt=j&jwt_seed=hunter2&reconnect_wait=1500ms&layout=plain&auto_create=off"
    );
    assert_eq!(
        link(&[("bucket", "b"), ("cluster_uri", "nats://m"), ("js_domain", "x")]).unwrap(),
        "nats://m?domain=x&jwt=j&jwt_seed=hunter2&reconnect_wait=1500ms&layout=plain&auto_create=off"
    );
    assert_eq!(link(&[("backend", "redis")]).unwrap(), "redis://r?layout=plain");
    assert_eq!(link(&[("url", "redis://own")]).unwrap(), "redis://own?layout=plain");
    assert_eq!(link(&[("backend", "memory")]).unwrap(), "memory://");
    let only = given(&[("url", "redis://r"), ("DISABLE_DEFAULT_CONNECTION", "true")], &[]);
    let error = plan(&given(&[], &[]), &only, "c", &registry()).err().unwrap();
    assert!(error.contains("DISABLE_DEFAULT_CONNECTION"), "{error}");
    let enabled = given(&[("disable_default_connection", "false")], &[]);
    assert_eq!(plan(&enabled, &only, "c", &registry()).unwrap().url, "redis://r?layout=plain");
    let unknown = given(&[("colour", "hunter2")], &[]);
    let error = plan(&given(&[("bucket", "b")], &[]), &unknown, "c", &registry()).err().unwrap();
    assert!(error.contains("`colour`") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_link_says_things_its_own_way_whatever_the_providers_way_is() {
    let provider = given(
        &[
            ("bucket", "theirs"),
            ("enable_bucket_auto_create", "true"),
            ("tls_ca", "-----BEGIN"),
            ("js_domain", "hub"),
        ],
        &[("client_seed", "s"), ("client_jwt", "j")],
    );
    let link = |config: &[(&str, &str)]| {
        plan(&given(config, &[]), &provider, "c", &registry()).map(|plan| {
            let database = plan.database.to_string();
            (database, plan.create, plan.url.split_once('?').unwrap().1.to_owned())
        })
    };
    let (database, create, options) = link(&[
        ("url", "nats://me:hunter2@h/ours?domain=leaf"),
        ("create", "never"),
        ("tls_ca_file", "/ca.pem"),
    ])
    .unwrap();
    assert_eq!((&*database, create), ("ours", Create::Never));
    assert_eq!(
        options,
        "domain=leaf&tls_ca_file=%2Fca%2Epem&reconnect_wait=1500ms&auto_create=off"
    );
    let (database, create, options) =
        link(&[("database", "ours"), ("jwt", "mine"), ("jwt_seed", "mine")]).unwrap();
    assert_eq!((&*database, create), ("ours", Create::Try));
    assert!(options.contains("jwt=mine&jwt_seed=mine"), "{options}");
    let (_, _, options) = link(&[("token", "hunter2"), ("layout", "native")]).unwrap();
    assert!(options.contains("token=hunter2") && !options.contains("jwt"), "{options}");
}

#[test]
fn options_in_the_url_are_settings_of_ours() {
    assert_eq!(of(&[("url", "redis://h?layout=table")]).unwrap().url, "redis://h?layout=table");
    assert_eq!(of(&[("url", "redis://h?key_prefix=x")]).unwrap().url, "redis://h?key_prefix=x");
    assert!(refused(&[("url", "redis://h?database=hunter2")]).contains("`database`"));
    let ca = "-----BEGIN CERTIFICATE-----\n".repeat(2000);
    assert!(of(&[("bucket", "b"), ("tls_ca", &ca)]).unwrap().url.parse::<StoreUrl>().is_ok());
}

/// Two of them would be one.
#[test]
fn a_layout_without_databases_takes_no_name_of_one() {
    let plain = |more: &[(&str, &str)]| {
        let mut config = vec![("url", "redis://h/3"), ("layout", "plain")];
        config.extend(more);
        of(&config).map(|plan| plan.database.to_string())
    };
    assert_eq!(plain(&[]).unwrap(), "default");
    assert_eq!(plain(&[("database", "a"), ("template", "{bucket}:{key}")]).unwrap(), "a");
    for named in [&[("database", "hunter2")][..], &[("identifier", "database")]] {
        assert!(plain(named).unwrap_err().contains("`template`"), "{named:?}");
    }
    assert!(refused(&[("url", "redis://h/hunter2")]).contains("`template`"));
    let table = [("url", "redis://h/cache?layout=table")];
    assert_eq!(of(&table).unwrap().database.as_str(), "cache");
}

#[test]
fn calls_wait_for_a_lost_server_as_long_as_hosts_do_unless_the_link_says_otherwise() {
    let url = |config: &[(&str, &str)]| of(config).unwrap().url;
    let own = url(&[("bucket", "b"), ("reconnect_wait", "3s")]);
    assert_eq!(own, "nats://0.0.0.0:4222?reconnect_wait=3s");
    let own = url(&[("bucket", "b"), ("url", "nats://h?reconnect_wait=3s")]);
    assert_eq!(own, "nats://h?reconnect_wait=3s");
}

#[test]
fn certificates_of_the_provider_go_to_the_backend_that_takes_them() {
    let text = "-----BEGIN CERTIFICATE-----";
    let url = |shared: &str, link: &[(&str, &str)]| {
        let provider = given(&[("tls_ca", shared)], &[]);
        plan(&given(link, &[]), &provider, "c", &registry()).unwrap().url
    };
    let (nats, redis) = ([("bucket", "b")], [("url", "rediss://h"), ("layout", "plain")]);
    assert_eq!(url("/ca.pem", &redis), "rediss://h?layout=plain&tls_ca=%2Fca%2Epem");
    assert_eq!(url(text, &redis), "rediss://h?layout=plain", "that is for NATS");
    assert!(url(text, &nats).contains("tls_ca=%2D"), "{}", url(text, &nats));
    assert!(!url("/ca.pem", &nats).contains("tls_ca"), "that is for Redis");
    assert_eq!(url(text, &[("backend", "memory")]), "memory://");
}

#[test]
fn every_secret_in_plain_configuration_is_named_wherever_it_is() {
    let exposed = |config: &[(&str, &str)]| of(config).unwrap().exposed;
    let nats = |url: &str| exposed(&[("url", url), ("bucket", "b")]);
    for url in [
        "nats://h?nkey=s",
        "nats://h?domain=d&token=s",
        "nats://h?jwt=s&jwt_seed=s",
        "nats://h?cre%64entials=s",
    ] {
        assert_eq!(nats(url), ["url"], "{url}");
    }
    assert!(nats("nats://h?domain=token").is_empty());
    assert_eq!(exposed(&[("bucket", "b"), ("nkey", "s")]), ["nkey"]);
    assert_eq!(
        exposed(&[("bucket", "b"), ("cluster_uri", "nats://a,nats://u:p@b")]),
        ["cluster_uri"]
    );
    let sentinels = "redis+sentinel://h?primary=p";
    assert_eq!(exposed(&[("url", sentinels), ("sentinel_password", "s")]), ["sentinel_password"]);
    assert_eq!(exposed(&[("url", &format!("{sentinels}&sentinel_password=s"))]), ["url"]);
    assert!(exposed(&[("url", "redis://h/0")]).is_empty());
    // No driver takes the password by that name.
    let error = refused(&[("url", "redis://h"), ("password", "hunter2")]);
    assert!(error.contains("`password`"), "{error}");
}

#[test]
fn a_secret_wins_and_is_not_exposed() {
    let link = given(&[("url", "redis://plain")], &[("URL", "redis://:hunter2@secret")]);
    let plan = plan(&link, &Given::default(), "c", &registry()).unwrap();
    assert_eq!(plan.url, "redis://:hunter2@secret?layout=plain");
    assert!(plan.exposed.is_empty());
}

#[test]
fn what_is_unknown_or_malformed_is_refused_by_name() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "set `backend`"),
        (&[("backend", "hunter2")], "`backend`"),
        (&[("url", "hunter2")], "`url`"),
        (&[("url", "mongodb://hunter2")], "`url`"),
        (&[("backend", "nats"), ("url", "redis://h")], "`backend`"),
        (&[("bucket", "b"), ("colour", "hunter2")], "`colour`"),
        (&[("backend", "memory"), ("bucket", "b"), ("js_domain", "d")], "`js_domain`"),
        (&[("cluster_uri", "nats://h")], "`bucket`"),
        (&[("bucket", "hunter2.x")], "`bucket`"),
        (&[("bucket", "b"), ("database", "b")], "`bucket`"),
        (&[("bucket", "b"), ("client_jwt", "hunter2")], "`client_seed`"),
        (&[("bucket", "b"), ("client_seed", "hunter2")], "`client_jwt`"),
        (&[("bucket", "b"), ("enable_bucket_auto_create", "hunter2")], "auto_create`"),
        (&[("url", "redis://h"), ("BACKEND_RESPONSE_TIMEOUT_MS", "hunter2")], "timeout_ms`"),
        (&[("url", "redis://h"), ("BACKEND_RECONNECT_NUM_RETRIES", "hunter2")], "retries`"),
        (&[("url", "redis://h"), ("backend_reconnect_max_delay_ms", "-1")], "delay_ms`"),
        (&[("url", "redis://h"), ("WATCH", "hunter2")], "`watch`"),
        (&[("url", "redis://h"), ("DISABLE_DEFAULT_CONNECTION", "hunter2")], "connection`"),
        (&[("URL", "redis://h"), ("url", "redis://hunter2")], "twice"),
        (&[("backend", "memory"), ("ttl", "hunter2")], "`ttl`"),
        (&[("backend", "memory"), ("ttl", "0s")], "`ttl`"),
        (&[("backend", "memory"), ("page", "0")], "`page`"),
        (&[("backend", "memory"), ("history", "-1")], "`history`"),
        (&[("backend", "memory"), ("identifier", "hunter2")], "`identifier`"),
        (&[("bucket", "b"), ("backend_response_timeout_ms", "1")], "backend"),
        (&[("bucket", "b"), ("cluster_uri", "nats://u:p@a,nats://v:hunter2@b")], "`cluster_uri`"),
    ];
    for (config, why) in cases {
        let error = refused(config);
        assert!(error.contains(why), "{config:?}: {error}");
    }
}

/// The form of an application's manifest, as far as it is ours: every link leads to a component that is there, and its settings
/// make a plan.
#[test]
fn the_manifests_are_sound() {
    use yaml_rust2::{Yaml, YamlLoader};
    let manifests = [
        ("nats", include_str!("../../../manifests/nats.yaml")),
        ("redis", include_str!("../../../manifests/redis.yaml")),
        ("memory", include_str!("../../../manifests/memory.yaml")),
    ];
    for (name, text) in manifests {
        let manifest = &YamlLoader::load_from_str(text).unwrap()[0];
        assert_eq!(manifest["apiVersion"].as_str(), Some("core.oam.dev/v1beta1"));
        assert_eq!(manifest["kind"].as_str(), Some("Application"));
        let components = manifest["spec"]["components"].as_vec().unwrap();
        let named = |name: &str| components.iter().find(|c| c["name"].as_str() == Some(name));
        let provider = named("keyvalue").unwrap();
        assert_eq!(provider["type"].as_str(), Some("capability"));
        let mut links = 0;
        for component in components {
            assert!(component["properties"]["image"].as_str().is_some());
            let traits = component["traits"].as_vec().map_or(&[][..], Vec::as_slice);
            for link in traits.iter().filter(|t| t["type"].as_str() == Some("link")) {
                links += 1;
                let link = &link["properties"];
                assert!(named(link["target"]["name"].as_str().unwrap()).is_some());
                assert_eq!(link["namespace"].as_str(), Some("wasi"));
                assert_eq!(link["package"].as_str(), Some("keyvalue"));
                let source = component["name"] == provider["name"];
                let end = if source { &link["source"] } else { &link["target"] };
                let secrets: Vec<_> = end["secrets"].as_vec().into_iter().flatten().collect();
                let secrets: Vec<_> = secrets
                    .iter()
                    .map(|secret| (secret["name"].as_str().unwrap(), "redis://:hunter2@h"))
                    .collect();
                let Yaml::Hash(config) = &end["config"][0]["properties"] else {
                    panic!("{name}: a link has no configuration")
                };
                let config: Vec<_> = config
                    .iter()
                    .map(|(name, value)| (name.as_str().unwrap(), value.as_str().unwrap()))
                    .collect();
                let plan =
                    plan(&given(&config, &secrets), &Given::default(), "c", &registry()).unwrap();
                assert!(plan.url.starts_with(name), "{name}");
                assert_eq!(plan.watch.is_some(), source);
                let upstream = name != "memory";
                assert_eq!(plan.url.contains("layout=plain"), upstream, "{name}");
                assert_eq!(plan.create == Create::Try, name == "nats");
                assert!(plan.exposed.is_empty());
            }
        }
        assert_eq!(links, if name == "memory" { 2 } else { 1 });
    }
}

#[test]
fn the_manifest_in_the_readme_is_sound() {
    let readme = include_str!("../../../../README.md");
    let block = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let components = &yaml_rust2::YamlLoader::load_from_str(block).unwrap()[0];
    let link = &components[0]["traits"][0]["properties"];
    assert_eq!(link["target"]["name"], components[1]["name"]);
    let properties = link["target"]["config"][0]["properties"].as_hash().unwrap();
    let config: Vec<_> =
        properties.iter().map(|(k, v)| (k.as_str().unwrap(), v.as_str().unwrap())).collect();
    let plan = of(&config).unwrap();
    assert_eq!((plan.database.as_str(), plan.identifier), ("counter", Identifier::Link));
}
