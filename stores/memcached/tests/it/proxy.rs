//! Between a client and a server: it cuts, holds up and tears what passes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::server::Server;

/// What it does to what the server answers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Harm {
    None,
    /// Nothing passes in either direction, and nobody is told: a partition.
    Silence,
    /// After so many more bytes of answers the connection is cut.
    Cut(usize),
    /// After so many more answers one does not pass; the connection is cut. Then all is well again.
    Lost(usize),
    /// Each answer is this.
    Nonsense(&'static [u8]),
}

pub(crate) struct Proxy {
    address: String,
    state: Arc<State>,
}

struct State {
    server: String,
    harm: Mutex<Harm>,
    open: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
    requests: AtomicUsize,
}

impl Proxy {
    /// To a server that listens by TCP.
    pub(crate) fn new(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its number").to_string();
        let state = Arc::new(State {
            server: server.address().to_owned(),
            harm: Mutex::new(Harm::None),
            open: Mutex::default(),
            over: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                if shared.over.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(client) = client else { continue };
                let Ok(server) = TcpStream::connect(&shared.server) else {
                    continue;
                };
                shared.pass(&client, &server);
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn harm(&self, harm: Harm) {
        *self.state.harm.lock().unwrap() = harm;
    }

    /// How many pieces of requests have passed.
    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // So that the thread that accepts sees it.
        let _ = TcpStream::connect(&self.address);
    }
}

impl State {
    fn pass(self: &Arc<Self>, client: &TcpStream, server: &TcpStream) {
        let copy = |stream: &TcpStream| stream.try_clone().expect("a stream can be cloned");
        self.open
            .lock()
            .unwrap()
            .extend([copy(client), copy(server)]);
        for stream in [client, server] {
            stream.set_nodelay(true).expect("it is TCP");
        }
        for is_answer in [false, true] {
            let (mut from, mut to) = match is_answer {
                false => (copy(client), copy(server)),
                true => (copy(server), copy(client)),
            };
            let state = Arc::clone(self);
            thread::spawn(move || {
                let mut chunk = vec![0; 1 << 16];
                while let Ok(read) = from.read(&mut chunk) {
                    if read == 0 || !state.forward(&mut to, &chunk[..read], is_answer) {
                        break;
                    }
                }
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
    }

    /// `false`: the connection is to be cut.
    fn forward(&self, to: &mut TcpStream, bytes: &[u8], is_answer: bool) -> bool {
        loop {
            let mut harm = self.harm.lock().unwrap();
            match *harm {
                _ if self.over.load(Ordering::SeqCst) => return false,
                Harm::Silence => {
                    drop(harm);
                    // What was held up comes late, as packets do.
                    thread::sleep(Duration::from_millis(5));
                }
                Harm::Cut(left) if is_answer => {
                    let passes = left.min(bytes.len());
                    *harm = Harm::Cut(left - passes);
                    drop(harm);
                    let written = to.write_all(&bytes[..passes]);
                    return written.is_ok() && passes == bytes.len();
                }
                Harm::Lost(0) if is_answer => {
                    *harm = Harm::None;
                    return false;
                }
                Harm::Lost(passes) if is_answer => {
                    *harm = Harm::Lost(passes - 1);
                    drop(harm);
                    return to.write_all(bytes).is_ok();
                }
                Harm::Nonsense(nonsense) if is_answer => return to.write_all(nonsense).is_ok(),
                _ => {
                    drop(harm);
                    if !is_answer {
                        self.requests.fetch_add(1, Ordering::SeqCst);
                    }
                    return to.write_all(bytes).is_ok();
                }
            }
        }
    }
}
