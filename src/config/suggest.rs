//! "Did you mean …?", and lists of words in a sentence.

/// The candidate that was probably meant by `word`, if one is close.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Long words are not mistyped by a third of their letters, and comparing them costs their product.
    if word.len() > 256 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    let most = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &plain(candidate)), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `: did you mean …?` for the end of a sentence, or nothing.
pub(super) fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    nearest(word, candidates).map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default()
}

/// `a`, `b` or `c`.
pub(super) fn any_of(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => format!("`{only}`"),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_close_word_is_suggested() {
        let words = ["routes", "hosts", "client_certificate"];
        assert_eq!(nearest("rotes", words), Some("routes"));
        assert_eq!(nearest("Client-Certificate", words), Some("client_certificate"));
        assert_eq!(nearest("upstreams", words), None);
        assert_eq!(did_you_mean("host", words), ": did you mean `hosts`?");
        assert_eq!(did_you_mean("", words), "");
    }

    #[test]
    fn alternatives_read_like_a_sentence() {
        assert_eq!(any_of(&["a"]), "`a`");
        assert_eq!(any_of(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
