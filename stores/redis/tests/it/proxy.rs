//! What lies between a process and the server: it can be cut, in the middle of a reply too, and it can
//! swallow everything.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A line to a server, ended when it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    /// Whether nothing goes through, and nobody is told.
    swallows: AtomicBool,
    /// After so many more bytes of replies a line is cut. Negative: never.
    reply_bytes: AtomicI64,
    cuts: AtomicUsize,
    lines: Mutex<Vec<TcpStream>>,
}

const FOREVER: i64 = -1;

impl Proxy {
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback device");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        state.reply_bytes.store(FOREVER, Ordering::SeqCst);
        let own = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                if own.ended.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) else {
                    continue;
                };
                own.pump(&client, &server, false);
                own.pump(&server, &client, true);
                own.lines.lock().unwrap().extend([client, server]);
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// From now on nothing goes through in either direction, or all does again.
    pub(crate) fn swallow(&self, all: bool) {
        self.state.swallows.store(all, Ordering::SeqCst);
    }

    /// Cuts the next line that has to say more than so many more bytes of replies.
    pub(crate) fn cut_after(&self, bytes: i64) {
        self.state.reply_bytes.store(bytes, Ordering::SeqCst);
    }

    pub(crate) fn mend(&self) {
        self.cut_after(FOREVER);
    }

    pub(crate) fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl State {
    fn pump(self: &Arc<Self>, from: &TcpStream, to: &TcpStream, replies: bool) {
        let (mut from, mut to) = (
            from.try_clone().expect("a socket"),
            to.try_clone().expect("a socket"),
        );
        let own = Arc::clone(self);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                while own.swallows.load(Ordering::SeqCst) && !own.ended.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(1));
                }
                let mut through = read;
                if replies {
                    let left = own.reply_bytes.load(Ordering::SeqCst);
                    if left >= 0 {
                        through = through.min(left as usize);
                        own.reply_bytes.fetch_sub(through as i64, Ordering::SeqCst);
                    }
                }
                let sent = to.write_all(&bytes[..through]);
                if through < read {
                    own.reply_bytes.store(FOREVER, Ordering::SeqCst);
                    own.cuts.fetch_add(1, Ordering::SeqCst);
                }
                if sent.is_err() || through < read {
                    break;
                }
            }
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        for line in self.state.lines.lock().unwrap().drain(..) {
            let _ = line.shutdown(Shutdown::Both);
        }
        // So that it sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}
