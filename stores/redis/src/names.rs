//! How the keys and channels are called on the server, and what a message says.

use std::sync::Arc;

use dogpile_fleet::{Depth, Hint, Key, Version};

/// Where the records of a fleet are.
///
/// ```text
/// dogpile:{shop}:4:shop:offers#0000000000000000     a record
/// dogpile:{shop}:all:shop                           the generation of its namespace
/// dogpile:hints:shop                                the channel of the namespace
/// ```
///
/// A Cluster looks at what stands in the braces only. It decides nothing but the slot: the whole name of
/// the namespace stands behind it.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    prefix: Arc<str>,
    slices: u16,
}

impl Names {
    pub(crate) fn new(prefix: &str, slices: u16) -> Self {
        Self {
            prefix: prefix.into(),
            slices,
        }
    }

    pub(crate) fn slices(&self) -> u16 {
        self.slices
    }

    /// In which slice of its namespace a record is.
    pub(crate) fn slice(&self, key: &Key) -> u16 {
        (sum(key.as_bytes()) % u64::from(self.slices)) as u16
    }

    /// What decides the slot.
    fn tag(&self, namespace: &str, slice: u16) -> String {
        // A brace would end it too early, and an empty one is none.
        let name = match namespace.is_empty() || namespace.contains('}') {
            true => format!("{:016x}", sum(namespace.as_bytes())),
            false => namespace.to_owned(),
        };
        match self.slices {
            1 => name,
            slices => format!("{name}/{slice}.{slices}"),
        }
    }

    pub(crate) fn record(&self, key: &Key) -> Vec<u8> {
        let tag = self.tag(key.namespace(), self.slice(key));
        let mut name = format!("{}:{{{tag}}}:", self.prefix).into_bytes();
        // It begins with a digit, the name of a generation with a letter.
        name.extend_from_slice(key.as_bytes());
        name
    }

    pub(crate) fn generation(&self, namespace: &str, slice: u16) -> Vec<u8> {
        let tag = self.tag(namespace, slice);
        format!("{}:{{{tag}}}:all:{namespace}", self.prefix).into_bytes()
    }

    pub(crate) fn channel(&self, namespace: &str) -> Vec<u8> {
        format!("{}:hints:{namespace}", self.prefix).into_bytes()
    }

    /// The channels of all namespaces.
    pub(crate) fn channels(&self) -> String {
        let mut pattern = String::new();
        for letter in self.prefix.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern + ":hints:*"
    }
}

/// What a message says: that something changed, or that a lease was given back. `None`: it is not ours.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Hint(Hint),
    Released(Key),
}

impl Said {
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let blank = message.iter().position(|byte| *byte == b' ')?;
        let (head, name) = (&message[..blank], &message[blank + 1..]);
        let (kind, version) = head.split_first()?;
        let version = Version(std::str::from_utf8(version).ok()?.parse().ok()?);
        let changed = |depth, version| {
            Some(Self::Hint(Hint::Changed {
                key: key(name)?,
                version,
                depth,
            }))
        };
        let all = |depth| {
            let namespace = std::str::from_utf8(name).ok()?.into();
            Some(Self::Hint(Hint::AllChanged { namespace, depth }))
        };
        match kind {
            b'C' => changed(Depth::Soft, version),
            b'W' => changed(Depth::Hard, version),
            b'S' => changed(Depth::Soft, Version::NONE),
            b'H' => changed(Depth::Hard, Version::NONE),
            b'R' => Some(Self::Released(key(name)?)),
            b'n' => all(Depth::Soft),
            b'N' => all(Depth::Hard),
            _ => None,
        }
    }
}

/// The key of a record, from the record's name.
fn key(name: &[u8]) -> Option<Key> {
    let name = &name[name.iter().position(|byte| *byte == b'}')? + 1..];
    let name = name.strip_prefix(b":")?;
    let colon = name.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&name[..colon]).ok()?.parse().ok()?;
    let rest = &name[colon + 1..];
    let namespace = std::str::from_utf8(rest.get(..length)?).ok()?;
    let rest = rest[length..].strip_prefix(b":")?;
    let (key, format) = rest.split_at_checked(rest.len().checked_sub(17)?)?;
    let format = std::str::from_utf8(format.strip_prefix(b"#")?).ok()?;
    Some(Key::new(
        namespace,
        key,
        u64::from_str_radix(format, 16).ok()?,
    ))
}

/// FNV-1a: the same in every process and version.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a Cluster hashes of a name.
    fn tag(name: &[u8]) -> &[u8] {
        let open = name.iter().position(|byte| *byte == b'{').expect("a brace");
        let rest = &name[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}').expect("its end");
        assert!(close > 0, "an empty tag is none");
        &rest[..close]
    }

    const NAMESPACES: [&str; 8] = ["", "shop", "}", "a}b", "{", "{a}", "shop/0.4", "ü:1:x"];

    #[test]
    fn a_record_and_its_generation_lie_in_one_slot_whatever_the_namespace() {
        for slices in [1, 4] {
            let names = Names::new("dogpile", slices);
            for namespace in NAMESPACES {
                for number in 0..20 {
                    let key = Key::new(namespace, format!("k{{{number}}}"), 0);
                    let generation = names.generation(namespace, names.slice(&key));
                    assert_eq!(tag(&names.record(&key)), tag(&generation));
                }
            }
        }
    }

    #[test]
    fn names_are_apart() {
        let mut seen = std::collections::BTreeSet::new();
        for slices in [1, 4] {
            let names = Names::new("dogpile", slices);
            for namespace in NAMESPACES {
                for slice in 0..slices {
                    assert!(seen.insert(names.generation(namespace, slice)));
                }
                for key in ["", "all:shop", "}:1:x", "a"] {
                    for format in [0, 1] {
                        let key = Key::new(namespace, key, format);
                        assert!(seen.insert(names.record(&key)), "{key:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn slices_are_used_evenly() {
        let names = Names::new("dogpile", 8);
        let mut counts = [0; 8];
        for number in 0..8000 {
            let key = Key::new("shop", format!("key {number}"), 0);
            counts[usize::from(names.slice(&key))] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1200).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_key_of_a_message_is_that_of_the_record() {
        let names = Names::new("dogpile", 1);
        for namespace in NAMESPACES {
            for name in [&b"a"[..], b"", b"}:", b"\xff \0#", b"#0000000000000000"] {
                let key = Key::new(namespace, name, 7);
                let message = [b"C12 ", &names.record(&key)[..]].concat();
                let hint = Hint::Changed {
                    key,
                    version: Version(12),
                    depth: Depth::Soft,
                };
                assert_eq!(Said::read(&message), Some(Said::Hint(hint)));
            }
        }
    }

    #[test]
    fn a_foreign_message_says_nothing() {
        let name = Names::new("dogpile", 1).record(&Key::new("shop", "a", 0));
        for end in 0..name.len() {
            let message = [b"C12 ", &name[..end]].concat();
            assert_eq!(Said::read(&message), None, "{}", message.escape_ascii());
        }
        for message in [
            &b""[..],
            b" ",
            b"C ",
            b"C1",
            b"C1 ",
            b"X1 }:1:a:#0000000000000000",
            b"Cx }:1:a:#0000000000000000",
            b"C-1 }:1:a:#0000000000000000",
            b"C1 }:99:a:#0000000000000000",
            b"C1 }:99999999999999999999:a:#0000000000000000",
            b"N0 \xff",
        ] {
            assert_eq!(Said::read(message), None, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn the_pattern_of_the_channels_takes_the_prefix_literally() {
        assert_eq!(
            Names::new("a*b[c]\\?", 1).channels(),
            "a\\*b\\[c\\]\\\\\\?:hints:*"
        );
    }
}
