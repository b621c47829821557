//! Round trips, counted: none for a hit in the process, one to look, three for a regeneration.

use std::sync::Arc;

use dogpile_fleet::{
    Ask, AsyncStore, Depth, FleetDogpile, Found, Guarded, Key, Owner, Placed, Store, Version,
};
use dogpile_memcached::TokioMemcachedStore;

use crate::bench::{
    LONG, SECOND, builder, bytes, commit, connect, key, lead, make, peek, put, runtime, write,
};
use crate::server::Server;

#[test]
fn none_for_a_hit_here_one_for_one_there_three_for_a_regeneration() {
    let Some(server) = Server::unix() else { return };
    let (first, second) = (connect(&server), connect(&server));
    let of = |store| FleetDogpile::<String, _>::builder(store, "key", LONG).build();
    let here = of(Arc::clone(&first));
    assert_eq!(*here.get_or_try_create(make("1")).unwrap(), "1");
    assert_eq!(first.round_trips(), 3, "a regeneration");
    assert_eq!(*here.get_or_try_create(make("2")).unwrap(), "1");
    assert_eq!(first.round_trips(), 3, "a hit in the process");
    assert_eq!(
        *of(Arc::clone(&second))
            .get_or_try_create(make("2"))
            .unwrap(),
        "1"
    );
    assert_eq!(second.round_trips(), 1, "a hit in the store");
    here.expire().unwrap();
    let before = first.round_trips();
    assert_eq!(*here.get_or_try_create(make("2")).unwrap(), "2");
    assert_eq!(
        first.round_trips() - before,
        3,
        "a regeneration over a value"
    );
}

#[test]
fn of_tasks_as_many() {
    let Some(server) = Server::unix() else { return };
    runtime().block_on(async {
        let store = TokioMemcachedStore::connect([server.address()])
            .await
            .unwrap();
        let store = Arc::new(store);
        let pile = FleetDogpile::<String, _>::builder(Arc::clone(&store), "key", LONG).build();
        let made = async |_| Ok::<_, String>("1".to_owned());
        assert_eq!(*pile.get_or_try_create_async(made).await.unwrap(), "1");
        assert_eq!(store.round_trips(), 3);
        let other = FleetDogpile::<String, _>::builder(Arc::clone(&store), "key", LONG).build();
        assert_eq!(*other.get_or_try_create_async(made).await.unwrap(), "1");
        assert_eq!(store.round_trips(), 4);
    });
}

#[test]
fn two_for_what_changes_a_record() {
    let Some(server) = Server::unix() else { return };
    let store = connect(&server);
    let trips = |what: &str, wanted: u64, verb: &dyn Fn()| {
        let before = store.round_trips();
        verb();
        assert_eq!(store.round_trips() - before, wanted, "{what}");
    };
    let k = key("a");
    trips("write", 2, &|| assert!(!write(&*store, &k, b"1").is_none()));
    trips("soft", 2, &|| {
        assert!(store.invalidate(&k, Depth::Soft, Version::NONE).unwrap())
    });
    let grant = lead(&*store, &k);
    trips("renewal", 2, &|| {
        assert!(store.renew(&k, grant, LONG).unwrap())
    });
    trips("commit after a renewal", 1, &|| {
        assert_eq!(
            commit(&*store, &k, grant, b"2"),
            Placed::Stored(grant.fence)
        );
    });
    let key = key("b");
    let grant = lead(&*store, &key);
    trips("release", 2, &|| {
        assert!(store.release(&key, grant, SECOND).unwrap())
    });
    trips("namespace", 2, &|| {
        store.invalidate_all("test", Depth::Hard).unwrap()
    });
    assert_eq!(bytes(&*store, &k), None);
}

#[test]
fn of_many_records_one_to_each_server_and_one_more_to_lead() {
    let servers: Option<Vec<_>> = (0..3).map(|_| Server::unix()).collect();
    let Some(servers) = servers else { return };
    let store = builder(&servers).connect().unwrap();
    let asks: Vec<_> = (0..200)
        .map(|number| (key(&format!("{number}")), Ask::lead(Owner::draw(), LONG)))
        .collect();
    let found = store.get_or_lease_many(&asks);
    assert_eq!(store.round_trips(), 6);
    for ((key, ask), found) in asks.iter().zip(found) {
        let Ok(Found::Leased { fence, .. }) = found else {
            panic!("{found:?}")
        };
        let owner = ask.owner.unwrap();
        let grant = dogpile_fleet::Grant { owner, fence };
        assert_eq!(
            commit(&store, key, grant, key.as_bytes()),
            Placed::Stored(fence)
        );
    }
    assert_eq!(store.round_trips(), 206);
    for ((key, _), found) in asks.iter().zip(store.get_or_lease_many(&asks)) {
        let stored = found.unwrap().stored().cloned().unwrap();
        assert_eq!(stored.bytes.as_deref(), Some(key.as_bytes()));
    }
    assert_eq!(store.round_trips(), 209);
    runtime().block_on(async {
        let store = builder(&servers).connect_tokio().await.unwrap();
        let found = store.get_or_lease_many(&asks).await;
        assert!(
            found
                .iter()
                .all(|found| matches!(found, Ok(Found::Fresh(_))))
        );
        assert_eq!(store.round_trips(), 3);
    });
}

/// A lease that another process holds for this one, or that was forgotten here, costs one more.
#[test]
fn a_commit_by_another_connection_of_the_fleet_reads_the_record_first() {
    let Some(server) = Server::unix() else { return };
    let (leads, commits) = (connect(&server), connect(&server));
    let k = key("a");
    let grant = lead(&*leads, &k);
    assert_eq!(
        commit(&*commits, &k, grant, b"1"),
        Placed::Stored(grant.fence)
    );
    assert_eq!(commits.round_trips(), 2);
    // Sent twice, it is one.
    let again = leads.put(&k, &put(Guarded::Lease(grant), b"1")).unwrap();
    assert_eq!(again, Placed::Stored(grant.fence));
}

/// A value that the caller has is not handed on, though memcached sends it.
#[test]
fn of_a_known_version_there_are_no_bytes() {
    let Some(server) = Server::unix() else { return };
    let store = connect(&server);
    let k: Key = key("a");
    let known = write(&*store, &k, b"1");
    let ask = Ask {
        known,
        ..Ask::peek()
    };
    let found = store.get_or_lease(&k, &ask).unwrap();
    assert_eq!(found.stored().unwrap().bytes, None);
    assert_eq!(
        peek(&*store, &k).unwrap().unwrap().bytes.as_deref(),
        Some(&b"1"[..])
    );
}
