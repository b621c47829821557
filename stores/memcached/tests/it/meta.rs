//! The codec: against a real server, and against bytes that no server sends.
//!
//! `DOGPILE_FUZZ_SECONDS` makes the search go on for so long, with other seeds each time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dogpile_memcached::meta::{
    Decoder, Flag, LONGEST_LINE, Malformed, Marks, Mode, Name, Reply, request,
};

use crate::server::{Kind, Server};

#[test]
fn all_five_verbs_mean_what_they_say_to_a_server() {
    for kind in [Kind::Unix, Kind::Tcp] {
        let Some(server) = Server::start(kind, &[]) else {
            return;
        };
        let (name, mut sent) = (Name::new("a").unwrap(), Vec::new());
        request::get(&mut sent, &name, &[Flag::ReturnValue]);
        request::set(
            &mut sent,
            &name,
            b"1",
            &[Flag::Mode(Mode::Add), Flag::Ttl(60), Flag::ReturnCas],
        );
        request::set(&mut sent, &name, b"2", &[Flag::Mode(Mode::Add)]);
        request::set(&mut sent, &name, b"\r\nEN\r\n", &[Flag::Mode(Mode::Set)]);
        request::get(
            &mut sent,
            &name,
            &[
                Flag::ReturnValue,
                Flag::ReturnCas,
                Flag::ReturnTtl,
                Flag::ReturnHit,
            ],
        );
        request::set(&mut sent, &name, b"3", &[Flag::Cas(u64::MAX)]);
        request::delete(&mut sent, &name, &[Flag::Cas(u64::MAX)]);
        request::delete(&mut sent, &name, &[]);
        request::delete(&mut sent, &name, &[]);
        request::set(&mut sent, &name, b"4", &[Flag::Cas(1)]);
        let counter = Name::new("counter").unwrap();
        let counts = [
            Flag::Vivify(0),
            Flag::Initial(5),
            Flag::Delta(3),
            Flag::ReturnValue,
        ];
        request::arithmetic(&mut sent, &counter, &counts);
        request::arithmetic(&mut sent, &counter, &counts);
        request::get(
            &mut sent,
            &Name::new("made").unwrap(),
            &[Flag::Vivify(60), Flag::ReturnValue],
        );
        request::noop(&mut sent);
        request::set(&mut sent, &name, &vec![b'x'; 2 << 20], &[]);
        let mut replies = server.ask(&sent).into_iter();
        // The first `mn` ends what is asked.
        let mut next = || replies.next().expect("a reply");
        let value = |data: &[u8], marks| Reply::Value {
            data: data.to_vec(),
            marks,
        };
        assert_eq!(next(), Reply::Miss);
        let Reply::Header(Marks {
            cas: Some(first), ..
        }) = next()
        else {
            panic!()
        };
        assert_eq!(next(), Reply::NotStored);
        assert_eq!(next(), Reply::Header(Marks::default()));
        let Reply::Value { data, marks } = next() else {
            panic!()
        };
        assert_eq!(data, b"\r\nEN\r\n");
        assert!(marks.cas > Some(first) && marks.ttl == Some(-1) && marks.hit == Some(false));
        assert_eq!(next(), Reply::Exists);
        assert_eq!(next(), Reply::Exists);
        assert_eq!(next(), Reply::Header(Marks::default()));
        assert_eq!(next(), Reply::NotFound);
        assert_eq!(next(), Reply::NotFound);
        assert_eq!(next(), value(b"5", Marks::default()));
        assert_eq!(next(), value(b"8", Marks::default()));
        let won = Marks {
            won: true,
            ..Marks::default()
        };
        assert_eq!(next(), value(b"", won));
        assert_eq!(replies.next(), None);
    }
}

#[test]
fn a_value_that_is_too_large_leaves_the_replies_apart() {
    let Some(server) = Server::unix() else { return };
    let (name, mut sent) = (Name::new("a").unwrap(), Vec::new());
    request::set(&mut sent, &name, &vec![b'x'; 2 << 20], &[]);
    request::get(&mut sent, &name, &[Flag::ReturnValue]);
    let replies = server.ask(&sent);
    assert!(matches!(&replies[0], Reply::ServerError(said) if said.contains("too large")));
    assert_eq!(replies[1..], [Reply::Miss]);
}

/// Numbers that follow from a seed.
pub(crate) struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ word >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// Pieces of which a stream of replies is put together: right ones, and ones that are nearly so.
const PIECES: &[&[u8]] = &[
    b"VA 4 c7 t-1 h1\r\nabcd\r\n",
    b"VA 0\r\n\r\n",
    b"VA 300 c1\r\n",
    b"VA 18446744073709551615\r\n",
    b"VA 18446744073709551616\r\n",
    b"VA 1000000000000\r\n",
    b"VA 256\r\n",
    b"VA 257\r\n",
    b"VA",
    b"HD c18446744073709551615 W X Z\r\n",
    b"HD\r\n",
    b"EN\r\nNF\r\nNS\r\nEX\r\nMN\r\n",
    b"STAT a b\r\nEND\r\n",
    b"STAT\r\n",
    b"VERSION 1.6.18\r\n",
    b"SERVER_ERROR out of memory storing object\r\n",
    b"CLIENT_ERROR bad data chunk\r\n",
    b"ERROR\r\n",
    b" ",
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b"\xff\xfe",
    b"c",
    b"t-",
    b"99999999999999999999",
];

fn stream(draw: &mut Draw) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..draw.below(20) {
        match draw.below(10) {
            0 => bytes.extend((0..draw.below(300)).map(|_| draw.next() as u8)),
            1 => bytes.extend(std::iter::repeat_n(b'a', draw.below(3000))),
            _ => bytes.extend_from_slice(draw.of(PIECES)),
        }
    }
    for _ in 0..draw.below(4) {
        let at = draw.below(bytes.len());
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << draw.below(8);
        }
    }
    bytes
}

const LIMIT: usize = 256;
const PIECE: usize = 512;

/// All replies in a stream that comes in pieces, and how it ends.
fn decode(bytes: &[u8], draw: &mut Draw) -> (Vec<Reply>, Result<bool, Malformed>) {
    let (mut decoder, mut replies, mut rest) = (Decoder::new(LIMIT), Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(1 + draw.below(rest.len().min(PIECE)));
        rest = left;
        decoder.feed(piece);
        loop {
            match decoder.next() {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Err(error)),
            }
        }
    }
    (replies, Ok(decoder.is_empty()))
}

/// The most that a decoder holds at once, with room for a vector that grows by copying itself.
const MOST_HELD: u64 = 4 * (LIMIT + LONGEST_LINE + PIECE) as u64;

fn try_seed(seed: u64) {
    let mut draw = Draw(seed);
    let bytes = stream(&mut draw);
    let whole = decode(&bytes, &mut Draw(0));
    for _ in 0..3 {
        assert_eq!(
            decode(&bytes, &mut draw),
            whole,
            "seed {seed}: pieces make no difference"
        );
    }
    for reply in &whole.0 {
        if let Reply::Value { data, .. } = reply {
            assert!(data.len() <= LIMIT, "seed {seed}");
        }
    }
    // Again, with nothing kept of the replies: what is held at once, and what is allocated in all.
    let info = allocation_counter::measure(|| {
        let mut decoder = Decoder::new(LIMIT);
        for piece in bytes.chunks(PIECE) {
            decoder.feed(piece);
            while let Ok(Some(_)) = decoder.next() {}
        }
    });
    assert!(
        info.bytes_max <= MOST_HELD,
        "seed {seed}: {} bytes at once",
        info.bytes_max
    );
    let all = 16 * bytes.len() as u64 + 2 * MOST_HELD;
    assert!(
        info.bytes_total <= all,
        "seed {seed}: {} bytes in all",
        info.bytes_total
    );
}

#[test]
fn no_bytes_make_it_panic_or_allocate_beyond_its_limit() {
    for seed in 0..20_000 {
        try_seed(seed);
    }
    let Ok(seconds) = std::env::var("DOGPILE_FUZZ_SECONDS") else {
        return;
    };
    let seconds = seconds.parse().expect("DOGPILE_FUZZ_SECONDS is a number");
    let begun = Instant::now();
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is after 1970");
    let first = since.as_nanos() as u64;
    let mut tried = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..1000 {
            try_seed(first.wrapping_add(tried));
            tried += 1;
        }
    }
    println!("{tried} streams of replies in {seconds} s, from seed {first}");
}

/// The bound is known to bite: a decoder that trusts the length that is announced breaks it.
#[test]
fn an_announced_length_allocates_nothing_before_the_bytes_are_there() {
    let info = allocation_counter::measure(|| {
        let mut decoder = Decoder::new(1 << 30);
        decoder.feed(b"VA 1073741824 c1\r\nabc");
        assert_eq!(decoder.next(), Ok(None));
    });
    assert!(info.bytes_max < 1024, "{}", info.bytes_max);
}
