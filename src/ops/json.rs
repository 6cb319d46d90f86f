//! Text from outside as the inside of a JSON string, in plain ASCII: no byte of it can end the string, start a
//! line or turn the direction of writing (T66).

/// Appends `text` with everything escaped that isn't printable ASCII. What isn't UTF-8 becomes U+FFFD.
pub fn escape_into(out: &mut Vec<u8>, text: &[u8]) {
    // All of them, and not up to the first: that way they are looked at many at a time.
    if text.iter().fold(true, |all, &byte| all & is_plain(byte)) {
        out.extend_from_slice(text);
        return;
    }
    for character in String::from_utf8_lossy(text).chars() {
        match u8::try_from(character) {
            Ok(byte) if is_plain(byte) => out.push(byte),
            Ok(byte @ (b'"' | b'\\')) => out.extend_from_slice(&[b'\\', byte]),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        escape_into(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn printable_ascii_stands_as_it_is() {
        assert_eq!(escaped(b"/banking/a?b=c d~"), "/banking/a?b=c d~");
    }

    #[test]
    fn nothing_can_end_the_string_or_the_line_or_turn_the_direction() {
        assert_eq!(escaped(b"a\"b\\c\r\nd\0"), r#"a\"b\\c\u000d\u000ad\u0000"#);
        assert_eq!(escaped("\u{202e}x\u{85}".as_bytes()), r"\u202ex\u0085");
        assert_eq!(escaped("関😀".as_bytes()), r"\u95a2\ud83d\ude00");
        assert_eq!(escaped(b"\xff"), r"\ufffd");
    }
}
