//! What lies between a process and a server: it can be cut, in the middle of an answer too, and it can swallow
//! everything.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// A line to a server, whose other end is at `A`. It ends when it is dropped.
pub struct Line<A = SocketAddr> {
    address: A,
    state: Arc<State>,
    /// Makes the one who accepts see that it is over.
    nudge: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    ended: AtomicBool,
    /// Whether nothing goes through, and nobody is told.
    swallows: AtomicBool,
    /// After so many more bytes of answers a connection is cut. Negative: never.
    answer_bytes: AtomicI64,
    cuts: AtomicUsize,
    ends: Mutex<Vec<Box<dyn End>>>,
}

const NEVER: i64 = -1;

/// An end of a connection.
trait End: Read + Write + Send {
    fn again(&self) -> io::Result<Box<dyn End>>;
    fn close(&self);
}

macro_rules! end {
    ($stream:ty) => {
        impl End for $stream {
            fn again(&self) -> io::Result<Box<dyn End>> {
                Ok(Box::new(self.try_clone()?))
            }

            fn close(&self) {
                // It may be closed already.
                let _ = self.shutdown(Shutdown::Both);
            }
        }
    };
}

end!(TcpStream);
end!(UnixStream);

impl Line {
    /// A line to a server on a port of this machine.
    ///
    /// # Panics
    ///
    /// If no port is to be had.
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let accept = move || Ok(Box::new(listener.accept()?.0) as _);
        let connect = move || Ok(Box::new(TcpStream::connect(server)?) as _);
        Self {
            address,
            state: State::between(accept, connect),
            nudge: Box::new(move || drop(TcpStream::connect(address))),
        }
    }
}

impl Line<PathBuf> {
    /// A line to a server at a socket of the file system, from another one, which is made.
    ///
    /// # Panics
    ///
    /// If the socket cannot be made.
    pub fn to_socket(server: impl Into<PathBuf>, own: impl AsRef<Path>) -> Self {
        let (server, own) = (server.into(), own.as_ref().to_path_buf());
        let listener = UnixListener::bind(&own).expect("a socket");
        let accept = move || Ok(Box::new(listener.accept()?.0) as _);
        let connect = move || Ok(Box::new(UnixStream::connect(&server)?) as _);
        let address = own.clone();
        Self {
            address,
            state: State::between(accept, connect),
            nudge: Box::new(move || drop(UnixStream::connect(&own))),
        }
    }
}

impl<A> Line<A> {
    /// Where its other end is.
    pub fn address(&self) -> &A {
        &self.address
    }

    /// From now on nothing goes through in either direction, or all does again.
    pub fn swallow(&self, all: bool) {
        self.state.swallows.store(all, Ordering::SeqCst);
    }

    /// Cuts the next connection that has to carry more than so many more bytes of answers.
    pub fn cut_after(&self, bytes: u32) {
        self.state
            .answer_bytes
            .store(bytes.into(), Ordering::SeqCst);
    }

    /// It is not cut any more.
    pub fn mend(&self) {
        self.state.answer_bytes.store(NEVER, Ordering::SeqCst);
    }

    /// How often it was cut.
    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }
}

impl State {
    fn between(
        accept: impl Fn() -> io::Result<Box<dyn End>> + Send + 'static,
        connect: impl Fn() -> io::Result<Box<dyn End>> + Send + 'static,
    ) -> Arc<Self> {
        let state = Arc::new(Self::default());
        state.answer_bytes.store(NEVER, Ordering::SeqCst);
        let own = Arc::clone(&state);
        thread::spawn(move || {
            while let Ok(client) = accept() {
                if own.ended.load(Ordering::SeqCst) {
                    break;
                }
                // A client whose server is not there is hung up on.
                let joined = connect().and_then(|server| {
                    own.pump(client.again()?, server.again()?, false);
                    own.pump(server.again()?, client.again()?, true);
                    Ok(server)
                });
                if let Ok(server) = joined {
                    own.ends().extend([client, server]);
                }
            }
        });
        state
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn End>>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pump(self: &Arc<Self>, mut from: Box<dyn End>, mut to: Box<dyn End>, are_answers: bool) {
        let own = Arc::clone(self);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                while own.swallows.load(Ordering::SeqCst) && !own.ended.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(1));
                }
                let through = match are_answers {
                    true => own.allowed(read),
                    false => read,
                };
                if to.write_all(&bytes[..through]).is_err() || through < read {
                    break;
                }
            }
            from.close();
            to.close();
        });
    }

    /// How many bytes of an answer get through.
    fn allowed(&self, read: usize) -> usize {
        let left = self.answer_bytes.load(Ordering::SeqCst);
        let Ok(left) = usize::try_from(left) else {
            return read;
        };
        let through = read.min(left);
        let rest = i64::try_from(left - through).unwrap_or(NEVER);
        if through < read {
            self.answer_bytes.store(NEVER, Ordering::SeqCst);
            self.cuts.fetch_add(1, Ordering::SeqCst);
        } else {
            self.answer_bytes.store(rest, Ordering::SeqCst);
        }
        through
    }
}

impl<A> Drop for Line<A> {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        for end in self.state.ends().drain(..) {
            end.close();
        }
        (self.nudge)();
    }
}

impl<A: fmt::Debug> fmt::Debug for Line<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("address", &self.address)
            .field("cuts", &self.cuts())
            .finish_non_exhaustive()
    }
}
