//! The classes of addresses, counted: [`Classes`].

/// The class of an address, as a bit: one of 64.
pub(super) fn class(address: *const ()) -> u64 {
    // LOOM: addresses differ from one execution to the next, so all are of one class.
    if cfg!(dogpile_loom) {
        return 1;
    }
    // The lowest bits are alike, and those above follow from the size of what is there.
    1 << ((address.addr() as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

/// How many addresses there are of each class.
pub(super) struct Classes {
    counts: [u32; 64],
    /// Those of which there are any.
    bits: u64,
}

impl Classes {
    pub(super) fn new() -> Self {
        Self {
            counts: [0; 64],
            bits: 0,
        }
    }

    /// Those of which there are any, a bit each.
    pub(super) fn bits(&self) -> u64 {
        self.bits
    }

    pub(super) fn add(&mut self, address: *const ()) {
        let class = class(address);
        self.counts[class.trailing_zeros() as usize] += 1;
        self.bits |= class;
    }

    pub(super) fn take(&mut self, address: *const ()) {
        let class = class(address);
        let count = &mut self.counts[class.trailing_zeros() as usize];
        *count -= 1;
        if *count == 0 {
            self.bits &= !class;
        }
    }
}

#[cfg(all(test, not(dogpile_loom)))]
mod tests {
    use super::{Classes, class};

    fn address(at: usize) -> *const () {
        std::ptr::without_provenance(at * 16)
    }

    #[test]
    fn there_is_a_class_until_its_last_address_is_taken() {
        let mut classes = Classes::new();
        let of_one = (0..1_000)
            .map(address)
            .filter(|&at| class(at) == class(address(7)));
        let of_one: Vec<_> = of_one.collect();
        assert!(of_one.len() > 1);
        for &at in &of_one {
            classes.add(at);
        }
        for &at in &of_one {
            assert_eq!(classes.bits(), class(address(7)));
            classes.take(at);
        }
        assert_eq!(classes.bits(), 0);
    }

    /// Entries of one size stand one after the other, and are of all classes all the same.
    #[test]
    fn addresses_in_a_row_are_of_many_classes() {
        for size in [16, 64, 256, 320] {
            let bits = (0..256).map(|at| class(address(at * size / 16)));
            let met = bits.fold(0, |met, bit| met | bit);
            assert!(met.count_ones() > 32, "{} of 64", met.count_ones());
        }
    }
}
