//! The connection that listens for hints, and who is told.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use dogpile_fleet::{Hint, Watch};
use redis::{Client, IntoConnectionInfo, ProtocolVersion, RedisResult};

use crate::names::Said;
use crate::sleepers::Sleepers;

/// A thread that listens looks so often whether the store is still there.
const TICK: Duration = Duration::from_millis(250);
/// A connection on which nothing came for so long is asked whether it is alive: one that was cut off
/// silently looks like one on which nothing happens.
const IDLE: Duration = Duration::from_secs(2);
/// The first pause before it connects again. Each one doubles, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Listens, once somebody watches. The thread ends soon after this is dropped: at its next tick, or after the
/// pause before it would connect again.
pub(crate) struct Hints {
    told: Arc<Told>,
    from: Option<(Client, String, Duration)>,
    begun: Mutex<bool>,
}

#[derive(Default)]
pub(crate) struct Told {
    watches: Mutex<Vec<Weak<dyn Watch>>>,
    pub(crate) sleepers: Sleepers,
    listens: AtomicBool,
}

impl Hints {
    /// `channels` is a pattern.
    pub(crate) fn new(client: Option<Client>, channels: String, timeout: Duration) -> Self {
        Self {
            told: Arc::default(),
            from: client.map(|client| (client, channels, timeout)),
            begun: Mutex::default(),
        }
    }

    pub(crate) fn can(&self) -> bool {
        self.from.is_some()
    }

    /// Who sleeps, if hints would wake them at present.
    pub(crate) fn sleepers(&self) -> Option<&Sleepers> {
        let listens = self.told.listens.load(Ordering::SeqCst);
        listens.then_some(&self.told.sleepers)
    }

    /// Tells `watch` from now on. What is missed until it listens, and whenever it does not, is told as
    /// [`Hint::Missed`].
    pub(crate) fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        let Some((client, channels, timeout)) = &self.from else {
            return false;
        };
        let watches = self.told.watches.lock();
        watches.unwrap_or_else(PoisonError::into_inner).push(watch);
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if !*begun {
            let told = Arc::downgrade(&self.told);
            let (client, channels, timeout) = (client.clone(), channels.clone(), *timeout);
            let listen = move || listen(&told, &client, &channels, timeout);
            let named = thread::Builder::new().name("dogpile-redis-hints".to_owned());
            // Where the system has no thread left there are no hints.
            *begun = named.spawn(listen).is_ok();
        }
        *begun
    }
}

impl Told {
    fn tell(&self, hint: &Hint) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|watch| watch.strong_count() > 0);
        let watches: Vec<_> = watches.iter().filter_map(Weak::upgrade).collect();
        for watch in watches {
            watch.hint(hint);
        }
    }

    fn hear(&self, message: &[u8]) {
        match Said::read(message) {
            Some(Said::Released(key)) => self.sleepers.wake_for(&key),
            Some(Said::Hint(hint)) => {
                // First the copies: whoever wakes shall not find the old one.
                self.tell(&hint);
                match &hint {
                    Hint::Changed { key, .. } => self.sleepers.wake_for(key),
                    Hint::AllChanged { namespace, .. } => {
                        self.sleepers.wake(|key| key.namespace() == &**namespace);
                    }
                    Hint::Missed => {}
                }
            }
            // It is of a later version, or somebody else's.
            None => {}
        }
    }

    fn connected(&self) {
        self.listens.store(true, Ordering::SeqCst);
        self.tell(&Hint::Missed);
    }

    /// Whoever sleeps polls from now on.
    fn disconnected(&self) {
        self.listens.store(false, Ordering::SeqCst);
        self.sleepers.wake(|_| true);
    }
}

fn listen(told: &Weak<Told>, client: &Client, channels: &str, timeout: Duration) {
    let mut pause = FIRST_PAUSE;
    while told.strong_count() > 0 {
        let mut heard = false;
        // Why it ended is no news: it is tried again, and whoever asks the store is told the same.
        let _ = hear(told, client, channels, timeout, &mut heard);
        let Some(told) = told.upgrade() else { return };
        told.disconnected();
        drop(told);
        pause = match heard {
            true => FIRST_PAUSE,
            false => (pause * 2).min(LAST_PAUSE),
        };
        // So that not all processes come back at one instant.
        let share = RandomState::new().hash_one(0) % 512;
        thread::sleep(pause / 2 + pause * share as u32 / 1024);
    }
}

/// Listens until the connection is lost or the store is gone.
fn hear(
    told: &Weak<Told>,
    client: &Client,
    channels: &str,
    timeout: Duration,
    heard: &mut bool,
) -> RedisResult<()> {
    let info = client.get_connection_info().clone();
    let settings = info.redis_settings().clone();
    // The form of pub/sub that all servers have.
    let settings = settings.set_protocol(ProtocolVersion::RESP2);
    let client = Client::open(info.set_redis_settings(settings).into_connection_info()?)?;
    let mut connection = client.get_connection_with_timeout(timeout)?;
    connection.set_read_timeout(Some(timeout))?;
    connection.set_write_timeout(Some(timeout))?;
    let mut messages = connection.as_pubsub();
    messages.psubscribe(channels)?;
    let Some(here) = told.upgrade() else {
        return Ok(());
    };
    here.connected();
    drop(here);
    *heard = true;
    messages.set_read_timeout(Some(TICK))?;
    let mut last = Instant::now();
    loop {
        let message = messages.get_message();
        let Some(told) = told.upgrade() else {
            return Ok(());
        };
        match message {
            Ok(message) => {
                told.hear(message.get_payload_bytes());
                last = Instant::now();
            }
            Err(error) if error.is_timeout() => {
                if last.elapsed() >= IDLE {
                    messages.set_read_timeout(Some(timeout))?;
                    let _: redis::Value = messages.ping()?;
                    messages.set_read_timeout(Some(TICK))?;
                    last = Instant::now();
                }
            }
            Err(error) => return Err(error),
        }
    }
}
