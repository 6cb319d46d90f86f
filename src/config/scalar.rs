//! What a plain word of YAML is: the core schema of YAML 1.2, in which `yes`, `no`, `on` and `off` are text.

use super::tree::Value;

/// The value of an unquoted scalar.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => integer(text).or_else(|| float(text)).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

fn integer(text: &str) -> Option<Value> {
    let radix = |digits: &str, radix| {
        // `from_str_radix` takes a sign, the core schema doesn't.
        digits
            .starts_with(|c: char| c.is_ascii_hexdigit())
            .then(|| i128::from_str_radix(digits, radix).ok())?
    };
    let number = if let Some(digits) = text.strip_prefix("0o") {
        radix(digits, 8)
    } else if let Some(digits) = text.strip_prefix("0x") {
        radix(digits, 16)
    } else {
        text.parse().ok()
    };
    number.map(Value::Integer)
}

fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return Some(Value::Float(sign * f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" if unsigned == text => return Some(Value::Float(f64::NAN)),
        _ => {}
    }
    let digits = unsigned.strip_prefix('.').unwrap_or(unsigned);
    // Rust also reads `inf`, `nan` and `infinity`, which are text in YAML.
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit())
        && unsigned.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    if numeric { text.parse().ok().map(Value::Float) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_follow_the_core_schema() {
        let integer = |number| Value::Integer(number);
        let text = |text: &str| Value::Text(text.to_owned());
        for (word, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("FALSE", Value::Bool(false)),
            ("12", integer(12)),
            ("-7", integer(-7)),
            ("+7", integer(7)),
            ("0o17", integer(15)),
            ("0x1F", integer(31)),
            ("1.5", Value::Float(1.5)),
            (".5e3", Value::Float(500.0)),
            ("1.", Value::Float(1.0)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("yes", text("yes")),
            ("off", text("off")),
            ("none", text("none")),
            ("inf", text("inf")),
            ("nan", text("nan")),
            ("0x", text("0x")),
            ("0x-1", text("0x-1")),
            ("10s", text("10s")),
            ("1.2.3.4", text("1.2.3.4")),
            ("0.0.0.0:443", text("0.0.0.0:443")),
            ("12:30", text("12:30")),
            ("1_000", text("1_000")),
        ] {
            assert_eq!(plain(word), value, "{word}");
        }
    }
}
