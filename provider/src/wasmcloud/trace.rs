//! W3C trace context: which trace a call belongs to, so that what comes of it can say so.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

/// The header that carries it.
pub(crate) const HEADER: &str = "traceparent";

/// One span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
}

impl TraceContext {
    /// From a header; `None` where it is none, as the specification wants malformed ones ignored.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace) = (hex(parts.next()?, 2)?, hex(parts.next()?, 32)?);
        let (span, flags) = (hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
        // Later versions may say more; this one may not.
        let sound = version != 0xff && (version > 0 || parts.next().is_none());
        (sound && trace != 0 && span != 0).then_some(Self {
            trace,
            span: span as u64,
            flags: flags as u8,
        })
    }

    /// The next span of a trace, or the first of a new one.
    pub(crate) fn below(parent: Option<Self>) -> Self {
        let trace = || u128::from(random()) << 64 | u128::from(random());
        // Nobody has asked for what begins here to be recorded.
        let parent = parent.unwrap_or_else(|| Self { trace: trace(), span: 0, flags: 0 });
        Self { span: random(), ..parent }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

fn hex(text: &str, len: usize) -> Option<u128> {
    let sound = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (sound && text.len() == len).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// Not 0. Each hasher has keys of its own.
fn random() -> u64 {
    RandomState::new().hash_one(0u8) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_malformed_is_ignored_and_what_is_sound_goes_on() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = TraceContext::parse(header).unwrap();
        assert_eq!(parent.to_string(), header);
        let child = TraceContext::below(Some(parent)).to_string();
        assert_eq!(&child[..36], &header[..36], "the same trace");
        assert_ne!(child[36..52], header[36..52], "another span");
        assert!(child.ends_with("-01"));
        assert!(TraceContext::parse(&format!("01{}-more", &header[2..])).is_some());
        let first = TraceContext::below(None);
        assert_ne!(first.trace, TraceContext::below(None).trace);
        assert_eq!(TraceContext::parse(&first.to_string()), Some(first));
        for bad in [
            "",
            "garbage",
            "00-4bf9-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }
}
