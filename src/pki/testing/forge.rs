//! A small forge, for certificates and CRLs that no decent library would write.

use crate::pki::der;

/// The fields of a TBSCertificate or TBSCertList, as DER, and the algorithm that is named outside of it.
pub(crate) struct Forged {
    pub(crate) fields: Vec<Vec<u8>>,
    pub(crate) algorithm: Vec<u8>,
}

impl Forged {
    pub(super) fn of(signed: &[u8]) -> Self {
        let parts = der::all(der::only(signed, der::SEQUENCE).unwrap()).unwrap();
        let fields = der::all(parts[0].content).unwrap().iter().map(|field| field.whole.to_vec()).collect();
        Self { fields, algorithm: parts[1].whole.to_vec() }
    }

    pub(super) fn signed(self, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let message = tlv(der::SEQUENCE, &self.fields.concat());
        let signature = tlv(der::BIT_STRING, &[&[0][..], &sign(&message)].concat());
        tlv(der::SEQUENCE, &[message, self.algorithm, signature].concat())
    }

    pub(crate) const SERIAL: usize = 1;
    pub(crate) const ALGORITHM: usize = 2;
    pub(crate) const SUBJECT: usize = 5;
    pub(crate) const KEY: usize = 6;

    /// Takes away the extension 2.5.29.`id`, and puts others in its place.
    pub(crate) fn replace_extension(&mut self, id: u8, others: &[Vec<u8>]) {
        let field = self.fields.last_mut().unwrap();
        let tag = field[0];
        let list = der::only(der::only(field, tag).unwrap(), der::SEQUENCE).unwrap();
        let is_it = |it: &der::Element<'_>| it.content.starts_with(&[6, 3, 0x55, 0x1d, id]);
        let kept = der::all(list).unwrap().into_iter().filter(|it| !is_it(it)).map(|it| it.whole.to_vec());
        let list: Vec<u8> = kept.chain(others.iter().cloned()).flatten().collect();
        *field = tlv(tag, &tlv(der::SEQUENCE, &list));
    }
}

/// An extension 2.5.29.`id`.
pub(crate) fn extension(id: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(der::SEQUENCE, &[&[6, 3, 0x55, 0x1d, id], critical, &tlv(4, value)].concat())
}

/// One DER value.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let header = match length {
        0..=0x7f => vec![tag, length as u8],
        0x80..=0xff => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [&header, content].concat()
}

/// A certificate in PEM.
pub(crate) fn pem(der: &[u8]) -> String {
    pem_of("CERTIFICATE", der)
}

/// A CRL in PEM.
pub(crate) fn crl_pem(der: &[u8]) -> String {
    pem_of("X509 CRL", der)
}

fn pem_of(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (index, chunk) in der.chunks(3).enumerate() {
        if index > 0 && index % 16 == 0 {
            text.push('\n');
        }
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit <= chunk.len() { char::from(DIGITS[value]) } else { '=' });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}
