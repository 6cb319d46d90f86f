//! The files around PINs: peppers, and PINs that nobody may choose. No error repeats what is secret in them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use zeroize::Zeroizing;

use super::Peppers;
use crate::domain::Pin;

/// Fewest bytes of a pepper, and how many a new one has.
const PEPPER: usize = 32;
/// Most characters of a pepper's ID: what a hash has room for.
const LONGEST_ID: usize = 8;
/// What others must not do with a file of peppers. Its group may read it: so Kubernetes mounts secrets.
const FORBIDDEN: u32 = 0o027;

/// Reads a file of peppers: per line an ID, a space, and 32 or more bytes in base64. `#` begins a comment.
pub fn read_peppers(file: &Path) -> Result<Peppers, String> {
    let name = file.display();
    let text = read_secret(file)?;
    let mut peppers = Peppers::new();
    for (number, line) in lines(&text) {
        let pepper = pepper(line).map_err(|problem| format!("{name}: line {number}: {problem}"))?;
        if peppers.iter().any(|(id, _)| *id == pepper.0) {
            return Err(format!("{name}: line {number}: the ID `{}` is there twice", pepper.0));
        }
        if peppers.iter().any(|(_, bytes)| *bytes == pepper.1) {
            return Err(format!("{name}: line {number}: the same pepper is there under another ID"));
        }
        peppers.push(pepper);
    }
    if peppers.is_empty() {
        return Err(format!("{name}: there is no pepper in it: `sekisho pepper` makes one"));
    }
    Ok(peppers)
}

/// A new line for a file of peppers. `id` is 1 to 8 letters, digits, `-` or `_`.
pub fn new_pepper_line(id: &str) -> Result<Zeroizing<String>, String> {
    if !is_id(id) {
        return Err(format!("`{}` can't be the ID of a pepper", id.escape_debug()));
    }
    let mut bytes = Zeroizing::new([0; PEPPER]);
    getrandom::fill(&mut *bytes).map_err(|error| format!("the system gives no random bytes: {error}"))?;
    let encoded = Zeroizing::new(BASE64_STANDARD.encode(bytes.as_slice()));
    Ok(Zeroizing::new(format!("{id} {}\n", *encoded)))
}

/// Reads a file of PINs that nobody may choose, one per line, into lower case. `#` begins a comment. Lists of common
/// passwords will do: what can't be a PIN anyway is skipped.
pub fn read_deny_list(file: &Path) -> Result<HashSet<Box<str>>, String> {
    let bytes = fs::read(file).map_err(|error| problem(file, &error))?;
    // Such lists are old and their encoding is anybody's guess; PINs are ASCII.
    let text = String::from_utf8_lossy(&bytes);
    let denied: HashSet<Box<str>> = lines(&text)
        .filter_map(|(_, line)| Pin::typed(line).ok())
        .map(|pin| pin.expose().to_ascii_lowercase().into())
        .collect();
    if denied.is_empty() {
        return Err(format!("{}: there is nothing in it that could be a PIN", file.display()));
    }
    Ok(denied)
}

/// Lines with something in them, counted from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let bare = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    (1..).zip(bare).filter(|(_, line)| !line.is_empty())
}

fn pepper(line: &str) -> Result<(String, Zeroizing<Vec<u8>>), String> {
    let form = "expected an ID, a space, and 32 or more bytes in base64";
    let mut words = line.split_ascii_whitespace();
    let (Some(id), Some(encoded), None) = (words.next(), words.next(), words.next()) else {
        return Err(form.to_owned());
    };
    if !is_id(id) {
        // Not repeated: it may be the secret, in the wrong place.
        return Err(format!("an ID is 1 to {LONGEST_ID} letters, digits, `-` or `_`"));
    }
    let bytes = BASE64_STANDARD.decode(encoded).map(Zeroizing::new);
    let bytes = bytes.map_err(|_| format!("the pepper `{id}` is not base64"))?;
    if bytes.len() < PEPPER {
        return Err(format!("the pepper `{id}` has {} bytes: {PEPPER} are the least", bytes.len()));
    }
    Ok((id.to_owned(), bytes))
}

fn is_id(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(fits)
}

fn read_secret(file: &Path) -> Result<Zeroizing<String>, String> {
    let name = file.display();
    let mut open = File::open(file).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("{name}: there is no such file (`sekisho pepper` makes one)"),
        _ => problem(file, &error),
    })?;
    let metadata = open.metadata().map_err(|error| problem(file, &error))?;
    // Of the opened file: the name may lead elsewhere by now.
    if metadata.is_file() && metadata.permissions().mode() & FORBIDDEN != 0 {
        return Err(format!("{name}: others can read or change this secret: chmod 600 {name}"));
    }
    // With room from the start: growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(64 * 1024));
    match open.by_ref().take(64 * 1024).read_to_string(&mut text) {
        Ok(length) if length == 64 * 1024 => Err(format!("{name}: it is too large for a file of peppers")),
        Ok(_) => Ok(text),
        Err(error) => Err(problem(file, &error)),
    }
}

fn problem(file: &Path, error: &std::io::Error) -> String {
    let problem = match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission to read it is denied".to_owned(),
        ErrorKind::IsADirectory => "it is a directory, not a file".to_owned(),
        ErrorKind::InvalidData => "it is not text".to_owned(),
        _ => format!("it cannot be read: {error}"),
    };
    format!("{}: {problem}", file.display())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::path::PathBuf;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, text: &str, mode: u32) -> PathBuf {
            let file = self.0.path().join("file");
            let _ = fs::remove_file(&file);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            file
        }

        /// What is wrong with a file of peppers, without the file's name.
        fn refusal(&self, text: &str) -> String {
            let file = self.file(text, 0o600);
            let refusal = read_peppers(&file).unwrap_err();
            refusal.strip_prefix(&format!("{}: ", file.display())).unwrap().to_owned()
        }
    }

    fn encoded(byte: u8, length: usize) -> String {
        BASE64_STANDARD.encode(vec![byte; length])
    }

    #[test]
    fn peppers_are_read_in_their_order() {
        let (folder, new, old) = (Folder::new(), encoded(1, 32), encoded(2, 48));
        let text = format!("# made in November\n20261123 {new}\n\n  old_-1\t{old} # until March\r\n");
        let peppers = read_peppers(&folder.file(&text, 0o600)).unwrap();
        let expected = [("20261123".to_owned(), vec![1; 32]), ("old_-1".to_owned(), vec![2; 48])];
        let peppers: Vec<_> = peppers.into_iter().map(|(id, bytes)| (id, bytes.to_vec())).collect();
        assert_eq!(peppers, expected);
    }

    #[test]
    fn a_mistake_in_the_peppers_is_told_by_line_and_without_the_secret() {
        let (folder, good) = (Folder::new(), encoded(1, 32));
        let form = "line 1: expected an ID, a space, and 32 or more bytes in base64";
        assert_eq!(folder.refusal(&good), form);
        assert_eq!(folder.refusal(&format!("a {good} {good}")), form);
        let id = "line 1: an ID is 1 to 8 letters, digits, `-` or `_`";
        assert_eq!(folder.refusal(&format!("123456789 {good}")), id);
        assert_eq!(folder.refusal(&format!("ä {good}")), id);
        assert_eq!(folder.refusal("a geheim!"), "line 1: the pepper `a` is not base64");
        let short = format!("a {good}\nb {}", encoded(3, 31));
        assert_eq!(folder.refusal(&short), "line 2: the pepper `b` has 31 bytes: 32 are the least");
        let twice = format!("a {good}\na {}", encoded(3, 32));
        assert_eq!(folder.refusal(&twice), "line 2: the ID `a` is there twice");
        let same = format!("a {good}\nb {good}");
        assert_eq!(folder.refusal(&same), "line 2: the same pepper is there under another ID");
        assert_eq!(folder.refusal("# none\n"), "there is no pepper in it: `sekisho pepper` makes one");
        assert_eq!(folder.refusal(&"#".repeat(1 << 16)), "it is too large for a file of peppers");
    }

    #[test]
    fn a_pepper_that_others_can_read_is_none() {
        let folder = Folder::new();
        let line = format!("a {}", encoded(1, 32));
        for (mode, good) in [
            (0o400, true),
            (0o600, true),
            (0o440, true),
            (0o640, true),
            (0o644, false),
            (0o604, false),
            (0o660, false),
        ] {
            let file = folder.file(&line, mode);
            let name = file.display();
            let refusal = format!("{name}: others can read or change this secret: chmod 600 {name}");
            let expected = if good { Ok(()) } else { Err(refusal) };
            assert_eq!(read_peppers(&file).map(drop), expected, "{mode:o}");
        }
        let missing = folder.0.path().join("missing");
        let refusal = format!("{}: there is no such file (`sekisho pepper` makes one)", missing.display());
        assert_eq!(read_peppers(&missing).map(drop), Err(refusal));
    }

    #[test]
    fn a_new_pepper_is_one_that_can_be_read() {
        let folder = Folder::new();
        let (first, second) = (new_pepper_line("20261123").unwrap(), new_pepper_line("b").unwrap());
        let text = format!("{}{}", *first, *second);
        let peppers = read_peppers(&folder.file(&text, 0o600)).unwrap();
        assert_eq!(peppers.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["20261123", "b"]);
        assert_eq!(
            new_pepper_line("123456789").map(drop),
            Err("`123456789` can't be the ID of a pepper".to_owned())
        );
    }

    #[test]
    fn a_deny_list_is_in_lower_case_and_without_what_is_no_pin() {
        let folder = Folder::new();
        let text = "# common\nPassword1\r\n123456\n１２３４５６\nabc\nsome phrase\n";
        let denied = read_deny_list(&folder.file(text, 0o644)).unwrap();
        assert_eq!(denied, ["password1".into(), "123456".into()].into());
        let file = folder.file("abc\n", 0o644);
        let refusal = format!("{}: there is nothing in it that could be a PIN", file.display());
        assert_eq!(read_deny_list(&file), Err(refusal));
    }
}
