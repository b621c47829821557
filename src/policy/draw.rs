//! Random numbers without a state: each draw follows from a seed and a number.

use std::time::Duration;

/// One draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw(u64);

/// What is drawn for. Two draws for the same creation have nothing to do with each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Backoff = 1,
    RefreshAhead = 2,
    Ttl = 3,
}

impl Draw {
    /// The draw of the creation with the number `fence`, in a pile with this seed.
    pub(crate) fn new(seed: u64, fence: u64, purpose: Purpose) -> Self {
        Self(mixed(
            mixed(seed ^ mixed(purpose as u64)).wrapping_add(fence),
        ))
    }

    /// A part of `whole`: all parts from nothing to nearly all of it are as likely.
    pub(crate) fn part_of(self, whole: Duration) -> Duration {
        let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
        let part = (u128::from(nanos) * u128::from(self.0)) >> 64;
        // It is less than `nanos`.
        Duration::from_nanos(u64::try_from(part).unwrap_or(nanos))
    }
}

/// So many hundredths of a span.
pub(crate) fn percent_of(percent: u8, span: Duration) -> Duration {
    let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let part = u128::from(nanos) * u128::from(percent) / 100;
    Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

/// The finisher of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014): each bit of the result depends on all bits of `x`.
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(all(test, not(any(dogpile_loom, dogpile_shuttle))))]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_same_seed_and_number_draw_the_same() {
        let draw = |seed, fence| Draw::new(seed, fence, Purpose::Ttl).part_of(HOUR);
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
        let other = Draw::new(1, 2, Purpose::Backoff).part_of(HOUR);
        assert_ne!(draw(1, 2), other);
    }

    /// The first numbers of SplitMix64 from the seed 1234567, as its implementations publish them.
    #[test]
    fn bits_are_mixed_as_those_of_splitmix() {
        let numbers = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        let mut state = 1_234_567_u64;
        for number in numbers {
            assert_eq!(mixed(state), number);
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
    }

    #[test]
    fn draws_are_spread_evenly() {
        let mut tenths = [0; 10];
        for fence in 0..10_000 {
            let part = Draw::new(7, fence, Purpose::Ttl).part_of(Duration::from_nanos(10));
            tenths[usize::try_from(part.as_nanos()).unwrap()] += 1;
        }
        assert!(
            tenths.iter().all(|&count| (900..1_100).contains(&count)),
            "{tenths:?}"
        );
    }

    #[test]
    fn nothing_overflows() {
        assert!(Draw(u64::MAX).part_of(Duration::MAX) < Duration::from_nanos(u64::MAX));
        assert_eq!(Draw(u64::MAX).part_of(Duration::ZERO), Duration::ZERO);
        assert_eq!(
            percent_of(100, Duration::MAX),
            Duration::from_nanos(u64::MAX)
        );
        assert_eq!(
            percent_of(50, Duration::from_secs(3)),
            Duration::from_millis(1_500)
        );
    }
}
