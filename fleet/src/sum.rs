//! A checksum.

const WORD: usize = 8;

/// Finds what is torn or overwritten, and is no match for an enemy.
pub fn checksum(seed: u64, bytes: &[u8]) -> u64 {
    let mix = |sum: u64, word: u64| {
        let product = (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        product ^ product >> 29
    };
    let mut words = bytes.chunks_exact(WORD);
    let mut sum = mix(seed, bytes.len() as u64);
    for word in &mut words {
        sum = mix(sum, u64::from_le_bytes(word.try_into().expect("a word")));
    }
    words
        .remainder()
        .iter()
        .fold(sum, |sum, byte| mix(sum, u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_sees_each_bit_the_length_and_the_seed() {
        let bytes: Vec<u8> = (0..100).collect();
        let sum = checksum(0, &bytes);
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(checksum(0, &other), sum);
        }
        assert_ne!(checksum(0, &bytes[..99]), sum);
        assert_ne!(checksum(1, &bytes), sum);
        assert_ne!(checksum(0, &[]), checksum(0, &[0]));
    }
}
