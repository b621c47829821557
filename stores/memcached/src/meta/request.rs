//! How a command is written.

use std::fmt;

/// The longest name of an item that memcached takes, in bytes.
pub const LONGEST_NAME: usize = 250;

/// The name of an item: 1 to 250 bytes, none of which is a space or a control character.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<[u8]>);

/// These bytes cannot be the name of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadName {
    /// There are none.
    #[error("the name of an item is empty: it needs at least one byte")]
    Empty,
    /// There are too many.
    #[error("the name of an item has {0} bytes, and memcached takes {LONGEST_NAME}: hash it")]
    TooLong(usize),
    /// One of them ends a name.
    #[error("the name of an item has the byte {0:#04x}, which would end it: hash or escape it")]
    Breaks(u8),
}

impl Name {
    /// The name of these bytes.
    ///
    /// # Errors
    ///
    /// [`BadName`]: memcached would take the command for another one.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, BadName> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(BadName::Empty);
        }
        if bytes.len() > LONGEST_NAME {
            return Err(BadName::TooLong(bytes.len()));
        }
        match bytes.iter().find(|byte| **byte <= b' ' || **byte == 0x7f) {
            Some(byte) => Err(BadName::Breaks(*byte)),
            None => Ok(Self(bytes.into())),
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.0.escape_ascii())
    }
}

/// On what condition an item is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// On none.
    Set,
    /// There is no item of this name.
    Add,
}

/// What a command asks for besides its name. Which command takes which flag is said by memcached's
/// `protocol.txt`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Flag {
    /// `v`: the bytes.
    ReturnValue,
    /// `c`: the number of the item's last change.
    ReturnCas,
    /// `t`: how many seconds the item has left.
    ReturnTtl,
    /// `h`: whether the item was read before. `mg` with it holds the lock of the item.
    ReturnHit,
    /// `C`: only if the item's last change has this number.
    Cas(u64),
    /// `T`: for how many seconds the item lives. Zero: without an end.
    Ttl(u32),
    /// `M`: on what condition `ms` stores.
    Mode(Mode),
    /// `N`: an item that is absent is made, empty, for so many seconds.
    Vivify(u32),
    /// `J`: what a counter that is made begins with.
    Initial(u64),
    /// `D`: how much is added.
    Delta(u64),
}

/// `mg`: what is told of an item.
pub fn get(out: &mut Vec<u8>, name: &Name, flags: &[Flag]) {
    command(out, b"mg", name, None, flags);
}

/// `ms`: stores an item.
pub fn set(out: &mut Vec<u8>, name: &Name, data: &[u8], flags: &[Flag]) {
    command(out, b"ms", name, Some(data.len()), flags);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// `md`: removes an item.
pub fn delete(out: &mut Vec<u8>, name: &Name, flags: &[Flag]) {
    command(out, b"md", name, None, flags);
}

/// `ma`: adds to an item that is a number.
pub fn arithmetic(out: &mut Vec<u8>, name: &Name, flags: &[Flag]) {
    command(out, b"ma", name, None, flags);
}

/// `mn`: nothing. Its reply says that all commands before were answered.
pub fn noop(out: &mut Vec<u8>) {
    out.extend_from_slice(b"mn\r\n");
}

/// `version`, which is no meta command, and is asked for at connect.
pub fn version(out: &mut Vec<u8>) {
    out.extend_from_slice(b"version\r\n");
}

/// `stats`, and `stats settings`: no meta commands either.
pub fn stats(out: &mut Vec<u8>, settings: bool) {
    out.extend_from_slice(match settings {
        true => b"stats settings\r\n",
        false => b"stats\r\n",
    });
}

fn command(out: &mut Vec<u8>, verb: &[u8], name: &Name, length: Option<usize>, flags: &[Flag]) {
    out.extend_from_slice(verb);
    out.push(b' ');
    out.extend_from_slice(&name.0);
    if let Some(length) = length {
        out.extend_from_slice(format!(" {length}").as_bytes());
    }
    for flag in flags {
        let flag = match flag {
            Flag::ReturnValue => " v".to_owned(),
            Flag::ReturnCas => " c".to_owned(),
            Flag::ReturnTtl => " t".to_owned(),
            Flag::ReturnHit => " h".to_owned(),
            Flag::Cas(cas) => format!(" C{cas}"),
            Flag::Ttl(seconds) => format!(" T{seconds}"),
            Flag::Mode(Mode::Set) => " MS".to_owned(),
            Flag::Mode(Mode::Add) => " ME".to_owned(),
            Flag::Vivify(seconds) => format!(" N{seconds}"),
            Flag::Initial(number) => format!(" J{number}"),
            Flag::Delta(number) => format!(" D{number}"),
        };
        out.extend_from_slice(flag.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_written_as_the_protocol_says() {
        let name = Name::new("a").unwrap();
        let mut out = Vec::new();
        get(&mut out, &name, &[Flag::ReturnTtl, Flag::Vivify(30)]);
        set(&mut out, &name, b"", &[Flag::Mode(Mode::Add)]);
        set(&mut out, &name, b"x\r\n", &[Flag::Cas(u64::MAX)]);
        delete(&mut out, &name, &[Flag::Cas(3)]);
        arithmetic(&mut out, &name, &[Flag::Initial(1), Flag::Delta(2)]);
        noop(&mut out);
        let wanted = "mg a t N30\r\nms a 0 ME\r\n\r\nms a 3 C18446744073709551615\r\nx\r\n\r\n\
                      md a C3\r\nma a J1 D2\r\nmn\r\n";
        assert_eq!(
            out.escape_ascii().to_string(),
            wanted.as_bytes().escape_ascii().to_string()
        );
    }

    #[test]
    fn a_name_that_would_break_the_command_is_refused() {
        assert_eq!(Name::new(""), Err(BadName::Empty));
        assert_eq!(Name::new([b'a'; 251]), Err(BadName::TooLong(251)));
        assert!(Name::new([b'a'; 250]).is_ok() && Name::new("ä").is_ok());
        for byte in (0..=b' ').chain([0x7f]) {
            assert_eq!(Name::new([b'a', byte, b'b']), Err(BadName::Breaks(byte)));
        }
    }
}
