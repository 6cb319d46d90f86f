//! What a response's head says once its body is compressed: the coding, and nothing that was true of the body before.

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use super::ResponseHead;
use crate::config::Coding;
use crate::edge::fields::{Field, tokens};
use crate::edge::framing::Framing;
use crate::edge::route::{Compression, forbids_transforming};

/// Fields that speak of the bytes before they were compressed. The backend would cut its ranges out of those; and a digest is of
/// the content as it is coded (RFC 9530, sections 2 and 3), as were the digests of before (RFC 3230, RFC 1864).
const OF_BYTES: [&str; 5] = ["accept-ranges", "content-digest", "repr-digest", "digest", "content-md5"];

/// Lines of trailer fields, less those that speak of the bytes before they were compressed.
pub(super) fn without_digests(lines: &[u8]) -> Vec<u8> {
    let name = |line: &&[u8]| !is_of_bytes(line.split(|&byte| byte == b':').next().unwrap_or_default());
    lines.split_inclusive(|&byte| byte == b'\n').filter(name).flatten().copied().collect()
}

fn is_of_bytes(name: &[u8]) -> bool {
    OF_BYTES.iter().any(|gone| name.eq_ignore_ascii_case(gone.as_bytes()))
}

impl ResponseHead {
    /// Makes it the head of a compressed response, if its route has this one compressed and there is a coding for it. Then the
    /// exchange has to do the same with the body, if there is one (`HEAD`).
    pub(super) fn compress(
        &mut self,
        compression: &Compression,
        choose: impl FnOnce() -> Option<Coding>,
    ) -> Option<Coding> {
        if !self.may_be_compressed(compression) {
            return None;
        }
        let coding = choose();
        // What is still valid is called by the name that it had when it was compressed.
        let is_unchanged = self.status == 304;
        self.rewrite(coding, is_unchanged);
        let coding = coding.filter(|_| !is_unchanged)?;
        self.declared_length = None;
        let has_body = self.framing != Framing::Length(0);
        if has_body {
            self.framing = Framing::Chunked;
        }
        Some(coding).filter(|_| has_body)
    }

    /// Whether another client might get this response compressed: then even one that doesn't is told so.
    fn may_be_compressed(&self, compression: &Compression) -> bool {
        let fields: Vec<Field<'_>> = self.fields().collect();
        let only = |name| {
            let mut found = fields.iter().filter(|field| field.is(name));
            found.next().filter(|_| found.next().is_none())
        };
        let is_coded =
            || tokens(&fields, "content-encoding").any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        match self.status {
            304 => !forbids_transforming(&fields),
            // Parts of what is sent otherwise as a whole.
            ..200 | 204..=206 => false,
            _ => {
                only("content-type")
                    .is_some_and(|field| compression.is_for(field.value, self.declared_length))
                    && !fields.iter().any(|field| field.is("content-range"))
                    && !is_coded()
                    && !forbids_transforming(&fields)
            }
        }
    }

    /// Says what is true of a response that depends on `Accept-Encoding`, and is in this coding.
    fn rewrite(&mut self, coding: Option<Coding>, is_unchanged: bool) {
        let fields: Vec<Field<'_>> = self.fields().collect();
        let mut lines: Vec<(&[u8], Cow<'_, [u8]>)> = Vec::with_capacity(fields.len() + 2);
        for field in &fields {
            let is_gone = is_of_bytes(field.name) || field.is("content-encoding");
            if field.is("vary") || is_gone && coding.is_some() && !is_unchanged {
                continue;
            }
            lines.push((
                field.name,
                match coding {
                    // Equal in meaning, but no longer to the byte (RFC 9110, section 8.8.1).
                    Some(_) if field.is("etag") && !field.value.starts_with(b"W/") => {
                        [b"W/", field.value].concat().into()
                    }
                    _ => field.value.into(),
                },
            ));
        }
        if let Some(coding) = coding.filter(|_| !is_unchanged) {
            lines.push((b"Content-Encoding", coding.name().as_bytes().into()));
        }
        lines.push((b"Vary", vary(&fields).into()));
        let mut bytes =
            BytesMut::with_capacity(lines.iter().map(|(name, value)| name.len() + value.len()).sum());
        let mut ranges = Vec::with_capacity(lines.len());
        for (name, value) in lines {
            let start = bytes.len();
            bytes.put_slice(name);
            let end = bytes.len();
            bytes.put_slice(&value);
            ranges.push((start..end, end..bytes.len()));
        }
        self.say_instead(bytes.freeze(), ranges);
    }
}

/// What a response varies by, and `Accept-Encoding` besides.
fn vary(fields: &[Field<'_>]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = tokens(fields, "vary").collect();
    if names.contains(&b"*".as_slice()) {
        return b"*".to_vec();
    }
    if !names.iter().any(|name| name.eq_ignore_ascii_case(b"accept-encoding")) {
        names.push(b"Accept-Encoding");
    }
    names.join(&b", "[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_response_varies_by_is_said_once() {
        for (lines, expected) in [
            (&[][..], "Accept-Encoding"),
            (&["Cookie"], "Cookie, Accept-Encoding"),
            (&["Cookie, accept-encoding"], "Cookie, accept-encoding"),
            (&["Cookie", "Origin ,Accept"], "Cookie, Origin, Accept, Accept-Encoding"),
            (&["Cookie, *"], "*"),
            (&["Accept-Encodings"], "Accept-Encodings, Accept-Encoding"),
        ] {
            let field = |line: &&'static str| Field { name: b"Vary", value: line.as_bytes() };
            let fields: Vec<_> = lines.iter().map(field).collect();
            assert_eq!(String::from_utf8(vary(&fields)).unwrap(), expected);
        }
    }

    #[test]
    fn digests_leave_the_trailers_and_nothing_else_does() {
        for (lines, expected) in [
            ("", ""),
            ("A: b\r\n", "A: b\r\n"),
            ("content-digest: a\r\nA: b\r\nRepr-Digest: c\r\nDigest: d\r\nContent-MD5: e\r\n", "A: b\r\n"),
            ("A: Digest: b\r\nDigests: c\r\n", "A: Digest: b\r\nDigests: c\r\n"),
        ] {
            assert_eq!(without_digests(lines.as_bytes()), expected.as_bytes(), "{lines}");
        }
    }
}
