use dogpile_fleet::Codec;

/// A codec: a number as its digits.
#[derive(Clone, Copy, Debug)]
pub struct Number;

impl Codec<u64> for Number {
    const FORMAT: u32 = 1;
    type Error = std::num::ParseIntError;

    fn encode(&self, value: &u64) -> Result<Vec<u8>, Self::Error> {
        Ok(value.to_string().into_bytes())
    }

    fn decode(&self, bytes: Vec<u8>) -> Result<u64, Self::Error> {
        String::from_utf8_lossy(&bytes).parse()
    }
}
