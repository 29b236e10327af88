//! Guests that import `store` several times: plainly, and under labels. For each there are functions `{label}-get` and `{label}-set`;
//! the label of the plain one is `plain`.

use super::{DRAFT, DRAFT2, Keyvalue, WASMCLOUD};

/// Under which labels.
const LABELS: [&str; 2] = ["team-a", "team-b"];

const OPEN: &str = "(import \"FROM\" \"open\" (func $FROM.open (param i32 i32 i32)))\n";

const WORLD: &str = "
    import IMPORT;
    export LABEL-get: FUNC(bucket: string, key: string) -> result<option<list<u8>>, string>;
    export LABEL-set: FUNC(bucket: string, key: string, value: list<u8>) -> result<_, string>;
";

/// A component that speaks `wasi:keyvalue@0.2.0-draft`.
pub(crate) fn draft() -> Result<Vec<u8>, String> {
    DRAFT.labelled("func", "", "")
}

/// A component that speaks `wasi:keyvalue@0.2.0-draft2`.
pub(crate) fn draft2() -> Result<Vec<u8>, String> {
    DRAFT2.labelled("func", "", "")
}

/// A component that speaks `wasmcloud:keyvalue@0.2.0`.
pub(crate) fn wasmcloud() -> Result<Vec<u8>, String> {
    let nothing = "(i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)";
    WASMCLOUD.labelled("async func", "i32 i32 i64 i32", nothing)
}

impl Keyvalue {
    /// With functions of this kind; setting has options of these types, which are given so.
    fn labelled(&self, func: &str, option_types: &str, options: &str) -> Result<Vec<u8>, String> {
        let Self { name, version, bucket, .. } = self;
        let plain = format!("{name}/store@{version}");
        let imports = [("plain", &*plain)].into_iter().chain(LABELS.map(|label| (label, label)));
        let (mut head, mut body, mut world) = (String::new(), String::new(), String::new());
        for (label, from) in imports {
            // Where the bucket is of the interface that opens it, it is of each import.
            let own = *bucket == "store";
            let home = if own { from.to_owned() } else { format!("{name}/{bucket}@{version}") };
            if own || label == "plain" {
                head += &include_str!("bucket.wat").replace("HOME", &home);
            }
            head += &OPEN.replace("FROM", from);
            body += &include_str!("labelled.wat")
                .replace("LABEL", label)
                .replace("FROM", from)
                .replace("HOME", &home);
            let import =
                if label == "plain" { from.to_owned() } else { format!("{label}: {plain}") };
            world +=
                &WORLD.replace("IMPORT", &import).replace("LABEL", label).replace("FUNC", func);
        }
        let text = format!("(module {head} ;;+ memory\n {body})");
        let text = text.replace("OPTION-TYPES", option_types).replace("OPTIONS", options);
        self.assemble(&text, &world)
    }
}
