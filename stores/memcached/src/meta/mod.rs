//! The meta commands of memcached, without any I/O: [`request`] writes commands, [`Decoder`] reads
//! replies.
//!
//! ```
//! use dogpile_memcached::meta::{Decoder, Flag, Name, Reply, request};
//!
//! let name = Name::new("greeting")?;
//! let mut sent = Vec::new();
//! request::set(&mut sent, &name, b"hello", &[Flag::Ttl(60), Flag::ReturnCas]);
//! request::get(&mut sent, &name, &[Flag::ReturnValue]);
//! assert_eq!(sent, b"ms greeting 5 T60 c\r\nhello\r\nmg greeting v\r\n");
//!
//! // Bytes come as the network has them.
//! let mut decoder = Decoder::new(1 << 20);
//! decoder.feed(b"HD c7\r\nVA 5\r\nhel");
//! let Some(Reply::Header(marks)) = decoder.next()? else { panic!() };
//! assert_eq!(marks.cas, Some(7));
//! assert_eq!(decoder.next()?, None);
//! decoder.feed(b"lo\r\n");
//! let Some(Reply::Value { data, .. }) = decoder.next()? else { panic!() };
//! assert_eq!(data, b"hello");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod reply;
pub mod request;

pub use reply::{Decoder, LONGEST_LINE, Malformed, Marks, Reply};
pub use request::{BadName, Flag, LONGEST_NAME, Mode, Name};
