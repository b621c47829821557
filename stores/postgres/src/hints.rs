//! The connection that listens for hints, and who is told.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use dogpile_fleet::{Depth, Hint, Key, Version, Watch};
use futures_util::stream::StreamExt;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Error};

use crate::connections::{Connect, Messages};

/// A connection on which nothing came for so long is asked whether it is alive: one that was cut off silently looks
/// like one on which nothing happens.
const IDLE: Duration = Duration::from_secs(2);
/// The first pause before it connects again. Each one doubles, up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// So many hints wait for one who sleeps. If there are more, it wakes and asks.
const WAITING: usize = 256;

/// Listens, once somebody watches, and until this is dropped.
pub(crate) struct Hints {
    told: Arc<Told>,
    from: Option<(Connect, Duration)>,
    runtime: Handle,
    task: Mutex<Option<tokio::task::AbortHandle>>,
}

struct Told {
    watches: Mutex<Vec<Weak<dyn Watch>>>,
    said: broadcast::Sender<Said>,
    listens: AtomicBool,
}

/// Whose lease may be over.
#[derive(Clone)]
pub(crate) enum Said {
    Of(Arc<[u8]>),
    In(Arc<str>),
    Lost,
}

impl Said {
    pub(crate) fn is_about(&self, key: &Key) -> bool {
        match self {
            Self::Of(name) => **name == *key.as_bytes(),
            Self::In(namespace) => **namespace == *key.namespace(),
            Self::Lost => true,
        }
    }
}

impl Hints {
    pub(crate) fn new(from: Option<(Connect, Duration)>, runtime: Handle) -> Self {
        let told = Told {
            watches: Mutex::default(),
            said: broadcast::channel(WAITING).0,
            listens: AtomicBool::new(false),
        };
        Self {
            told: Arc::new(told),
            from,
            runtime,
            task: Mutex::default(),
        }
    }

    pub(crate) fn can(&self) -> bool {
        self.from.is_some()
    }

    /// What is said from now on, if anything is at present.
    pub(crate) fn said(&self) -> Option<broadcast::Receiver<Said>> {
        let listens = self.told.listens.load(Ordering::SeqCst);
        listens.then(|| self.told.said.subscribe())
    }

    /// Tells `watch` from now on. What is missed until it listens, and whenever it does not, is told as
    /// [`Hint::Missed`].
    pub(crate) fn watch(&self, watch: Weak<dyn Watch>) -> bool {
        let Some((connect, limit)) = &self.from else {
            return false;
        };
        let watches = self.told.watches.lock();
        watches.unwrap_or_else(PoisonError::into_inner).push(watch);
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_none() {
            let (told, connect) = (Arc::clone(&self.told), Arc::clone(connect));
            let listening = self.runtime.spawn(listen(told, connect, *limit));
            *task = Some(listening.abort_handle());
        }
        true
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = &*task {
            task.abort();
        }
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

    /// First the copies, then those who sleep: whoever wakes shall not find the old one.
    fn hear(&self, message: &str) {
        let Some((hint, said)) = read(message) else {
            // It is of a later version, or somebody else's.
            return;
        };
        if let Some(hint) = hint {
            self.tell(&hint);
        }
        // Nobody may be asleep.
        let _ = self.said.send(said);
    }

    fn listens(&self, listens: bool) {
        self.listens.store(listens, Ordering::SeqCst);
        if listens {
            self.tell(&Hint::Missed);
        } else {
            // Whoever sleeps polls from now on.
            let _ = self.said.send(Said::Lost);
        }
    }
}

/// A letter, the version, and the name in hexadecimal.
fn read(message: &str) -> Option<(Option<Hint>, Said)> {
    let (first, name) = message.split_once(' ')?;
    let kind = first.chars().next().filter(char::is_ascii)?;
    let version = Version(first[1..].parse().ok()?);
    let name: Vec<u8> = (name.as_bytes().chunks(2))
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<_>>()?;
    if let 'n' | 'N' = kind {
        let namespace: Arc<str> = String::from_utf8(name).ok()?.into();
        let depth = if kind == 'N' {
            Depth::Hard
        } else {
            Depth::Soft
        };
        let hint = Hint::AllChanged {
            namespace: Arc::clone(&namespace),
            depth,
        };
        return Some((Some(hint), Said::In(namespace)));
    }
    let said = Said::Of(name.as_slice().into());
    let depth = match kind {
        'R' => return Some((None, said)),
        'C' | 'S' => Depth::Soft,
        'W' | 'H' => Depth::Hard,
        _ => return None,
    };
    let key = key(&name)?;
    Some((
        Some(Hint::Changed {
            key,
            version,
            depth,
        }),
        said,
    ))
}

/// The key whose name this is.
fn key(name: &[u8]) -> Option<Key> {
    let colon = name.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&name[..colon]).ok()?.parse().ok()?;
    let rest = &name[colon + 1..];
    let namespace = std::str::from_utf8(rest.get(..length)?).ok()?;
    let rest = rest[length..].strip_prefix(b":")?;
    let hash = rest.len().checked_sub(17)?;
    let format = std::str::from_utf8(rest[hash..].strip_prefix(b"#")?).ok()?;
    let format = u64::from_str_radix(format, 16).ok()?;
    Some(Key::new(namespace, &rest[..hash], format))
}

async fn listen(told: Arc<Told>, connect: Connect, limit: Duration) {
    let mut pause = FIRST_PAUSE;
    loop {
        // Why it does not is no news: it is tried again, and whoever asks the store is told the same.
        let begun = timeout(limit, begin(&connect)).await;
        if let Ok(Some((client, messages))) = begun {
            told.listens(true);
            pause = FIRST_PAUSE;
            hear(&told, &client, messages, limit).await;
            told.listens(false);
        } else {
            pause = (pause * 2).min(LAST_PAUSE);
        }
        // So that not all processes come back at one instant.
        let share = RandomState::new().hash_one(0) % 512;
        sleep(pause / 2 + pause * share as u32 / 1024).await;
    }
}

async fn begin(connect: &Connect) -> Option<(Client, Messages)> {
    let (client, mut messages) = connect().await.ok()?;
    // The connection does nothing unless its messages are asked for.
    {
        let mut listening = pin!(client.batch_execute("LISTEN dogpile_hints"));
        loop {
            tokio::select! {
                done = &mut listening => {
                    done.ok()?;
                    break;
                }
                message = messages.next() => {
                    message?.ok()?;
                }
            }
        }
    }
    Some((client, messages))
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

/// Until the connection is lost.
async fn hear(told: &Told, client: &Client, mut messages: Messages, limit: Duration) {
    let mut alive = Instant::now();
    let mut asking: Option<Asking<'_>> = None;
    loop {
        let wait = if asking.is_some() { limit } else { IDLE };
        let end = alive + wait;
        tokio::select! {
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(said))) => {
                    told.hear(said.payload());
                    if asking.is_none() {
                        alive = Instant::now();
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            done = async { asking.as_mut().expect("it was asked").await }, if asking.is_some() => {
                if done.is_err() {
                    return;
                }
                alive = Instant::now();
                asking = None;
            }
            () = tokio::time::sleep_until(end) => {
                if asking.is_some() {
                    return;
                }
                alive = Instant::now();
                asking = Some(Box::pin(client.batch_execute("")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hexadecimal(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_hint_names_the_key_whatever_bytes_it_has() {
        for name in [&b""[..], b"#", b"a:b#", b"\0\xff", &[7; 3000]] {
            for namespace in ["", "a", "1:a", "\u{0}#"] {
                let key = Key::new(namespace, name, 7);
                let message = format!("C12 {}", hexadecimal(key.as_bytes()));
                let Some((
                    Some(Hint::Changed {
                        key: of,
                        version,
                        depth,
                    }),
                    said,
                )) = read(&message)
                else {
                    panic!("{message}")
                };
                assert_eq!((&of, version, depth), (&key, Version(12), Depth::Soft));
                assert!(said.is_about(&key) && !said.is_about(&Key::new("other", name, 7)));
            }
        }
    }

    #[test]
    fn what_is_no_hint_is_left_alone() {
        for message in [
            "",
            " ",
            "C",
            "C1",
            "C1 ",
            "C1 0",
            "C1 zz",
            "C1 c3a9",
            "Z1 00",
            "\u{e9}1 00",
            "Cx 00",
            "n0 ff",
            "C1 +1",
        ] {
            assert!(read(message).is_none(), "{message:?}");
        }
    }
}
