//! The file of an import: its lines as values, or every mistake with the line that it is on. Looks at nothing else.

use std::collections::HashMap;

use csv::{ReaderBuilder, StringRecord, Trim};

use super::super::{company, language, mail, role};
use crate::domain::{ContractId, Identity, Language, Pin, PinRules, Role, UserId};

/// The columns, in their order; then `pin`, or not.
const COLUMNS: [&str; 6] = ["contract", "contract_name", "user", "role", "mail", "language"];

/// A user, as a good line has it.
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) identity: Identity,
    pub(super) contract_name: Option<String>,
    pub(super) role: Role,
    pub(super) mail: Option<String>,
    pub(super) language: Language,
    pub(super) pin: Option<Pin>,
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) line: u64,
    pub(super) what: String,
}

/// What a file holds.
pub(super) struct Lines {
    pub(super) lines: Vec<Line>,
    pub(super) mistakes: Vec<Mistake>,
    /// Whether there is a column for PINs.
    pub(super) has_pins: bool,
}

/// Reads a file. PINs in it must keep to `rules`, if there are any.
pub(super) fn read(bytes: &[u8], rules: Option<&PinRules>) -> Lines {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(bytes);
    let mut file = Lines { lines: Vec::new(), mistakes: Vec::new(), has_pins: false };
    let mut first: HashMap<Identity, u64> = HashMap::new();
    let mut has_head = false;
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                file.mistakes.push(Mistake { line, what: "not UTF-8".to_owned() });
                continue;
            }
        };
        let number = record.position().map_or(1, csv::Position::line);
        if !has_head {
            has_head = true;
            file.has_pins = record.len() == COLUMNS.len() + 1 && record.get(COLUMNS.len()) == Some("pin");
            if record.iter().take(COLUMNS.len()).ne(COLUMNS)
                || (record.len() != COLUMNS.len() && !file.has_pins)
            {
                let what = format!("expected the head `{}`, with `,pin` or without", COLUMNS.join(","));
                file.mistakes.push(Mistake { line: number, what });
                return file;
            }
            continue;
        }
        match line(number, &record, file.has_pins, rules) {
            Ok(line) => match first.get(&line.identity) {
                Some(other) => {
                    let what = format!("the user is on line {other} already");
                    file.mistakes.push(Mistake { line: number, what });
                }
                None => {
                    first.insert(line.identity.clone(), number);
                    file.lines.push(line);
                }
            },
            Err(wrong) => {
                file.mistakes.extend(wrong.into_iter().map(|what| Mistake { line: number, what }));
            }
        }
    }
    if !has_head {
        file.mistakes.push(Mistake { line: 1, what: "the file is empty".to_owned() });
    } else if file.lines.is_empty() && file.mistakes.is_empty() {
        file.mistakes.push(Mistake { line: 1, what: "there is no user below the head".to_owned() });
    }
    file
}

fn line(
    number: u64,
    record: &StringRecord,
    has_pins: bool,
    rules: Option<&PinRules>,
) -> Result<Line, Vec<String>> {
    let columns = COLUMNS.len() + usize::from(has_pins);
    if record.len() != columns {
        return Err(vec![format!("{} fields where {columns} are expected", record.len())]);
    }
    let mut wrong = Vec::new();
    let contract = taken(&mut wrong, record, 0, |text| ContractId::typed(text).map_err(|it| it.to_string()));
    let name = filled(&record[1]).and_then(|_| taken(&mut wrong, record, 1, company));
    let user = taken(&mut wrong, record, 2, |text| UserId::typed(text).map_err(|it| it.to_string()));
    let role = taken(&mut wrong, record, 3, role);
    let mail = filled(&record[4]).and_then(|_| taken(&mut wrong, record, 4, mail));
    let language = taken(&mut wrong, record, 5, language);
    let identity = contract.zip(user).map(|(contract, user)| Identity { contract, user });
    // A PIN is never repeated, not even a bad one.
    let pin = if has_pins { filled(&record[6]) } else { None };
    let pin = pin.and_then(|text| match (Pin::typed(text), &identity) {
        (Ok(pin), Some(identity)) => match rules.map(|rules| rules.check(&pin, identity)) {
            Some(Err(weak)) => {
                wrong.push(format!("the PIN is too weak: {}", weak.code()));
                None
            }
            _ => Some(pin),
        },
        (Ok(_), None) => None,
        (Err(_), _) => {
            wrong.push("the PIN is not 4 to 12 half-width letters and digits".to_owned());
            None
        }
    });
    match (identity, role, language) {
        (Some(identity), Some(role), Some(language)) if wrong.is_empty() => {
            Ok(Line { number, identity, contract_name: name, role, mail, language, pin })
        }
        _ => Err(wrong),
    }
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// The value of a field, or one mistake more.
fn taken<T>(
    wrong: &mut Vec<String>,
    record: &StringRecord,
    column: usize,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let text = &record[column];
    parse(text)
        .map_err(|problem| {
            let mut shown: String = text.chars().take(60).collect();
            shown = shown.escape_debug().to_string();
            wrong.push(format!("{} `{shown}`: {problem}", COLUMNS[column]));
        })
        .ok()
}
