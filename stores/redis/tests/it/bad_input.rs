//! What a user may get wrong, and what others may do to the server: an error says what it is about and
//! what to do, and nothing hangs or panics.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use dogpile_fleet::{Answer, Ask, Guarded, Key, Store, StoreErrorKind};
use dogpile_redis::{AsyncRedisStore, RedisStore, Settings};
use redis::Client;
use store_bench::{Process, SECOND, TTL, held, put};
use tokio::runtime::Runtime;

use crate::bench::{Clock, settings};
use crate::server::server;

fn key() -> Key {
    Key::new("bad", "key", 0)
}

/// The error says each of these.
#[track_caller]
fn assert_says<T>(answer: Answer<T>, kind: StoreErrorKind, words: &[&str]) {
    let Err(error) = answer else {
        panic!("no error")
    };
    let text = error.to_string();
    assert_eq!(error.kind, kind, "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

#[test]
fn settings_that_cannot_be() {
    let refused = StoreErrorKind::Refused;
    let store = |settings| RedisStore::new(Client::open("redis://127.0.0.1/").unwrap(), settings);
    assert_says(RedisStore::open("127.0.0.1:6379"), refused, &["redis://"]);
    assert_says(
        RedisStore::open("http://127.0.0.1/"),
        refused,
        &["redis://"],
    );
    for prefix in ["{a}", "a{", "}"] {
        assert_says(
            store(Settings::new().prefix(prefix)),
            refused,
            &[prefix, "brace"],
        );
    }
    assert_says(store(Settings::new().slices(0)), refused, &["slices(1)"]);
    assert_says(
        store(Settings::new().timeout(Duration::ZERO)),
        refused,
        &["timeout"],
    );
    let outside = AsyncRedisStore::open("redis://127.0.0.1/");
    assert_says(
        outside,
        refused,
        &["outside of a runtime", "runtime.enter()"],
    );
}

#[test]
fn nobody_there() {
    let store = RedisStore::open("redis://127.0.0.1:1/").unwrap();
    let unavailable = StoreErrorKind::Unavailable;
    assert_says(store.get_or_lease(&key(), &Ask::peek()), unavailable, &[]);
    let many = store.get_or_lease_many(&[(key(), Ask::peek()), (key(), Ask::peek())]);
    assert_eq!(many.len(), 2);
    for answer in many {
        assert_says(answer, unavailable, &[]);
    }
}

#[test]
fn passwords() {
    let server = server!("--requirepass", "right");
    let refused = StoreErrorKind::Refused;
    let url = |password: &str| {
        format!(
            "{}?pass={password}",
            server.url().split('?').next().unwrap()
        )
    };
    let without = RedisStore::open(server.url().split('?').next().unwrap()).unwrap();
    let remedy = "redis://:PASSWORD@HOST/";
    assert_says(
        without.get_or_lease(&key(), &Ask::peek()),
        refused,
        &[remedy],
    );
    assert_says(
        without.put(&key(), &put(Guarded::Any, b"")),
        refused,
        &[remedy],
    );
    let wrong = RedisStore::open(&url("wrong")).unwrap();
    let remedy = "the user or the password is wrong";
    assert_says(wrong.get_or_lease(&key(), &Ask::peek()), refused, &[remedy]);
    let right = RedisStore::open(&url("right")).unwrap();
    assert!(right.get_or_lease(&key(), &Ask::peek()).is_ok());

    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        use dogpile_fleet::AsyncStore;
        let wrong = AsyncRedisStore::open(&url("wrong")).unwrap();
        assert_says(
            wrong.get_or_lease(&key(), &Ask::peek()).await,
            refused,
            &[remedy],
        );
        let right = AsyncRedisStore::open(&url("right")).unwrap();
        assert!(right.get_or_lease(&key(), &Ask::peek()).await.is_ok());
    });
}

#[test]
fn a_password_that_is_changed_costs_nobody_with_a_usable_value() {
    let server = server!();
    let clock = Clock::new(&server);
    let a = Process::new(&clock.here, server.store_with(settings().keep(0)));
    assert_eq!(a.call(1), 1);
    clock.pass(&server, TTL * 2);
    let _: () = server.say(&["CONFIG", "SET", "requirepass", "new"]);
    assert_eq!(a.has(), 1);
    assert_eq!(a.pile.stats().store_errors, 1);
}

/// A user who may do what the documentation says that the store needs, and no more.
#[test]
fn permissions() {
    let server = server!();
    let user = |rules: &[&str]| {
        let _: () =
            server.say(&[&["ACL", "SETUSER", "app", "reset", "on", ">word"], rules].concat());
        let client = Client::open(format!("{}?user=app&pass=word", server.url())).unwrap();
        RedisStore::new(client, Settings::new()).unwrap()
    };
    let needs = [
        "+evalsha",
        "+eval",
        "+time",
        "+get",
        "+set",
        "+pttl",
        "+pexpire",
        "+hmget",
        "+hget",
        "+hset",
        "+hdel",
        "+del",
        "~dogpile:*",
    ];
    let store = user(&needs);
    // Nobody may be told, and the value is stored all the same.
    assert!(store.put(&key(), &put(Guarded::Any, b"1")).is_ok());
    assert_eq!(held(&store, &key()).unwrap(), b"1");
    let told = user(&[&needs[..], &["+publish", "+psubscribe", "&dogpile:hints:*"]].concat());
    assert!(told.put(&key(), &put(Guarded::Any, b"2")).is_ok());
    let reads = user(&["+get", "~*"]);
    let answer = reads.get_or_lease(&key(), &Ask::peek());
    assert_says(
        answer,
        StoreErrorKind::Refused,
        &["NOPERM", "EVALSHA", "PUBLISH"],
    );
    let elsewhere = user(&["+@all", "~other:*"]);
    let answer = elsewhere.get_or_lease(&key(), &Ask::peek());
    assert_says(answer, StoreErrorKind::Refused, &["NOPERM", "prefix"]);
}

#[test]
fn a_foreign_value_under_our_key_is_unreadable_and_made_anew() {
    let server = server!();
    let clock = Clock::new(&server);
    let (a, b) = (
        Process::new(&clock.here, server.store_with(settings())),
        Process::new(&clock.here, server.store_with(settings())),
    );
    assert_eq!(a.call(1), 1);
    let names: Vec<String> = server.say(&["KEYS", "*number*"]);
    // The bytes of the value are another's, its head is not.
    let _: i64 = server.say(&["HSET", &names[0], "v", "foreign"]);
    assert_eq!(b.call(2), 2);
    assert_eq!(b.pile.stats().unreadable, 1);
    // All of it is another's.
    clock.pass(&server, TTL * 2);
    let _: () = server.say(&["SET", &names[0], "foreign"]);
    assert_eq!((a.call(3), b.has()), (3, 3));
    assert_eq!(a.pile.stats().store_errors + b.pile.stats().store_errors, 0);
}

/// Something that is no Redis.
fn says(answer: &'static [u8]) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        // The first connection, and the one with which it is tried again.
        for client in listener.incoming().take(1) {
            let mut client = client.unwrap();
            let mut bytes = [0; 4096];
            while let Ok(1..) = client.read(&mut bytes) {
                if client.write_all(answer).is_err() {
                    break;
                }
            }
        }
    });
    (url, thread)
}

#[test]
fn what_is_no_redis_is_an_error_within_the_timeout() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\0\0\0\0\0\0\0\0",
        b"$-5\r\n",
        b"*99999999999\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
        b"$1000\r\nshort\r\n",
        // It says nothing.
        b"",
    ] {
        let (url, thread) = says(answer);
        let client = Client::open(url).unwrap();
        let store = RedisStore::new(client, Settings::new().timeout(SECOND / 4)).unwrap();
        let error = store.get_or_lease(&key(), &Ask::peek()).unwrap_err();
        let kind = error.kind;
        assert!(
            matches!(
                kind,
                StoreErrorKind::Unavailable | StoreErrorKind::Protocol | StoreErrorKind::Refused
            ),
            "{error}"
        );
        drop(store);
        thread.join().unwrap();
    }
}
