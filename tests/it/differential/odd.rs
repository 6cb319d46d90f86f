//! Odd requests: written out where the oddity is known, and good ones that dice have damaged, always in the same way.

use crate::support::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, field, frame};
use crate::support::gate::CERT;

/// A request over HTTP/1.1, with another one behind it. `PATH` and `HOST` stand for what belongs there.
pub struct Http1(Vec<u8>);

impl Http1 {
    /// The bytes of request `number`.
    pub fn of(&self, number: usize) -> Vec<u8> {
        let hidden = b"GET PATH/hidden HTTP/1.1\r\nHost: HOST\r\n\r\n";
        let bytes = replace(&[&self.0, hidden.as_slice()].concat(), b"PATH", &path(number));
        replace(&bytes, b"HOST", CERT)
    }
}

/// The path of request `number`. Whatever is put behind it, the number ends.
fn path(number: usize) -> String {
    format!("/banking/{number}-")
}

/// The numbers of the requests whose paths stand whole in `text`.
pub fn numbers(text: &str) -> Vec<usize> {
    let behind = text.split("/banking/").skip(1);
    behind.filter_map(|behind| behind.split_once('-')?.0.parse().ok()).collect()
}

fn replace(bytes: &[u8], word: &[u8], by: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(word.len()).position(|window| window == word) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(by.as_bytes());
        rest = &rest[at + word.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Bodies that mean something else in each framing.
const BODIES: [&str; 4] = ["hello", "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", ""];

/// Fields that frame a body, or seem to.
const FRAMINGS: [&str; 50] = [
    "",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 05",
    "Content-Length: 15",
    "content-length:5",
    "Content-Length: \t5\t ",
    "Content-Length: +5",
    "Content-Length: -1",
    "Content-Length: 5,5",
    "Content-Length: 0x5",
    "Content-Length: 5 0",
    "Content-Length:",
    "Content-Length: 99999999999999999999",
    "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 0\r\nContent-Length: 5",
    "Content-Length: 5\r\n 0",
    "Content-Length : 5",
    "Content_Length: 5",
    "Content-Length\0: 5",
    "Content-Length: 5\r",
    "Transfer-Encoding: chunked",
    "TRANSFER-ENCODING:CHUNKED",
    "Transfer-Encoding: chunked ",
    "Transfer-Encoding: \tchunked",
    "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: identity",
    "Transfer-Encoding:",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding\t: chunked",
    "Transfer-Encoding : chunked",
    " Transfer-Encoding: chunked",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding\r\n : chunked",
    "Transfer-Encoding:\r\n chunked",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\x0bTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\nTransfer-Encoding: identity",
    "Connection: content-length\r\nContent-Length: 5",
    "Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
    "Trailer: Content-Length\r\nTransfer-Encoding: chunked",
];

/// Chunked bodies, good and bad.
const CHUNKS: [&str; 36] = [
    "5\r\nhello\r\n0\r\n\r\n",
    "05\r\nhello\r\n00\r\n\r\n",
    "A\r\n0123456789\r\n0\r\n\r\n",
    "a\r\n0123456789\r\n0\r\n\r\n",
    "1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    "5\r\nhello\r\n0\r\nContent-Length: 9\r\nX-Contract-Id: 2\r\nHost: x\r\n\r\n",
    "5\r\nhello\r\n0\r\nA: b\r\nA : b\r\n\r\n",
    "5\r\nhello\r\n0\r\nA: b\n\r\n\r\n",
    "5\r\nhello\r\n0\r\n\n",
    "5\r\nhello\r\n0\n\r\n",
    "5\r\nhello\r\n0\r\r\n\r\n",
    "5\r\nhello\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhello\r0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\nhello\n0\n\n",
    "5\rhello\r0\r\r",
    "5 \r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "\t5\r\nhello\r\n0\r\n\r\n",
    "5;\r\nhello\r\n0\r\n\r\n",
    "5;a\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0;c\r\n\r\n",
    "5;a=\"b\r\nc\"\r\nhello\r\n0\r\n\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "5_0\r\nhello\r\n0\r\n\r\n",
    "5.\r\nhello\r\n0\r\n\r\n",
    "\r\n5\r\nhello\r\n0\r\n\r\n",
    "00000000000000000005\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "fffffffffffffffb\r\nhello\r\n0\r\n\r\n",
    "4\r\nhello\r\n0\r\n\r\n",
];

/// Start lines, good and bad.
const STARTS: [&str; 36] = [
    "GET PATH HTTP/1.1",
    "GET PATH?a=b HTTP/1.1",
    "GET PATH?a=/../b;c HTTP/1.1",
    "GET PATH? HTTP/1.1",
    "GET https://HOSTPATH HTTP/1.1",
    "GET HTTPS://HOSTPATH?x HTTP/1.1",
    "GET http://HOSTPATH HTTP/1.1",
    "GET https://HOST:443PATH HTTP/1.1",
    "GET https://other.examplePATH HTTP/1.1",
    "GET https://HOST@other.examplePATH HTTP/1.1",
    "GET //HOSTPATH HTTP/1.1",
    "GET //other.examplePATH HTTP/1.1",
    "GET PATH//a HTTP/1.1",
    "GET PATH/ HTTP/1.1",
    "GET PATH/../x HTTP/1.1",
    "GET PATH/%2e%2e/x HTTP/1.1",
    "GET PATH/%61 HTTP/1.1",
    "GET PATH/%3fa HTTP/1.1",
    "GET PATH/%23a HTTP/1.1",
    "GET PATH/a%2fb HTTP/1.1",
    "GET PATH;a HTTP/1.1",
    "GET PATH#a HTTP/1.1",
    "GET PATH\\a HTTP/1.1",
    "GET PATH/a b HTTP/1.1",
    "GET PATH/\u{e9} HTTP/1.1",
    "GET PATH\tHTTP/1.1",
    "GET PATH HTTP/1.0",
    "GET PATH HTTP/1.10",
    "GET PATH HTTP/1.1 ",
    "GET  PATH HTTP/1.1",
    "\r\nGET PATH HTTP/1.1",
    "get PATH HTTP/1.1",
    "HEAD PATH HTTP/1.1",
    "OPTIONS PATH HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "GET * HTTP/1.1",
];

/// Lines beside `Host`, good and bad.
const LINES: [&[u8]; 44] = [
    b"Host: HOST",
    b"Host: other.example",
    b"host:HOST",
    b"Host : HOST",
    b"Ho\x00st: HOST",
    b"X-Forwarded-Host: other.example",
    b"Forwarded: host=other.example",
    b":authority: other.example",
    b"X-Contract-Id: 30000000000003",
    b"x_contract_id: 30000000000003",
    b"X-Contract-Id : 30000000000003",
    b"X-Contract-Id\x0b: 30000000000003",
    b"X.Contract.Id: 30000000000003",
    b"X-User-Id: suzuki",
    b"X-Request-Id: 1",
    b"Connection: x-contract-id",
    b"Connection: close, x-user-id",
    b"Connection: host",
    b"Connection: keep-alive\r\nConnection: X-Request-Id",
    b"A: b\rX-Contract-Id: 30000000000003",
    b"A: b\nX-Contract-Id: 30000000000003",
    b"A: b\r\n X-Contract-Id: 30000000000003",
    b"A: b\r\n\tc",
    b"A: b\x0bX-Contract-Id: 30000000000003",
    b"A: b\x0cX-Contract-Id: 30000000000003",
    b"A: b\x1cX-Contract-Id: 30000000000003",
    b"A: b\x85X-Contract-Id: 30000000000003",
    b"A: b\xc2\x85X-Contract-Id: 30000000000003",
    b"A: b\xe2\x80\xa8X-Contract-Id: 30000000000003",
    b"A: b\x00c",
    b"A: \x7f",
    b"A:",
    b"A",
    b": b",
    b"A(b): c",
    b"\xefA: b",
    b"From: a b",
    b"-: b",
    b"Expect: 100-continue",
    b"Expect: 100-Continue, other",
    b"Expect: x",
    b"Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13",
    b"Upgrade: websocket",
];

/// What dice put into a request.
const DAMAGE: [&[u8]; 26] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x85",
    b"\xff",
    b":",
    b";",
    b",",
    b"/",
    b"?",
    b"%",
    b"%0d%0a",
    b"0",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\r\nContent-Length: 3",
    b"\r\nTransfer-Encoding: chunked",
    b"Host: HOST\r\n",
    b"Connection: close\r\n",
    b"0\r\n\r\n",
    b" HTTP/1.1\r\n",
];

const GOOD: [&str; 5] = [
    "GET PATH HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "GET PATH?a=b HTTP/1.1\r\nHost: HOST\r\nA: b\r\n\r\n",
    "POST PATH HTTP/1.1\r\nHost: HOST\r\nContent-Length: 5\r\n\r\nhello",
    "POST PATH HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "PUT PATH HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: HOST\r\n\r\n5\r\nhello\r\n0\r\nT: u\r\n\r\n",
];

/// Dice that always fall the same way (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(4) {
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, bytes[at]),
            _ => drop(bytes.splice(at..at, DAMAGE[self.below(DAMAGE.len())].iter().copied())),
        }
    }
}

/// Every request over HTTP/1.1.
pub fn http1() -> Vec<Http1> {
    let mut odd: Vec<Vec<u8>> = Vec::new();
    for framing in FRAMINGS {
        let line = if framing.is_empty() { String::new() } else { format!("{framing}\r\n") };
        for body in BODIES {
            odd.push(format!("POST PATH HTTP/1.1\r\nHost: HOST\r\n{line}\r\n{body}").into());
        }
    }
    for chunks in CHUNKS {
        let head = "POST PATH HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n";
        odd.push(format!("{head}{chunks}").into());
    }
    odd.extend(STARTS.map(|start| format!("{start}\r\nHost: HOST\r\n\r\n").into()));
    for line in LINES {
        odd.push([b"GET PATH HTTP/1.1\r\n", line, b"\r\nHost: HOST\r\n\r\n"].concat());
        odd.push([b"GET PATH HTTP/1.1\r\nHost: HOST\r\n", line, b"\r\n\r\n"].concat());
    }
    let mut dice = Dice(0x5345_4b49_5348_4f21);
    for number in 0..300 {
        let mut bytes = GOOD[number % GOOD.len()].as_bytes().to_vec();
        for _ in 0..=dice.below(3) {
            dice.damage(&mut bytes);
        }
        odd.push(bytes);
    }
    // Many at once: each is answered, in order.
    odd.push(GOOD.concat().into());
    odd.into_iter().map(Http1).collect()
}

/// A request over HTTP/2: its fields, and its body.
pub struct Http2 {
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Http2 {
    /// The frames of request `number`.
    pub fn of(&self, number: usize) -> Vec<u8> {
        let put = |text: &[u8]| replace(&replace(text, b"PATH", &path(number)), b"HOST", CERT);
        let block: Vec<u8> =
            self.fields.iter().flat_map(|(name, value)| field(&put(name), &put(value))).collect();
        let end = if self.body.is_none() { END_STREAM } else { 0 };
        let head = frame(HEADERS, END_HEADERS | end, 1, &block);
        let body = self.body.as_ref().map(|body| frame(DATA, END_STREAM, 1, body));
        [head, body.unwrap_or_default()].concat()
    }
}

/// Every request over HTTP/2.
pub fn http2() -> Vec<Http2> {
    let pseudo = |method: &str, path: &str| {
        [(":method", method), (":scheme", "https"), (":authority", "HOST"), (":path", path)]
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .to_vec()
    };
    let mut odd = Vec::new();
    let lines = FRAMINGS.iter().map(|line| line.as_bytes()).chain(LINES);
    for line in lines {
        // As HTTP/2 has them: in lower case, and without the space.
        let colon = line.iter().skip(1).position(|&byte| byte == b':').map_or(line.len(), |at| at + 1);
        let name = line[..colon].to_ascii_lowercase();
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        for body in [None, Some(b"hello".to_vec())] {
            let mut fields = pseudo(if body.is_some() { "POST" } else { "GET" }, "PATH");
            fields.push((name.clone(), replace(value, b"HOST", CERT)));
            odd.push(Http2 { fields, body });
        }
    }
    for start in STARTS {
        let mut words = start.splitn(2, ' ');
        let (method, rest) = (words.next().unwrap(), words.next().unwrap_or_default());
        let path = rest.strip_suffix(" HTTP/1.1").unwrap_or(rest);
        odd.push(Http2 { fields: pseudo(method, path), body: None });
    }
    let mut dice = Dice(0x4854_5450_2f32_2121);
    for number in 0..100 {
        let mut fields = pseudo("POST", "PATH");
        fields.push((b"a".to_vec(), b"b".to_vec()));
        fields.push((b"content-length".to_vec(), b"5".to_vec()));
        let at = dice.below(fields.len());
        let (name, value) = &mut fields[at];
        dice.damage(if number % 3 == 0 { name } else { value });
        odd.push(Http2 { fields, body: Some(b"hello".to_vec()) });
    }
    odd
}
