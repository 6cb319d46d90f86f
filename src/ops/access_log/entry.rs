//! One line of the access log, formatted by hand: a general serializer would cost more than the rest of a request's log.

use std::time::Duration;

use jiff::Timestamp;

use crate::ops::escape_into;

/// The text of the current second: formatting a calendar date per line would cost more than the rest of it.
#[derive(Default)]
pub(super) struct SecondText {
    second: i64,
    text: String,
}

impl SecondText {
    fn at(&mut self, second: i64) -> &str {
        if self.second != second || self.text.is_empty() {
            self.second = second;
            self.text = Timestamp::from_second(second)
                .map(|time| time.strftime("%Y-%m-%dT%H:%M:%S").to_string())
                .unwrap_or_default();
        }
        &self.text
    }
}

/// One request, as it is logged. `docs/access-log.md` names the fields.
pub struct Entry<'a> {
    /// When the head of the request was complete.
    pub time: Timestamp,
    /// The request's ID.
    pub request_id: &'a str,
    /// `1.0`, `1.1` or `2`.
    pub protocol: &'static str,
    /// The method.
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// Status of the response; 0 if none was begun.
    pub status: u16,
    /// Code of the failure, if it was one.
    pub failure: Option<&'static str>,
    /// What exactly failed.
    pub detail: Option<&'a str>,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// From the head of the request to the end of the response.
    pub duration: Duration,
    /// The upstream and the time to the head of its response.
    pub upstream: Option<(&'a str, Option<Duration>)>,
    /// The endpoint that it was sent to last.
    pub endpoint: Option<&'a str>,
    /// To how many it was sent.
    pub tries: u32,
    /// The trace that it belongs to, in hexadecimal digits.
    pub trace: Option<&'a [u8]>,
    /// What was formatted once per connection: client, host, TLS, standing, identity.
    pub connection: &'a [u8],
    /// What a session adds to that, with a comma before it; empty without one.
    pub session: &'a [u8],
}

impl Entry<'_> {
    /// Appends the line.
    pub(super) fn format(&self, out: &mut Vec<u8>, clock: &mut SecondText) {
        let text = |out: &mut Vec<u8>, key: &str, value: &str| {
            out.extend_from_slice(key.as_bytes());
            out.push(b'"');
            escape_into(out, value.as_bytes());
            out.push(b'"');
        };
        let number = |out: &mut Vec<u8>, key: &str, value: u64| {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        };
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(clock.at(self.time.as_second()).as_bytes());
        let millisecond = self.time.subsec_millisecond().unsigned_abs();
        out.push(b'.');
        for digit in [millisecond / 100, millisecond / 10 % 10, millisecond % 10] {
            out.push(b'0' + u8::try_from(digit).unwrap_or(0));
        }
        out.extend_from_slice(b"Z\"");
        text(out, ",\"request_id\":", self.request_id);
        text(out, ",\"protocol\":", self.protocol);
        text(out, ",\"method\":", self.method);
        text(out, ",\"path\":", self.path);
        number(out, ",\"status\":", u64::from(self.status));
        if let Some(failure) = self.failure {
            text(out, ",\"failure\":", failure);
        }
        if let Some(detail) = self.detail {
            text(out, ",\"detail\":", detail);
        }
        number(out, ",\"bytes_in\":", self.bytes_in);
        number(out, ",\"bytes_out\":", self.bytes_out);
        number(out, ",\"duration_us\":", micros(self.duration));
        if let Some((upstream, first_byte)) = self.upstream {
            text(out, ",\"upstream\":", upstream);
            if let Some(first_byte) = first_byte {
                number(out, ",\"upstream_first_byte_us\":", micros(first_byte));
            }
        }
        if let Some(endpoint) = self.endpoint {
            text(out, ",\"endpoint\":", endpoint);
        }
        if self.tries > 1 {
            number(out, ",\"tries\":", self.tries.into());
        }
        if let Some(trace) = self.trace {
            out.extend_from_slice(b",\"trace\":\"");
            out.extend_from_slice(trace);
            out.push(b'"');
        }
        out.push(b',');
        out.extend_from_slice(self.connection);
        out.extend_from_slice(self.session);
        out.extend_from_slice(b"}\n");
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str) -> Entry<'_> {
        Entry {
            time: "2026-11-22T01:02:03.045Z".parse().unwrap(),
            request_id: "00ff",
            protocol: "1.1",
            method: "GET",
            path,
            status: 200,
            failure: None,
            detail: None,
            bytes_in: 0,
            bytes_out: 12,
            duration: Duration::from_micros(250),
            upstream: Some(("banking", Some(Duration::from_micros(200)))),
            endpoint: Some("10.0.0.1:80"),
            tries: 2,
            trace: Some(b"00ab"),
            connection: br#""client":"127.0.0.1:5""#,
            session: b"",
        }
    }

    #[test]
    fn a_line_is_one_json_object_whatever_the_path_holds() {
        let mut out = Vec::new();
        entry("/a\"\n{").format(&mut out, &mut SecondText::default());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"time":"2026-11-22T01:02:03.045Z","request_id":"00ff","protocol":"1.1","method":"GET","#,
                r#""path":"/a\"\u000a{","status":200,"bytes_in":0,"bytes_out":12,"duration_us":250,"#,
                r#""upstream":"banking","upstream_first_byte_us":200,"endpoint":"10.0.0.1:80","tries":2,"trace":"00ab","client":"127.0.0.1:5"}"#,
                "\n"
            )
        );
    }
}
