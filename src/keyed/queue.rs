//! The order in which a shard gives values away: the shape of S3-FIFO (Yang et al., "FIFO queues are all
//! you need for cache eviction", SOSP 2023), with the table as the main queue.
//!
//! A new key is *young*: it stands on a ring for a twentieth of the keys. If it leaves the ring and nobody
//! has asked for it, it is given away, and leaves a ghost: a part of its hash. Else, or if it had a ghost
//! when it came, it is governed by a hand that goes round over the table, and spares what was asked for: as
//! often as that was, up to three times.

use std::collections::VecDeque;
use std::num::NonZeroU32;

/// One key in so many is young. More of them keep what is asked for again and again from its place; with
/// fewer, a key has to be asked for again very soon.
const YOUNG: usize = 20;

/// What a shard keeps to choose by, besides what stands in the places themselves.
pub(super) struct Queue {
    /// The young keys, the oldest first: their hash, and the number by which their place knows them. What
    /// was removed stays on it for a while.
    young: VecDeque<(u64, NonZeroU32)>,
    /// They begin anew after some thousand millions: the first are not young any more then.
    last_born: NonZeroU32,
    /// Parts of hashes, each where its hash says, so that the last one counts.
    ghosts: Vec<u32>,
    /// Where the hand looks next in the table.
    pub(super) hand: usize,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            young: VecDeque::new(),
            last_born: NonZeroU32::MAX,
            ghosts: Vec::new(),
            hand: 0,
        }
    }

    /// A key comes. The number by which it is known while it is young; none if it is not.
    pub(super) fn comes(&mut self, hash: u64) -> Option<NonZeroU32> {
        if self.had_ghost(hash) {
            return None;
        }
        let next = self.last_born.checked_add(1);
        self.last_born = next.unwrap_or(NonZeroU32::MIN);
        self.young.push_back((hash, self.last_born));
        Some(self.last_born)
    }

    /// The oldest of the young, if there are more of them than is due among so many keys.
    pub(super) fn leaves(&mut self, keys: usize) -> Option<(u64, NonZeroU32)> {
        match self.young.len() > (keys / YOUNG).max(1) {
            true => self.young.pop_front(),
            false => None,
        }
    }

    /// The oldest of the young, where there is nothing else.
    pub(super) fn oldest(&mut self) -> Option<(u64, NonZeroU32)> {
        self.young.pop_front()
    }

    /// Spared once: it is young once more.
    pub(super) fn again(&mut self, young: (u64, NonZeroU32)) {
        self.young.push_back(young);
    }

    pub(super) fn young(&self) -> usize {
        self.young.len()
    }

    /// For how many young ones there is memory.
    #[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
    pub(super) fn room(&self) -> usize {
        self.young.capacity()
    }

    /// Forgets those who are not there any more, when they have become many.
    pub(super) fn prune(&mut self, keys: usize, is_there: impl Fn(u64, NonZeroU32) -> bool) {
        if self.young.len() > keys + keys / 2 + 16 {
            self.young.retain(|&(hash, born)| is_there(hash, born));
            self.young.shrink_to(2 * self.young.len());
        }
    }

    /// Remembers that a young key was given away, in a shard of so many.
    pub(super) fn leave_ghost(&mut self, hash: u64, keys: usize) {
        if self.ghosts.len() < keys || self.ghosts.is_empty() {
            self.ghosts = vec![0; (keys + keys / 4).next_power_of_two().max(16)];
        }
        let at = self.ghost(hash);
        self.ghosts[at] = part(hash);
    }

    fn had_ghost(&mut self, hash: u64) -> bool {
        if self.ghosts.is_empty() {
            return false;
        }
        let at = self.ghost(hash);
        let had = self.ghosts[at] == part(hash);
        if had {
            self.ghosts[at] = 0;
        }
        had
    }

    fn ghost(&self, hash: u64) -> usize {
        hash as usize & (self.ghosts.len() - 1)
    }
}

/// Never zero.
fn part(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    fn born(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    /// The hash of a key whose ghost has this place, among up to 64 of them.
    fn hash(part: u64, place: u64) -> u64 {
        (part << 32) | place
    }

    #[test]
    fn the_oldest_leaves_when_more_are_young_than_is_due() {
        let mut queue = Queue::new();
        for key in 0..5 {
            assert_eq!(queue.comes(key.into()), Some(born(key + 1)));
        }
        assert_eq!(queue.leaves(60), Some((0, born(1))));
        assert_eq!(queue.leaves(60), Some((1, born(2))));
        assert_eq!(queue.leaves(60), None);
        assert_eq!(queue.leaves(0), Some((2, born(3))));
        assert_eq!(queue.leaves(0), Some((3, born(4))));
        assert_eq!(queue.leaves(0), None);
    }

    #[test]
    fn what_is_spared_is_the_youngest_again() {
        let mut queue = Queue::new();
        for key in 0..3 {
            queue.comes(key);
        }
        let spared = queue.oldest().unwrap();
        queue.again(spared);
        assert_eq!(queue.young(), 3);
        let order = [queue.oldest(), queue.oldest(), queue.oldest()];
        assert_eq!(
            order,
            [Some((1, born(2))), Some((2, born(3))), Some((0, born(1)))]
        );
        assert_eq!((queue.oldest(), queue.young()), (None, 0));
    }

    #[test]
    fn who_left_a_ghost_is_not_young_when_it_comes_back_once() {
        let mut queue = Queue::new();
        let (one, other) = (hash(5, 1), hash(5, 2));
        queue.leave_ghost(one, 4);
        queue.leave_ghost(other, 4);
        assert_eq!(queue.comes(one), None);
        assert!(queue.comes(one).is_some());
        assert_eq!(queue.comes(other), None);
    }

    #[test]
    fn a_ghost_is_that_of_its_own_hash() {
        let mut queue = Queue::new();
        queue.leave_ghost(hash(5, 1), 0);
        // One with the same place, and those whose places are empty, whatever their hash.
        assert!(queue.comes(hash(9, 1)).is_some());
        for part in 0..4 {
            assert!(queue.comes(hash(part, 3)).is_some());
        }
        assert_eq!(queue.comes(hash(5, 1)), None);
    }

    #[test]
    fn there_is_room_for_as_many_ghosts_as_there_are_keys() {
        let mut queue = Queue::new();
        queue.leave_ghost(hash(5, 1), 4);
        for place in 0..32 {
            queue.leave_ghost(hash(5, place), 25);
        }
        // They are kept while there is room enough.
        queue.leave_ghost(hash(7, 0), 32);
        assert!((1..32).all(|place| queue.comes(hash(5, place)).is_none()));
        assert_eq!(queue.comes(hash(7, 0)), None);
    }

    #[test]
    fn who_is_not_there_is_forgotten_when_they_are_many() {
        let mut queue = Queue::new();
        for key in 0..31 {
            queue.comes(key);
        }
        queue.prune(10, |_, _| false);
        assert_eq!(queue.young(), 31);
        queue.comes(31);
        queue.prune(10, |hash, number| hash == 7 && number == born(8));
        assert_eq!((queue.young(), queue.oldest()), (1, Some((7, born(8)))));
    }
}
