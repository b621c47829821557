//! Answers that are cut in their middle.

use dogpile_fleet::{Ask, Found, Guarded, Key, Owner, Store, StoreErrorKind};
use herd::Line;

use crate::{MINUTE, held, put};

/// Cuts the line within the answers to requests of these stores, after each of these numbers of bytes. A request
/// fails or has the whole value, and nobody is given the rest of another's answer. How many failed, and how many
/// did not.
///
/// # Panics
///
/// If it is otherwise.
pub fn at_each<A>(
    line: &Line<A>,
    places: impl IntoIterator<Item = u32>,
    stores: &[&dyn Store],
) -> (usize, usize) {
    let keys = [0, 1, 2].map(|number: u8| Key::new("cut", [number], 0));
    let values = [0, 1, 2].map(|number: u8| vec![number; 300]);
    for (key, value) in keys.iter().zip(&values) {
        let placed = stores[0].put(key, &put(Guarded::Any, value));
        placed.expect("it is stored");
    }
    let (mut failed, mut whole) = (0, 0);
    for bytes in places {
        for store in stores {
            // If a connection is kept, there is one now. So the answer is cut, and not a greeting.
            assert!(held(*store, &keys[0]) == Some(values[0].clone()));
            line.cut_after(bytes);
            match store.get_or_lease(&keys[0], &Ask::lead(Owner::draw(), MINUTE)) {
                Ok(Found::Fresh(found)) => {
                    assert!(found.bytes.as_ref() == Some(&values[0]));
                    whole += 1;
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{bytes}: {error}");
                    failed += 1;
                }
            }
            line.mend();
            for (key, value) in keys.iter().zip(&values).skip(1) {
                assert!(held(*store, key).as_ref() == Some(value));
            }
        }
    }
    assert!(line.cuts() >= failed);
    (failed, whole)
}
