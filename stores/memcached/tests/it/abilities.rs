//! What a server can do is asked when a connection is made, and who will not do is named.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use dogpile_fleet::{Described, Guarded, Store, StoreErrorKind};
use dogpile_memcached::MemcachedStore;

use crate::bench::{connect, key, lead, peek, put, runtime, write};
use crate::server::{Kind, Server};

/// A server that answers the first thing it is asked with this.
fn says(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let read = stream.read(&mut [0; 1024]).unwrap();
        assert!(read > 0);
        stream.write_all(answer.as_bytes()).unwrap();
        // Until it is left.
        let _ = stream.read(&mut [0; 1024]);
    });
    address
}

fn refused(answer: &'static str) -> (StoreErrorKind, String) {
    let address = says(answer);
    let blocking = MemcachedStore::connect([&*address]).unwrap_err();
    assert!(blocking.to_string().contains(&address), "{blocking}");
    let address = says(answer);
    let tasks = MemcachedStore::builder([&*address]).connect_tokio();
    let tasks = runtime().block_on(tasks).unwrap_err();
    assert_eq!(blocking.kind, tasks.kind);
    (blocking.kind, blocking.to_string())
}

#[test]
fn a_server_that_is_too_old_is_refused_by_name() {
    for version in ["VERSION 1.5.22\r\n", "VERSION 1.6.12\r\n"] {
        let (kind, said) = refused(version);
        assert_eq!(kind, StoreErrorKind::Refused);
        let number = version.trim().trim_start_matches("VERSION ");
        assert!(
            said.contains(number) && said.contains("upgrade it"),
            "{said}"
        );
    }
}

#[test]
fn what_is_no_memcached_is_told_from_one_that_is_down() {
    let (kind, said) = refused("-ERR unknown command 'version'\r\n");
    assert_eq!(kind, StoreErrorKind::Protocol, "{said}");
    let (kind, said) = refused("HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(kind, StoreErrorKind::Protocol, "{said}");
    let (kind, said) = refused("ERROR Too many open connections\r\n");
    assert_eq!(kind, StoreErrorKind::Unavailable);
    assert!(said.contains("-c"), "{said}");
    let nobody = "127.0.0.1:1";
    let error = MemcachedStore::connect([nobody]).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(
        error.to_string().contains("127.0.0.1:1 cannot be reached"),
        "{error}"
    );
    let error = MemcachedStore::connect(["/nowhere/at/all.sock"]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/nowhere/at/all.sock cannot be reached"),
        "{error}"
    );
}

#[test]
fn a_server_that_is_not_there_yet_is_used_when_it_is() {
    let Some(mut server) = Server::unix() else {
        return;
    };
    server.kill();
    let store = MemcachedStore::builder([server.address()])
        .connect_lazily()
        .unwrap();
    let error = peek(&store, &key("a")).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    server.start_again();
    lead(&store, &key("a"));
}

#[test]
fn the_largest_value_is_that_of_the_server_and_the_error_names_the_remedy() {
    let Some(small) = Server::start(Kind::Unix, &["-I", "512k"]) else {
        return;
    };
    let Some(large) = Server::start(Kind::Unix, &["-I", "4m"]) else {
        return;
    };
    let most = |store: &MemcachedStore| store.abilities().max_value;
    let (of_small, of_large) = (connect(&small), connect(&large));
    assert!((500_000..512 << 10).contains(&most(&of_small)));
    assert!((4_000_000..4 << 20).contains(&most(&of_large)));
    let both = MemcachedStore::connect([small.address(), large.address()]).unwrap();
    assert_eq!(most(&both), most(&of_small));

    let max = most(&of_small) as usize;
    write(&*of_small, &key("fits"), &vec![1; max]);
    let bytes = vec![1; max + 1];
    let error = of_small
        .put(&key("large"), &put(Guarded::Any, &bytes))
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Refused);
    let said = error.to_string();
    assert!(
        said.contains(&format!("limit of {max} bytes")) && said.contains("-I"),
        "{said}"
    );
    assert_eq!(peek(&*of_small, &key("large")).unwrap(), None);
}

#[test]
fn they_are_told_honestly() {
    let Some(server) = Server::unix() else { return };
    let abilities = connect(&server).abilities();
    assert!(!abilities.monotonic && !abilities.sees_death && !abilities.hints);
    assert!(abilities.resend_safe && abilities.namespaces);
    assert_eq!(abilities.resolution, Duration::from_secs(1));
}
