//! The fuzz targets on stable: a short run of each with random bytes, random text, and mutations of what they accept. More with
//! `FUZZ_CASES=1000000`, and with libFuzzer in `fuzz/`.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tests::fuzz::{TARGETS, Target};

fn cases() -> u32 {
    std::env::var("FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(3000)
}

/// One change of some input.
#[derive(Clone, Debug)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    // Mostly what other input is made of, so that much of it stays text.
    let byte = || prop_oneof![3 => prop::sample::select(b"0127-./:%@?&=\"{}[],aAfFzZ+TZ ".to_vec()), 1 => any::<u8>()];
    prop_oneof![
        (any::<prop::sample::Index>(), byte()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (any::<prop::sample::Index>(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        any::<prop::sample::Index>().prop_map(Mutation::Remove),
        any::<(prop::sample::Index, prop::sample::Index)>()
            .prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

fn mutate(mut data: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        match mutation {
            Mutation::Insert(at, byte) => data.insert(at.index(data.len() + 1), *byte),
            _ if data.is_empty() => {}
            Mutation::Set(at, byte) => {
                let at = at.index(data.len());
                data[at] = *byte;
            }
            Mutation::Remove(at) => {
                data.remove(at.index(data.len()));
            }
            Mutation::Repeat(from, to) => {
                let (from, to) = (from.index(data.len()), to.index(data.len()));
                let part = data[from.min(to)..=from.max(to)].to_vec();
                data.splice(from..from, part);
            }
        }
    }
    data
}

fn input(target: &Target) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds = prop::sample::select(target.seeds.to_vec());
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..64),
        1 => any::<String>().prop_map(String::into_bytes),
        6 => (seeds, prop::collection::vec(mutation(), 0..5))
            .prop_map(|(seed, mutations)| mutate(seed.to_vec(), &mutations)),
    ]
}

fn short_run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    for seed in target.seeds {
        assert!((target.run)(seed), "{name} does not accept {:?}", String::from_utf8_lossy(seed));
    }
    let config = Config { cases: cases(), failure_persistence: None, ..Config::default() };
    let (accepted, refused) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let found = TestRunner::new(config).run(&input(target), |data| {
        let count = if (target.run)(&data) { &accepted } else { &refused };
        count.set(count.get() + 1);
        Ok(())
    });
    if let Err(found) = found {
        panic!("{name}: {found}");
    }
    // Both ways were gone, or the run shows nothing.
    let (accepted, refused) = (accepted.get(), refused.get());
    assert!(accepted > 0 && refused > 0, "{name}: {accepted} accepted, {refused} refused");
}

macro_rules! short_runs {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            short_run(stringify!($name));
        })*

        #[test]
        fn every_target_is_run_here_and_in_fuzz() {
            let run = [$(stringify!($name)),*];
            let all: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(run[..], all);
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/fuzz_targets");
            let mut files: Vec<_> = std::fs::read_dir(folder)
                .unwrap()
                .map(|file| file.unwrap().path().file_stem().unwrap().to_owned())
                .collect();
            files.sort();
            let mut sorted = all;
            sorted.sort_unstable();
            assert_eq!(files, sorted, "fuzz/fuzz_targets");
        }
    };
}

short_runs! {
    cursor,
    revision,
    metadata,
    names,
    typed_key,
    typed_value,
    url,
    url_secret,
    config,
    nats_key,
    nats_envelope,
    redis_entry,
    redis_change,
    redis_database,
    redis_place,
    redis_template,
}
