//! The smallest reader of DER that is strict: definite, minimal lengths, and nothing left over.
//!
//! Footgun it exists for: x509-parser ignores what is left over inside a SEQUENCE or SET, so a name could hold
//! bytes that it doesn't see. Where a decision hangs on "exactly one", we read ourselves. Meaning lives elsewhere.

/// SEQUENCE, constructed.
pub(super) const SEQUENCE: u8 = 0x30;
/// SET, constructed.
pub(super) const SET: u8 = 0x31;
/// INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// BIT STRING.
pub(super) const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub(super) const OCTET_STRING: u8 = 0x04;
/// ENUMERATED.
pub(super) const ENUMERATED: u8 = 0x0a;
/// GeneralizedTime.
pub(super) const GENERALIZED_TIME: u8 = 0x18;
/// OBJECT IDENTIFIER.
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;

/// One value with its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    /// The tag byte; tags of more than one byte are not read.
    pub(super) tag: u8,
    /// What is inside.
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
}

/// The first element of `input`, and what follows it.
pub(super) fn first(input: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let [tag, length, ..] = *input else { return None };
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (header, length) = match length {
        0..=0x7f => (2, usize::from(length)),
        0x81..=0x84 => long_length(input.get(2..2 + usize::from(length & 0x7f))?)?,
        _ => return None,
    };
    let end = header.checked_add(length)?;
    let content = input.get(header..end)?;
    Some((Element { tag, content, whole: &input[..end] }, &input[end..]))
}

/// The elements of `input`, to its last byte.
pub(super) fn all(mut input: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !input.is_empty() {
        let (element, rest) = first(input)?;
        elements.push(element);
        input = rest;
    }
    Some(elements)
}

/// The content of the one element that `input` consists of, if it has this tag.
pub(super) fn only(input: &[u8], tag: u8) -> Option<&[u8]> {
    match first(input)? {
        (element, []) if element.tag == tag => Some(element.content),
        _ => None,
    }
}

/// The bits of a BIT STRING's content, which must be whole bytes.
pub(super) fn whole_bytes(bit_string: &[u8]) -> Option<&[u8]> {
    match bit_string {
        [0, bytes @ ..] => Some(bytes),
        _ => None,
    }
}

/// The magnitude of a non-negative INTEGER's content, without leading zeros.
pub(super) fn unsigned(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [] => None,
        [sign, ..] if *sign >= 0x80 => None,
        [0, magnitude @ ..] => Some(magnitude),
        magnitude => Some(magnitude),
    }
}

/// A SEQUENCE of this content.
pub(super) fn sequence(content: &[u8]) -> Vec<u8> {
    element(SEQUENCE, content)
}

/// An element of this tag and content.
pub(super) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let header = match *significant {
        [] => vec![tag, 0],
        [short @ ..=0x7f] => vec![tag, short],
        // At most eight bytes: the number fits.
        _ => [&[tag, 0x80 | u8::try_from(significant.len()).unwrap_or(8)], significant].concat(),
    };
    [&header, content].concat()
}

fn long_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let length = bytes.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    let minimal = bytes.first() != Some(&0) && length > 0x7f;
    minimal.then_some((2 + bytes.len(), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_read_to_its_end_and_no_further() {
        assert_eq!(only(&[2, 1, 5], INTEGER), Some(&[5][..]));
        assert_eq!(only(&[2, 1, 5, 0], INTEGER), None);
        assert_eq!(only(&[3, 1, 5], INTEGER), None);
        assert_eq!(all(&[2, 1, 5, 2, 1]), None);
        let long = [&[4, 0x81, 0x80][..], &[7; 0x80]].concat();
        assert_eq!(only(&long, 4), Some(&[7; 0x80][..]));
    }

    #[test]
    fn what_is_written_is_read_again() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1_0000] {
            let content = vec![7; length];
            assert_eq!(only(&sequence(&content), SEQUENCE), Some(&content[..]), "{length}");
        }
    }

    #[test]
    fn lengths_that_der_forbids_are_not_read() {
        for bad in
            [&[4, 0x80, 0, 0][..], &[4, 0x81, 1, 7], &[4, 0x82, 0, 1, 7], &[4, 0xff], &[0x1f, 1, 1], &[4]]
        {
            assert_eq!(first(bad), None, "{bad:?}");
        }
        assert_eq!(first(&[4, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
