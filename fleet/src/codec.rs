//! How values become bytes: [`Codec`] and those that are here; and what stands behind the bytes.

use std::error::Error;
use std::time::Duration;

use crate::store::Key;
use crate::sum::checksum;

/// Turns values into bytes and back.
///
/// # Example
///
/// ```
/// use dogpile_fleet::Codec;
///
/// struct Decimal;
///
/// impl Codec<u64> for Decimal {
///     const FORMAT: u32 = 1000;
///     type Error = Box<dyn std::error::Error + Send + Sync>;
///
///     fn encode(&self, value: &u64) -> Result<Vec<u8>, Self::Error> {
///         Ok(value.to_string().into_bytes())
///     }
///
///     fn decode(&self, bytes: Vec<u8>) -> Result<u64, Self::Error> {
///         Ok(String::from_utf8(bytes)?.parse()?)
///     }
/// }
/// ```
pub trait Codec<T>: Send + Sync + 'static {
    /// A number of this format. It is a part of the key: values of another format are other records.
    ///
    /// Those below 1000 are for the codecs of this crate.
    const FORMAT: u32;

    /// What goes wrong.
    type Error: Into<Box<dyn Error + Send + Sync>>;

    /// The bytes of a value.
    ///
    /// # Errors
    ///
    /// A value that has no bytes. The value still goes to the caller's process, and is not stored.
    fn encode(&self, value: &T) -> Result<Vec<u8>, Self::Error>;

    /// The value of these bytes.
    ///
    /// # Errors
    ///
    /// Bytes of no value. They count as a miss.
    fn decode(&self, bytes: Vec<u8>) -> Result<T, Self::Error>;
}

/// Bytes and text as they are: the codec of `Vec<u8>` and `String`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Plain;

impl Codec<Vec<u8>> for Plain {
    const FORMAT: u32 = 0;
    type Error = std::convert::Infallible;

    fn encode(&self, value: &Vec<u8>) -> Result<Vec<u8>, Self::Error> {
        Ok(value.clone())
    }

    fn decode(&self, bytes: Vec<u8>) -> Result<Vec<u8>, Self::Error> {
        Ok(bytes)
    }
}

impl Codec<String> for Plain {
    const FORMAT: u32 = 1;
    type Error = std::string::FromUtf8Error;

    fn encode(&self, value: &String) -> Result<Vec<u8>, Self::Error> {
        Ok(value.clone().into_bytes())
    }

    fn decode(&self, bytes: Vec<u8>) -> Result<String, Self::Error> {
        String::from_utf8(bytes)
    }
}

/// JSON, of whatever serde knows. Feature `serde-json`.
#[cfg(feature = "serde-json")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Json;

#[cfg(feature = "serde-json")]
impl<T: serde::Serialize + serde::de::DeserializeOwned> Codec<T> for Json {
    const FORMAT: u32 = 2;
    type Error = serde_json::Error;

    fn encode(&self, value: &T) -> Result<Vec<u8>, Self::Error> {
        serde_json::to_vec(value)
    }

    fn decode(&self, bytes: Vec<u8>) -> Result<T, Self::Error> {
        serde_json::from_slice(&bytes)
    }
}

/// The format of the crate postcard, of whatever serde knows. Feature `postcard`.
///
/// It is small and fast and does not describe itself: give the pile another
/// [`format`](crate::FleetBuilder::format) whenever the type changes.
#[cfg(feature = "postcard")]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Postcard;

#[cfg(feature = "postcard")]
impl<T: serde::Serialize + serde::de::DeserializeOwned> Codec<T> for Postcard {
    const FORMAT: u32 = 3;
    type Error = postcard::Error;

    fn encode(&self, value: &T) -> Result<Vec<u8>, Self::Error> {
        postcard::to_stdvec(value)
    }

    fn decode(&self, bytes: Vec<u8>) -> Result<T, Self::Error> {
        postcard::from_bytes(&bytes)
    }
}

/// Two words behind the bytes of each value: how long it took to create, and a sum of all.
const TRAILER: usize = 16;

/// So that a trailer of a later layout is none.
const LAYOUT: u64 = 1;

/// The bytes of a value with what stands behind them.
pub(crate) fn seal(key: &Key, mut bytes: Vec<u8>, cost: Duration) -> Vec<u8> {
    let cost = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
    bytes.extend_from_slice(&cost.to_le_bytes());
    let sum = sum(key, &bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// The bytes of a value, and how long it took to create. `None`: they are not what was written for
/// this key, whatever the store thinks of them.
pub(crate) fn unseal(key: &Key, mut bytes: Vec<u8>) -> Option<(Vec<u8>, Duration)> {
    let length = bytes.len().checked_sub(TRAILER)?;
    let (rest, told) = bytes.split_at(length + 8);
    if sum(key, rest).to_le_bytes() != told {
        return None;
    }
    let cost = u64::from_le_bytes(rest[length..].try_into().expect("a word"));
    bytes.truncate(length);
    Some((bytes, Duration::from_nanos(cost)))
}

fn sum(key: &Key, bytes: &[u8]) -> u64 {
    checksum(checksum(LAYOUT, key.as_bytes()), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_the_bytes_to_their_key() {
        let (key, other) = (Key::new("n", "a", 0), Key::new("n", "b", 0));
        let cost = Duration::from_millis(20);
        let sealed = seal(&key, b"bytes".to_vec(), cost);
        assert_eq!(
            unseal(&key, sealed.clone()),
            Some((b"bytes".to_vec(), cost))
        );
        assert_eq!(unseal(&other, sealed.clone()), None);
        for bit in 0..sealed.len() * 8 {
            let mut garbled = sealed.clone();
            garbled[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(&key, garbled), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(
                unseal(&key, sealed[..length].to_vec()),
                None,
                "{length} bytes"
            );
        }
    }
}
