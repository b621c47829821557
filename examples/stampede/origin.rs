//! The origin: a small, slow HTTP server that publishes the keys, and counts.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a request takes.
pub(crate) const DELAY: Duration = Duration::from_millis(80);

/// What the origin serves, before and after the rotation: JSON Web Key Sets (RFC 7517).
#[derive(Clone)]
pub(crate) struct Published {
    before: Arc<str>,
    after: Arc<str>,
}

impl Published {
    pub(crate) fn read() -> Result<Self, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("stampede");
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path)
                .map(Arc::from)
                .map_err(|error| format!("cannot read the keys in {}: {error}", path.display()))
        };
        Ok(Self {
            before: read("keys-before.json")?,
            after: read("keys-after.json")?,
        })
    }
}

/// What goes on at the origin, and when.
pub(crate) struct Script {
    /// The first request from here on gets half an answer.
    pub(crate) damage_from: Instant,
    /// The first whole answer from here on is the last one with the old keys.
    pub(crate) rotate_from: Instant,
    /// If there was none until here, the keys are rotated all the same.
    pub(crate) rotate_by: Instant,
}

pub(crate) struct Origin {
    address: SocketAddr,
    book: Arc<Book>,
    accepting: Option<JoinHandle<()>>,
}

/// What the origin knows and counts.
struct Book {
    published: Published,
    script: Script,
    closed: AtomicBool,
    requests: AtomicU64,
    running: AtomicU64,
    most_at_once: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    damaged: u64,
    rotated: Option<Instant>,
}

impl Origin {
    pub(crate) fn start(published: Published, script: Script) -> Result<Self, String> {
        let listener = TcpListener::bind(("127.0.0.1", 0));
        let listener =
            listener.map_err(|error| format!("cannot open a port on 127.0.0.1: {error}"))?;
        let address = listener
            .local_addr()
            .map_err(|error| format!("cannot tell which port was opened: {error}"))?;
        let book = Arc::new(Book {
            published,
            script,
            closed: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            running: AtomicU64::new(0),
            most_at_once: AtomicU64::new(0),
            state: Mutex::default(),
        });
        let accepting = thread::Builder::new()
            .name("origin".into())
            .spawn({
                let book = Arc::clone(&book);
                move || accept(&listener, &book)
            })
            .map_err(|error| format!("cannot start the origin's thread: {error}"))?;
        Ok(Self {
            address,
            book,
            accepting: Some(accepting),
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys.json", self.address)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.book.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn most_at_once(&self) -> u64 {
        self.book.most_at_once.load(Ordering::SeqCst)
    }

    /// How many answers were cut in half.
    pub(crate) fn damaged(&self) -> u64 {
        self.book.state().damaged
    }

    /// Since when every answer has the new key, if it does.
    pub(crate) fn rotated(&self) -> Option<Instant> {
        self.book.state().rotated
    }

    /// Rotates the keys if it is high time.
    pub(crate) fn rotate_at_latest(&self) {
        let mut state = self.book.state();
        let now = Instant::now();
        if state.rotated.is_none() && now >= self.book.script.rotate_by {
            state.rotated = Some(now);
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.book.closed.store(true, Ordering::SeqCst);
        // To wake it up: it looks at the mark with each connection. If none can be had, the thread
        // is left to the end of the process.
        if TcpStream::connect(self.address).is_err() {
            return;
        }
        if let Some(accepting) = self.accepting.take() {
            // A panic of that thread was printed when it happened.
            let _ = accepting.join();
        }
    }
}

/// A thread for each request, one request a connection: the origin never limits how many come at
/// once, so what comes is what the herd sends.
fn accept(listener: &TcpListener, book: &Arc<Book>) {
    for connection in listener.incoming() {
        if book.closed.load(Ordering::SeqCst) {
            return;
        }
        let book = Arc::clone(book);
        // Without a connection or a thread the caller sees an error, and the herd says so.
        let _ = connection.and_then(|connection| {
            thread::Builder::new()
                .name("origin".into())
                .spawn(move || book.serve(connection))
        });
    }
}

/// Reads the request up to the end of its head. There is one page only, so it does not matter which
/// was asked for.
fn read_request(connection: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    loop {
        let mut chunk = [0; 1024];
        match connection.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => head.extend_from_slice(&chunk[..read]),
        }
        let mut headers = [httparse::EMPTY_HEADER; 32];
        match httparse::Request::new(&mut headers).parse(&head) {
            Ok(status) if status.is_complete() => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

impl Book {
    fn serve(&self, mut connection: TcpStream) -> io::Result<()> {
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        read_request(&mut connection)?;
        let body = self.answer();
        write!(
            connection,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn answer(&self) -> String {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(running, Ordering::SeqCst);
        let body = self.body();
        thread::sleep(DELAY);
        // Before the answer goes out: whoever has it may ask again at once.
        self.running.fetch_sub(1, Ordering::SeqCst);
        body
    }

    /// The answer, settled when the request comes in.
    fn body(&self) -> String {
        let mut state = self.state();
        let now = Instant::now();
        if state.rotated.is_some() {
            return String::from(&*self.published.after);
        }
        let before = &*self.published.before;
        if now >= self.script.damage_from && state.damaged == 0 {
            state.damaged = 1;
            return before.chars().take(before.len() / 2).collect();
        }
        if now >= self.script.rotate_from {
            state.rotated = Some(now);
        }
        String::from(before)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
