//! Instants of the system's clock in whole milliseconds, the granularity that every driver can keep, and the one seam through
//! which drivers ask what time it is.

use std::fmt;
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An instant in whole milliseconds since the Unix epoch, up to the end of the year 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

impl Timestamp {
    /// The last instant: the end of the year 9999, which every text form of a date can write.
    pub const MAX: Self = Self(NonZeroU64::new(253_402_300_799_999).expect("not zero"));

    /// `None` for the epoch itself and for instants past [`MAX`](Self::MAX).
    pub const fn from_millis(millis: u64) -> Option<Self> {
        match NonZeroU64::new(millis) {
            Some(n) if millis <= Self::MAX.0.get() => Some(Self(n)),
            _ => None,
        }
    }

    /// Milliseconds since the Unix epoch.
    #[inline]
    pub const fn as_millis(self) -> u64 {
        self.0.get()
    }

    /// The first whole millisecond that is not before `time`, so that what expires there is never early. `None` outside
    /// 1970 to 9999.
    pub fn from_system(time: SystemTime) -> Option<Self> {
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        Self::from_millis(ceil_millis(since)?)
    }

    /// The instant `duration` later, rounded up to a whole millisecond; `None` past [`MAX`](Self::MAX).
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        Self::from_millis(self.as_millis().checked_add(ceil_millis(duration)?)?)
    }

    /// How long until `self`, seen from `now`; zero when it has passed.
    pub fn since(self, now: Self) -> Duration {
        Duration::from_millis(self.as_millis().saturating_sub(now.as_millis()))
    }

    /// The same instant as a [`SystemTime`].
    pub fn to_system(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.as_millis())
    }
}

fn ceil_millis(duration: Duration) -> Option<u64> {
    let up = duration.checked_add(Duration::from_nanos(999_999))?;
    u64::try_from(up.as_millis()).ok()
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// Where a driver reads the time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// An instant that is not later than now, and earlier by some milliseconds at most: cheap, for what need not be exact.
    #[inline]
    fn recent(&self) -> Timestamp {
        self.now()
    }

    /// A clock that is moved by hand keeps `moved`, calls it after each move, and answers `true`: its time does not pass by
    /// itself, so nobody need wait for it.
    fn on_move(&self, moved: Box<dyn Fn() + Send + Sync>) -> bool {
        drop(moved);
        false
    }
}

/// The system's clock. If it is stepped, records expire by the stepped clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Timestamp {
        // Rounded down: a record is never seen as expired before its instant has come.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(since.as_millis() as u64).unwrap_or(Timestamp(NonZeroU64::MIN))
    }

    /// The exact clock reads the processor's counter behind a fence, which holds up the memory accesses around it: several times
    /// the cost of a small write.
    #[cfg(target_os = "linux")]
    #[inline]
    fn recent(&self) -> Timestamp {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let millis = (time.tv_sec as u64).saturating_mul(1000) + time.tv_nsec as u64 / 1_000_000;
        Timestamp::from_millis(millis).unwrap_or(Timestamp(NonZeroU64::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_round_up_and_stay_in_range() {
        let t = Timestamp::from_millis(1000).unwrap();
        assert_eq!(t.checked_add(Duration::from_nanos(1)).unwrap().as_millis(), 1001);
        assert_eq!(t.checked_add(Duration::from_millis(1)).unwrap().as_millis(), 1001);
        assert_eq!(t.checked_add(Duration::MAX), None);
        assert_eq!(Timestamp::MAX.checked_add(Duration::from_nanos(1)), None);
        assert_eq!(Timestamp::from_system(UNIX_EPOCH), None);
        assert_eq!(Timestamp::from_system(t.to_system()), Some(t));
    }
}
