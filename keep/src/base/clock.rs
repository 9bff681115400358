//! Where time comes from: the machine's clocks in the program, and a clock that stands still in tests.

use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// The clocks of a machine. What needs to know the time is given one of these, so that a test can set it.
///
/// How long this process waits for something is no business of a `Clock`: that is tokio's time.
pub trait Clock: Debug + Send + Sync {
    /// Returns the wall clock's time, which people and other programs may set forwards and back.
    fn wall(&self) -> SystemTime;

    /// Returns the time since this machine was started, time asleep included.
    fn since_boot(&self) -> io::Result<Duration>;

    /// Returns what tells one start of this machine from another: no two starts have the same.
    fn boot(&self) -> io::Result<Arc<str>>;
}

/// A clock that several parts of a program share.
pub type SharedClock = Arc<dyn Clock>;

impl dyn Clock + '_ {
    /// Returns seconds since the epoch by the wall clock.
    pub fn unix_seconds(&self) -> u64 {
        self.since_epoch().as_secs()
    }

    /// Returns microseconds since the epoch by the wall clock.
    pub fn unix_micros(&self) -> i64 {
        i64::try_from(self.since_epoch().as_micros()).unwrap_or(i64::MAX)
    }

    fn since_epoch(&self) -> Duration {
        self.wall().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// The clocks of this machine.
#[derive(Debug, Default)]
pub struct SystemClock {
    /// What [`Clock::boot`] returns, once it was read: it cannot change while this process lives.
    boot: OnceLock<Arc<str>>,
}

impl SystemClock {
    /// Returns it as a clock to share.
    pub fn shared() -> SharedClock {
        Arc::new(Self::default())
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn since_boot(&self) -> io::Result<Duration> {
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
        let (seconds, nanos) = (u64::try_from(time.tv_sec()), u32::try_from(time.tv_nsec()));
        Ok(Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default()))
    }

    fn boot(&self) -> io::Result<Arc<str>> {
        if let Some(known) = self.boot.get() {
            return Ok(Arc::clone(known));
        }
        let read = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Ok(Arc::clone(self.boot.get_or_init(|| read.trim().into())))
    }
}

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct ManualClock(Mutex<Manual>);

#[derive(Debug)]
struct Manual {
    wall: SystemTime,
    since_boot: Duration,
    boot: Arc<str>,
}

impl ManualClock {
    /// Makes a clock that shows `wall`, on a machine that was started that moment.
    pub fn new(wall: SystemTime) -> Self {
        Self(Mutex::new(Manual { wall, since_boot: Duration::ZERO, boot: "first".into() }))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        self.change(|clock| {
            clock.wall += by;
            clock.since_boot += by;
        });
    }

    /// Sets the wall clock, as an admin does; the machine goes on running meanwhile.
    pub fn set_wall(&self, wall: SystemTime) {
        self.change(|clock| clock.wall = wall);
    }

    /// Starts the machine anew.
    pub fn reboot(&self, boot: &str) {
        self.change(|clock| (clock.since_boot, clock.boot) = (Duration::ZERO, boot.into()));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Manual) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> SystemTime {
        self.change(|clock| clock.wall)
    }

    fn since_boot(&self) -> io::Result<Duration> {
        Ok(self.change(|clock| clock.since_boot))
    }

    fn boot(&self) -> io::Result<Arc<str>> {
        Ok(self.change(|clock| Arc::clone(&clock.boot)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_may_be_set_while_the_machine_goes_on() {
        let clock = ManualClock::new(UNIX_EPOCH + Duration::from_secs(100));
        clock.advance(Duration::from_secs(5));
        let seen: &dyn Clock = &clock;
        assert_eq!((seen.unix_seconds(), seen.unix_micros()), (105, 105_000_000));
        clock.set_wall(UNIX_EPOCH);
        assert_eq!((seen.unix_seconds(), seen.since_boot().unwrap()), (0, Duration::from_secs(5)));
        clock.reboot("second");
        assert_eq!((seen.since_boot().unwrap(), seen.boot().unwrap()), (Duration::ZERO, "second".into()));
    }

    #[test]
    fn the_machine_has_a_boot_and_has_been_up_for_a_while() {
        assert!(!SystemClock::default().boot().unwrap().is_empty());
        assert!(SystemClock::default().since_boot().unwrap() > Duration::ZERO);
    }
}
