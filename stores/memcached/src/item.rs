//! A record as the bytes of an item: a header, the value, and the name if the item's name is a hash.

use dogpile_fleet::record::{Head, Space, State, checksum};

const MAGIC: u64 = u64::from_le_bytes(*b"dogpmem1");
const SPACE_MAGIC: u64 = u64::from_le_bytes(*b"dogpmns1");
const WORD: usize = 8;
const WORDS: usize = 18;
/// What stands before the value.
pub(crate) const HEADER: usize = WORDS * WORD;

/// What an item holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Record {
    pub(crate) state: State,
    pub(crate) value: Option<(Head, Vec<u8>)>,
}

impl Record {
    pub(crate) fn head(&self) -> Option<&Head> {
        self.value.as_ref().map(|(head, _)| head)
    }
}

/// Bits of the word of flags.
const HAS_VALUE: u64 = 1;
const EXPIRED: u64 = 2;

/// The item of a record. `tail` is the name, where the item's own does not tell it.
pub(crate) fn write(
    state: &State,
    value: Option<(&Head, &[u8])>,
    name: &[u8],
    tail: &[u8],
) -> Vec<u8> {
    let (head, payload) = value.map_or((None, &[][..]), |(head, bytes)| (Some(*head), bytes));
    let flags = head.map_or(0, |head| HAS_VALUE | if head.expired { EXPIRED } else { 0 });
    let head = head.unwrap_or(Head {
        version: 0,
        made: 0,
        placed: 0,
        fresh_until: 0,
        kept_until: 0,
        expired: false,
        space: 0,
    });
    // Nanoseconds since 1970, which may lie before it.
    let made = i64::try_from(head.made).unwrap_or(i64::MIN) as u64;
    let words: [u64; WORDS - 1] = [
        MAGIC,
        state.generation,
        state.owner as u64,
        (state.owner >> 64) as u64,
        state.until,
        state.began,
        state.quiet_until,
        u64::from(state.failures) << 32 | flags,
        state.worth_until,
        state.space,
        head.version,
        made,
        head.placed,
        head.fresh_until,
        head.kept_until,
        head.space,
        payload.len() as u64,
    ];
    let mut item = Vec::with_capacity(HEADER + payload.len() + tail.len());
    words
        .iter()
        .for_each(|word| item.extend_from_slice(&word.to_le_bytes()));
    let sum = sum_of(&item, payload, name);
    item.extend_from_slice(&sum.to_le_bytes());
    item.extend_from_slice(payload);
    item.extend_from_slice(tail);
    item
}

/// The record in an item. `None`: it is torn, foreign, or of another name.
pub(crate) fn read(mut item: Vec<u8>, name: &[u8], tail: &[u8]) -> Option<Record> {
    let header = item.get(..HEADER)?;
    let (words, sum) = header.split_at(HEADER - WORD);
    let word = |number: usize| {
        let bytes = &words[number * WORD..(number + 1) * WORD];
        u64::from_le_bytes(bytes.try_into().expect("a word"))
    };
    // A number beyond this was never given out: the next one would have to begin anew.
    if word(0) != MAGIC || word(1) > u64::MAX / 2 {
        return None;
    }
    let payload = usize::try_from(word(16)).ok()?;
    let end = HEADER.checked_add(payload)?;
    if item.get(end..)? != tail {
        return None;
    }
    let payload = &item[HEADER..end];
    if sum != sum_of(words, payload, name).to_le_bytes() {
        return None;
    }
    let flags = word(7);
    let state = State {
        generation: word(1),
        owner: u128::from(word(2)) | u128::from(word(3)) << 64,
        until: word(4),
        began: word(5),
        quiet_until: word(6),
        failures: (flags >> 32) as u32,
        worth_until: word(8),
        space: word(9),
    };
    let head = (flags & HAS_VALUE != 0).then(|| Head {
        version: word(10),
        made: i128::from(word(11) as i64),
        placed: word(12),
        fresh_until: word(13),
        kept_until: word(14),
        expired: flags & EXPIRED != 0,
        space: word(15),
    });
    item.truncate(end);
    item.drain(..HEADER);
    Some(Record {
        state,
        value: head.map(|head| (head, item)),
    })
}

fn sum_of(words: &[u8], payload: &[u8], name: &[u8]) -> u64 {
    checksum(checksum(checksum(1, words), payload), name)
}

/// The item of a namespace that was invalidated as a whole.
pub(crate) fn write_space(space: Space) -> Vec<u8> {
    let words = [SPACE_MAGIC, space.generation, space.removed];
    let mut item: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let sum = checksum(2, &item);
    item.extend_from_slice(&sum.to_le_bytes());
    item
}

/// The generation of a namespace. An item that says none, empty or torn, begins one: the number of its
/// own change, which no generation has that was before it. So what was asked for before is gone.
pub(crate) fn read_space(item: &[u8], cas: u64) -> Space {
    let begun = Space {
        generation: cas,
        removed: cas,
    };
    let Some((words, sum)) = item.split_at_checked(3 * WORD) else {
        return begun;
    };
    if sum != checksum(2, words).to_le_bytes() {
        return begun;
    }
    let word = |number: usize| {
        let bytes = &words[number * WORD..(number + 1) * WORD];
        u64::from_le_bytes(bytes.try_into().expect("a word"))
    };
    match word(0) == SPACE_MAGIC && word(1) <= u64::MAX / 2 {
        true => Space {
            generation: word(1),
            removed: word(2),
        },
        false => begun,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> (State, Head) {
        let state = State {
            generation: 1,
            owner: u128::MAX - 2,
            until: 3,
            began: 4,
            quiet_until: 5,
            failures: u32::MAX,
            worth_until: 6,
            space: 7,
        };
        let head = Head {
            version: 8,
            made: -9,
            placed: 10,
            fresh_until: 11,
            kept_until: u64::MAX,
            expired: true,
            space: 12,
        };
        (state, head)
    }

    #[test]
    fn a_record_comes_back() {
        let (state, head) = record();
        for (payload, tail) in [(&b""[..], &b""[..]), (b"value", b""), (b"value", b"name")] {
            let item = write(&state, Some((&head, payload)), b"name", tail);
            assert_eq!(item.len(), HEADER + payload.len() + tail.len());
            let value = Some((head, payload.to_vec()));
            assert_eq!(read(item, b"name", tail), Some(Record { state, value }));
        }
        let fresh = Head {
            expired: false,
            ..head
        };
        let item = write(&state, Some((&fresh, b"")), b"name", b"");
        assert_eq!(read(item, b"name", b"").unwrap().head(), Some(&fresh));
        let item = write(&state, None, b"name", b"");
        assert_eq!(
            read(item, b"name", b""),
            Some(Record { state, value: None })
        );
    }

    #[test]
    fn bytes_that_are_torn_or_of_another_name_are_no_record() {
        let (state, head) = record();
        let item = write(&state, Some((&head, b"a value")), b"name", b"tail");
        for bit in 0..item.len() * 8 {
            let mut torn = item.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(torn, b"name", b"tail"), None, "bit {bit}");
        }
        for length in 0..item.len() {
            assert_eq!(read(item[..length].to_vec(), b"name", b"tail"), None);
        }
        assert_eq!(read(item.clone(), b"nama", b"tail"), None);
        assert_eq!(read(item.clone(), b"name", b"tali"), None);
        assert_eq!(read(item, b"name", b""), None);
    }

    #[test]
    fn a_namespace_comes_back_and_a_torn_one_begins_anew() {
        let space = Space {
            generation: 5,
            removed: 4,
        };
        let item = write_space(space);
        assert_eq!(read_space(&item, 9), space);
        let begun = Space {
            generation: 9,
            removed: 9,
        };
        for length in 0..item.len() {
            assert_eq!(read_space(&item[..length], 9), begun);
        }
        for bit in 0..item.len() * 8 {
            let mut torn = item.clone();
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_space(&torn, 9), begun);
        }
    }
}
