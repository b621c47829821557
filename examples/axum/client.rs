//! A small HTTP client over one connection that is kept.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            read: Vec::new(),
        })
    }

    /// Asks for `path`. `headers` are whole lines, with their ends.
    pub(crate) async fn get(&mut self, path: &str, headers: &str) -> io::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut answer = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(head) =
                answer.parse(&self.read).map_err(io::Error::other)?
            else {
                continue;
            };
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let mut answer = Answer {
                status: answer.code.unwrap_or(0),
                headers: answer
                    .headers
                    .iter()
                    .map(|header| (header.name.to_owned(), text(header.value)))
                    .collect(),
                body: String::new(),
            };
            let length = answer.header("content-length");
            let length: usize = length
                .and_then(|length| length.parse().ok())
                .ok_or_else(|| io::Error::other("an answer without a length"))?;
            if self.read.len() >= head + length {
                answer.body = text(&self.read[head..head + length]);
                self.read.drain(..head + length);
                return Ok(answer);
            }
        }
    }
}
