//! The scripts: loaded with every connection, called by their digest.

use std::sync::LazyLock;

/// One script.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) source: &'static str,
    pub(crate) sha: String,
}

impl Script {
    /// The command that loads it.
    pub(crate) fn load(&self) -> redis::Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(self.source);
        command
    }
}

macro_rules! scripts {
    ($($(#[$about:meta])* $name:ident = $($file:literal)+;)*) => {
        $(
            $(#[$about])*
            pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
                let source = concat!($(include_str!($file)),+);
                Script { source, sha: redis::Script::new(source).get_hash().to_owned() }
            });
        )*

        /// All of them.
        pub(crate) fn all() -> impl Iterator<Item = &'static Script> {
            [$(&*$name),*].into_iter()
        }
    };
}

scripts! {
    APPLY = "lua/due.lua" "lua/apply.lua";
    BATCH = "lua/due.lua" "lua/batch.lua";
    PUT = "lua/put.lua";
    PUTS = "lua/puts.lua";
    PAGE = "lua/page.lua";
    READ = "lua/read.lua";
    REAP = "lua/due.lua" "lua/reap.lua";
    DROP = "lua/drop.lua";
    OPEN = "lua/open.lua";
    FEED = "lua/feed.lua";
    DATABASE = "lua/database.lua";
    ADOPT = "lua/due.lua" "lua/adopt.lua";
    PLAIN = "lua/plain.lua";
}
