//! Mail addresses, as far as their form shows.

/// A mail address without the space around it; `None` if it is none. Only what is certainly one line of plain ASCII: it
/// becomes part of a mail's head.
pub fn mail_address(text: &str) -> Option<String> {
    let address = text.trim();
    let good = address.split_once('@').is_some_and(|(local, domain)| {
        (1..=64).contains(&local.len())
            && domain
                .split('.')
                .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
            && domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
            && local
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&byte))
    });
    (good && address.len() <= 254).then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::mail_address;

    #[test]
    fn a_mail_address_is_one_line_with_a_domain() {
        assert_eq!(mail_address(" sato@mihon-shoji.example ").as_deref(), Some("sato@mihon-shoji.example"));
        let long = format!("{}@a.example", "a".repeat(65));
        for bad in [
            "",
            "sato",
            "@a.example",
            "a@",
            "a@b..example",
            "a@-b.example",
            "a b@c.example",
            "a@c.example\r\nBcc: x",
            &long,
        ] {
            assert_eq!(mail_address(bad), None, "{bad:?}");
        }
    }
}
