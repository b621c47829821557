//! Where a record lies: on which server, and in the item of which name.
//!
//! All programs of a fleet have to agree on it, also those of different versions. So it stands here,
//! and a test pins it.

use dogpile_fleet::Key;

use crate::meta::Name;

/// The items of one record.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Of the record.
    pub(crate) item: Name,
    /// Of the generation of its namespace.
    pub(crate) space: Name,
    /// What stands behind the value, as the item's name does not tell it: the whole name of the key.
    pub(crate) tail: Vec<u8>,
    /// Which of the servers.
    pub(crate) server: usize,
}

/// How names are made.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    prefix: String,
    servers: Vec<u128>,
}

impl Places {
    /// `servers` are the names of the servers, in whatever order.
    pub(crate) fn new(prefix: &str, servers: &[String]) -> Self {
        Self {
            prefix: prefix.to_owned(),
            servers: servers
                .iter()
                .map(|server| hash(server.as_bytes()))
                .collect(),
        }
    }

    pub(crate) fn of(&self, key: &Key) -> Place {
        let name = key.as_bytes();
        let (item, is_hash) = self.name("k:", name);
        Place {
            item,
            space: self.space(key.namespace()),
            tail: if is_hash { name.to_vec() } else { Vec::new() },
            server: self.server(name),
        }
    }

    pub(crate) fn space(&self, namespace: &str) -> Name {
        self.name("n:", namespace.as_bytes()).0
    }

    /// The name as it is where memcached takes it, else a hash.
    fn name(&self, kind: &str, name: &[u8]) -> (Name, bool) {
        let whole = [self.prefix.as_bytes(), kind.as_bytes(), name].concat();
        Name::new(whole).map_or_else(
            |_| {
                let hashed = format!("{}{kind}#{:032x}", self.prefix, hash(name));
                let name = Name::new(hashed).expect("the prefix was checked");
                (name, true)
            },
            |name| (name, false),
        )
    }

    /// Rendezvous hashing: each server draws a number for each key, and the highest has it. If a server
    /// is added or removed, the keys that it has change their place, and no others.
    fn server(&self, name: &[u8]) -> usize {
        let key = hash(name);
        let draws = self.servers.iter().map(|server| mix(*server ^ key));
        let highest = draws.enumerate().max_by_key(|(_, draw)| *draw);
        highest.map_or(0, |(server, _)| server)
    }
}

/// FNV-1a of 128 bits. Two names with one hash share an item and take it from each other: each finds
/// the other's a miss, since the name stands in it.
fn hash(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013B;
    let step = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
    bytes.iter().fold(OFFSET, step)
}

/// Spreads each bit over all of a word: the finish of MurmurHash3.
fn mix(bits: u128) -> u64 {
    let mut word = (bits >> 64) as u64 ^ bits as u64;
    word = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    word = (word ^ word >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(servers: &[&str]) -> Places {
        let servers: Vec<_> = servers.iter().map(|server| (*server).to_owned()).collect();
        Places::new("dogpile:", &servers)
    }

    fn key(number: usize) -> Key {
        Key::new("pages", number.to_be_bytes(), 0)
    }

    #[test]
    fn names_are_kept_where_memcached_takes_them() {
        let places = places(&["a"]);
        let plain = places.of(&Key::new("pages", "front", 1));
        assert_eq!(
            plain.item.as_bytes(),
            b"dogpile:k:5:pages:front#0000000000000001"
        );
        assert_eq!(plain.space.as_bytes(), b"dogpile:n:pages");
        assert!(plain.tail.is_empty());
        for odd in [&b"front page"[..], b"\n", b"\0", &[b'a'; 300]] {
            let key = Key::new("pages", odd, 1);
            let place = places.of(&key);
            assert!(place.item.as_bytes().starts_with(b"dogpile:k:#"));
            assert_eq!(place.tail, key.as_bytes());
        }
    }

    /// Programs of another version look for them there.
    #[test]
    fn places_do_not_change() {
        let places = places(&["10.0.0.1:11211", "10.0.0.2:11211", "10.0.0.3:11211"]);
        let servers: Vec<_> = (0..20)
            .map(|number| places.of(&key(number)).server)
            .collect();
        let pinned = [2, 0, 2, 2, 1, 0, 1, 0, 2, 1, 0, 2, 1, 2, 2, 2, 2, 2, 1, 1];
        assert_eq!(servers, pinned);
        let hashed = places.of(&Key::new("pages", "front page", 0)).item;
        assert_eq!(
            hashed.as_bytes(),
            b"dogpile:k:#c5af4e5096151dd628f85db33d69e1d7"
        );
    }

    #[test]
    fn each_server_has_its_share_and_only_the_keys_of_a_removed_one_move() {
        let (all, fewer) = (places(&["a", "b", "c"]), places(&["c", "a"]));
        let mut shares = [0; 3];
        for number in 0..3000 {
            let before = all.of(&key(number)).server;
            shares[before] += 1;
            let after = [2, 0][fewer.of(&key(number)).server];
            assert!(before == 1 || before == after, "key {number}");
        }
        assert!(
            shares.iter().all(|share| (900..1100).contains(share)),
            "{shares:?}"
        );
    }
}
