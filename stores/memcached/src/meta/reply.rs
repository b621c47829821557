//! How replies are read.

/// The longest line that is read, in bytes. The server's lines have at most a name and some flags.
pub const LONGEST_LINE: usize = 2048;

/// What a reply tells of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    /// The number of its last change.
    pub cas: Option<u64>,
    /// How many seconds it has left. -1: it has no end.
    pub ttl: Option<i64>,
    /// Whether it was read before.
    pub hit: Option<bool>,
    /// Whether this caller was chosen to renew it.
    pub won: bool,
    /// Whether it was marked as stale.
    pub stale: bool,
    /// Whether another caller was chosen to renew it.
    pub taken: bool,
}

/// One reply.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// `VA`: the bytes of an item.
    Value {
        /// The bytes.
        data: Vec<u8>,
        /// What is told beside them.
        marks: Marks,
    },
    /// `HD`: it was done.
    Header(Marks),
    /// `EN`: there is no such item to read.
    Miss,
    /// `NF`: there is no such item to change.
    NotFound,
    /// `NS`: it was not stored, since its condition does not hold.
    NotStored,
    /// `EX`: the item was changed meanwhile.
    Exists,
    /// `MN`: all commands before were answered.
    Noop,
    /// `VERSION`.
    Version(String),
    /// `STAT`: one of several, up to [`End`](Reply::End).
    Stat {
        /// Of what.
        name: String,
        /// Its value.
        value: String,
    },
    /// `END` of the statistics.
    End,
    /// `SERVER_ERROR`: the server cannot, and says why. The next reply is that of the next command.
    ServerError(String),
    /// `ERROR` or `CLIENT_ERROR`: the server did not understand, so what follows cannot be told apart.
    Error(String),
}

/// The bytes are no reply.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A line does not end.
    #[error("a line has more than {LONGEST_LINE} bytes")]
    Line,
    /// A line is not one of the protocol.
    #[error("`{0}` is no line of the meta protocol")]
    Unknown(String),
    /// A value is larger than the decoder was told to take.
    #[error("a value of {length} bytes is announced, and the limit is {limit}")]
    TooLarge {
        /// How many bytes it says it has.
        length: u64,
        /// The limit.
        limit: usize,
    },
    /// What stands behind a value is not the end of a line.
    #[error("a value does not end where it was said to")]
    Unended,
}

/// Reads replies from bytes that come in any pieces.
///
/// # Cost
///
/// It holds what was fed and is not yet read. If [`next`](Decoder::next) is called until it says `None`
/// after each piece, these are at most the limit, [`LONGEST_LINE`] and the last piece. A value is
/// copied once.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// What stands before it was read.
    start: usize,
    /// Up to here there is no end of a line.
    searched: usize,
    limit: usize,
    /// A value whose bytes are awaited.
    value: Option<(usize, Marks)>,
    broken: Option<Malformed>,
}

impl Decoder {
    /// One that takes values of up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            limit,
            value: None,
            broken: None,
        }
    }

    /// Changes the limit, for values that are announced from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes what came. After an error nothing is kept.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing is left over: neither bytes nor a reply that has begun.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len() && self.value.is_none() && self.broken.is_none()
    }

    /// The next reply, if all of it is there.
    ///
    /// # Errors
    ///
    /// [`Malformed`], from then on for ever: nobody can tell where the next reply begins.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end at `None`"
    )]
    pub fn next(&mut self) -> Result<Option<Reply>, Malformed> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        self.read().inspect_err(|broken| {
            self.broken = Some(broken.clone());
            self.buffer = Vec::new();
            (self.start, self.searched) = (0, 0);
        })
    }

    fn read(&mut self) -> Result<Option<Reply>, Malformed> {
        if self.value.is_none() {
            let Some(line) = self.line()? else {
                return Ok(None);
            };
            match line_of(line)? {
                Line::Whole(reply) => return Ok(Some(reply)),
                Line::Value(length, marks) => {
                    let fits = usize::try_from(length)
                        .ok()
                        .filter(|length| *length <= self.limit);
                    let Some(fits) = fits else {
                        let limit = self.limit;
                        return Err(Malformed::TooLarge { length, limit });
                    };
                    self.value = Some((fits, marks));
                }
            }
        }
        let Some((length, marks)) = self.value else {
            return Ok(None);
        };
        let bytes = &self.buffer[self.start..];
        let (Some(data), Some(end)) = (bytes.get(..length), bytes.get(length..length + 2)) else {
            return Ok(None);
        };
        if end != b"\r\n" {
            return Err(Malformed::Unended);
        }
        let data = data.to_vec();
        self.value = None;
        self.start += length + 2;
        self.searched = self.start;
        Ok(Some(Reply::Value { data, marks }))
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let end = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let end = end.map(|end| self.searched + end);
        let length = end.unwrap_or(self.buffer.len()) - self.start;
        if length > LONGEST_LINE {
            return Err(Malformed::Line);
        }
        let Some(end) = end else {
            self.searched = self.buffer.len();
            return Ok(None);
        };
        let line = &self.buffer[self.start..end];
        self.start = end + 1;
        self.searched = self.start;
        match line.strip_suffix(b"\r") {
            Some(line) => Ok(Some(line)),
            None => Err(unknown(line)),
        }
    }
}

enum Line {
    Whole(Reply),
    Value(u64, Marks),
}

fn unknown(line: &[u8]) -> Malformed {
    let shown = &line[..line.len().min(80)];
    Malformed::Unknown(shown.escape_ascii().to_string())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn line_of(line: &[u8]) -> Result<Line, Malformed> {
    // Some versions leave a space at the end of a line.
    let mut words = line
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    let verb = words.next().unwrap_or_default();
    let rest = || line.get(verb.len()..).unwrap_or_default();
    let reply = match verb {
        b"VA" => {
            let length = words.next().and_then(number).ok_or_else(|| unknown(line))?;
            let marks = marks(words).ok_or_else(|| unknown(line))?;
            return Ok(Line::Value(length, marks));
        }
        b"HD" => Reply::Header(marks(words).ok_or_else(|| unknown(line))?),
        b"EN" => Reply::Miss,
        b"NF" => Reply::NotFound,
        b"NS" => Reply::NotStored,
        b"EX" => Reply::Exists,
        b"MN" => Reply::Noop,
        b"END" => Reply::End,
        b"VERSION" => Reply::Version(text(rest())),
        b"STAT" => {
            let name = text(words.next().ok_or_else(|| unknown(line))?);
            let value = words.map(text).collect::<Vec<_>>().join(" ");
            Reply::Stat { name, value }
        }
        b"SERVER_ERROR" => Reply::ServerError(text(line)),
        b"ERROR" | b"CLIENT_ERROR" => Reply::Error(text(line)),
        _ => return Err(unknown(line)),
    };
    Ok(Line::Whole(reply))
}

/// `None`: one of the flags is not what it should be. Flags that nobody here asks for are skipped.
fn marks<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<Marks> {
    let mut marks = Marks::default();
    for word in words {
        let (flag, token) = word.split_first()?;
        match flag {
            b'c' => marks.cas = Some(number(token)?),
            b't' => {
                let negative = token.strip_prefix(b"-");
                let span = i64::try_from(number(negative.unwrap_or(token))?).ok()?;
                marks.ttl = Some(if negative.is_some() { -span } else { span });
            }
            b'h' => marks.hit = Some(number(token)? != 0),
            b'W' => marks.won = true,
            b'X' => marks.stale = true,
            b'Z' => marks.taken = true,
            _ => {}
        }
    }
    Some(marks)
}

/// Digits alone, unlike `str::parse`, which takes a sign.
fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Reply>, Malformed> {
        let mut decoder = Decoder::new(100);
        decoder.feed(bytes);
        let mut replies = Vec::new();
        while let Some(reply) = decoder.next()? {
            replies.push(reply);
        }
        Ok(replies)
    }

    #[test]
    fn each_reply_is_read_in_whatever_pieces_it_comes() {
        let cas = Marks {
            cas: Some(u64::MAX),
            ..Marks::default()
        };
        let all_marks = Marks {
            cas: Some(1),
            ttl: Some(-1),
            hit: Some(true),
            won: true,
            stale: true,
            taken: true,
        };
        let sent = b"VA 4 c18446744073709551615\r\n\r\nHD\r\nHD c1 t-1 h1 W X Z s9 Oq\r\nHD \r\n\
                     VA 0 \r\n\r\nEN\r\nNF\r\nNS\r\nEX\r\nMN\r\nVERSION 1.6.18\r\nSTAT pid 7\r\n\
                     STAT a b c\r\nEND\r\nSERVER_ERROR out of memory\r\nERROR\r\nCLIENT_ERROR bad\r\n";
        let stat = |name: &str, value: &str| Reply::Stat {
            name: name.into(),
            value: value.into(),
        };
        let data = b"\r\nHD".to_vec();
        let wanted = vec![
            Reply::Value { data, marks: cas },
            Reply::Header(all_marks),
            Reply::Header(Marks::default()),
            Reply::Value {
                data: vec![],
                marks: Marks::default(),
            },
            Reply::Miss,
            Reply::NotFound,
            Reply::NotStored,
            Reply::Exists,
            Reply::Noop,
            Reply::Version("1.6.18".into()),
            stat("pid", "7"),
            stat("a", "b c"),
            Reply::End,
            Reply::ServerError("SERVER_ERROR out of memory".into()),
            Reply::Error("ERROR".into()),
            Reply::Error("CLIENT_ERROR bad".into()),
        ];
        assert_eq!(all(sent).unwrap(), wanted);
        for size in 1..20 {
            let (mut decoder, mut replies) = (Decoder::new(100), Vec::new());
            for piece in sent.chunks(size) {
                decoder.feed(piece);
                while let Some(reply) = decoder.next().unwrap() {
                    replies.push(reply);
                }
            }
            assert!(decoder.is_empty());
            assert_eq!(replies, wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_reply_is_named_and_stays_an_error() {
        let unknown = |line: &str| Malformed::Unknown(line.into());
        let cases: &[(&[u8], Malformed)] = &[
            (b"VA\r\n", unknown("VA")),
            (b"VA x\r\n", unknown("VA x")),
            (b"VA +1\r\n", unknown("VA +1")),
            (b"VA -1\r\n", unknown("VA -1")),
            (
                b"VA 99999999999999999999\r\n",
                unknown("VA 99999999999999999999"),
            ),
            (b"HD cx\r\n", unknown("HD cx")),
            (b"HD t--1\r\n", unknown("HD t--1")),
            (b"hd\r\n", unknown("hd")),
            (b"\r\n", unknown("")),
            (b"HD\n", unknown("HD")),
            (b"\xff\x00\r\n", unknown("\\xff\\x00")),
            (b"VA 2\r\nabcd", Malformed::Unended),
            (
                b"VA 101\r\n",
                Malformed::TooLarge {
                    length: 101,
                    limit: 100,
                },
            ),
            (&[b'a'; LONGEST_LINE + 1], Malformed::Line),
        ];
        for (bytes, wanted) in cases {
            assert_eq!(all(bytes).as_ref(), Err(wanted), "{}", bytes.escape_ascii());
        }
        let mut decoder = Decoder::new(100);
        decoder.feed(b"nonsense\r\n");
        decoder.next().unwrap_err();
        decoder.feed(b"HD\r\n");
        decoder.next().unwrap_err();
        assert!(!decoder.is_empty());
    }
}
