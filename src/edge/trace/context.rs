//! What a request says of the trace that it belongs to: `traceparent` and `tracestate` (W3C Trace Context, Level 1).
//!
//! Read to the letter. What isn't well-formed is as if it weren't there: a trace is no reason to refuse a request.

use crate::edge::fields::Field;

/// The span that a request comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace: u128,
    pub(super) span: u64,
    /// Whether whoever sent it records it.
    pub(super) is_sampled: bool,
    /// What others on the way have noted, to be handed on as it is.
    pub(super) state: String,
}

/// `00-` and the three fields, with the hyphens between them.
const LENGTH: usize = 55;
/// Most members of a `tracestate`, and bytes of it that are handed on.
const MOST_MEMBERS: usize = 32;
const LONGEST_STATE: usize = 512;
/// Members that are longer give way first.
const LONG_MEMBER: usize = 128;

impl Parent {
    /// The parent that a request's fields name.
    pub(super) fn of(fields: &[Field<'_>]) -> Option<Self> {
        let mut named = fields.iter().filter(|field| field.is("traceparent"));
        let (Some(field), None) = (named.next(), named.next()) else { return None };
        let (trace, span, is_sampled) = parent(field.value)?;
        let state = state(fields.iter().filter(|field| field.is("tracestate")).map(|field| field.value));
        Some(Self { trace, span, is_sampled, state: state.unwrap_or_default() })
    }
}

/// Section 3.2: version, trace, span, flags.
fn parent(value: &[u8]) -> Option<(u128, u64, bool)> {
    // A later version may have more behind a hyphen; what is before that is as it is here.
    let (known, more) = value.split_at_checked(LENGTH)?;
    let [version, trace, span, flags] = split(known)?;
    let version = number(version)?;
    let is_readable = match version {
        0 => more.is_empty(),
        0xff => false,
        _ => more.is_empty() || more.starts_with(b"-"),
    };
    let (trace, span, flags) = (number(trace)?, number(span)?, number(flags)?);
    let span = u64::try_from(span).ok()?;
    (is_readable && trace != 0 && span != 0).then_some((trace, span, flags & 1 == 1))
}

fn split(known: &[u8]) -> Option<[&[u8]; 4]> {
    let mut parts = known.split(|&byte| byte == b'-');
    let parts =
        [parts.next()?, parts.next()?, parts.next()?, parts.next().filter(|_| parts.next().is_none())?];
    (parts.map(<[u8]>::len) == [2, 32, 16, 2]).then_some(parts)
}

/// Hexadecimal digits in lower case: no others are allowed.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// Section 3.3: members, over all lines. `None` if one isn't well-formed: then nothing of it is handed on.
fn state<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    for member in values.flat_map(|value| value.split(|&byte| byte == b',')) {
        let member = std::str::from_utf8(member).ok()?.trim_matches([' ', '\t']);
        // Two commas in a row say nothing.
        if member.is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=').filter(|(key, value)| is_key(key) && is_value(value))?;
        if members.len() == MOST_MEMBERS || members.iter().any(|(other, _)| *other == key) {
            return None;
        }
        members.push((key, value));
    }
    let mut members: Vec<_> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let length = |members: &[String]| members.iter().map(|member| member.len() + 1).sum::<usize>();
    // The newest stand first. Section 3.3.1.5: the long ones go, then those at the end.
    while length(&members) > LONGEST_STATE + 1 {
        let long = members.iter().rposition(|member| member.len() > LONG_MEMBER);
        members.remove(long.unwrap_or(members.len() - 1));
    }
    Some(members.join(","))
}

fn is_key(key: &str) -> bool {
    let is_made_of = |part: &str, begins: fn(u8) -> bool, longest: usize| {
        let is_more =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte);
        (1..=longest).contains(&part.len())
            && part.bytes().next().is_some_and(begins)
            && part.bytes().all(is_more)
    };
    match key.split_once('@') {
        None => is_made_of(key, |byte| byte.is_ascii_lowercase(), 256),
        Some((tenant, system)) => {
            is_made_of(tenant, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(), 241)
                && is_made_of(system, |byte| byte.is_ascii_lowercase(), 14)
        }
    }
}

fn is_value(value: &str) -> bool {
    let is_sign = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(is_sign) && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(lines: &[(&str, &str)]) -> Option<Parent> {
        let fields: Vec<_> = lines
            .iter()
            .map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() })
            .collect();
        Parent::of(&fields)
    }

    #[test]
    fn a_parent_is_read_to_the_letter() {
        let read = |value: &str| of(&[("Traceparent", value)]);
        let (trace, span) = (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);
        for (value, is_sampled) in [
            (GOOD.to_owned(), true),
            (GOOD.replace("-01", "-00"), false),
            // Other flags mean nothing yet.
            (GOOD.replace("-01", "-03"), true),
            (GOOD.replace("-01", "-fe"), false),
            // A later version, with and without more.
            (GOOD.replacen("00-", "cc-", 1), true),
            (GOOD.replacen("00-", "01-", 1) + "-what-the-future-holds", true),
            (GOOD.replacen("00-", "fe-", 1) + "-", true),
        ] {
            let expected = Parent { trace, span, is_sampled, state: String::new() };
            assert_eq!(read(&value), Some(expected), "{value}");
        }
    }

    #[test]
    fn a_parent_that_is_not_well_formed_is_none() {
        for value in [
            String::new(),
            "00".to_owned(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-"),
            format!("{GOOD}-00"),
            format!("{GOOD}0"),
            format!(" {}", &GOOD[..54]),
            GOOD.replacen("00-", "ff-", 1),
            GOOD.replacen("00-", "0-0", 1),
            GOOD.replacen("00-", "01-", 1) + ".",
            GOOD.replacen("00-", "0x-", 1),
            GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
            GOOD.replace("4bf9", "4BF9"),
            GOOD.replace("4bf9", "4bg9"),
            GOOD.replace("-00f0", "_00f0"),
            GOOD.replace("-01", "-0A"),
            GOOD.replace("-01", "-+1"),
            format!("{GOOD},{GOOD}"),
            GOOD.replace("4bf9", "4bé"),
        ] {
            assert_eq!(of(&[("traceparent", &value)]), None, "{value}");
        }
        assert_eq!(of(&[("traceparent", GOOD), ("traceparent", GOOD)]), None, "which one, nobody knows");
        assert_eq!(of(&[("tracestate", "a=1")]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_others_have_noted_is_handed_on_or_dropped_whole() {
        let state = |lines: &[&str]| {
            let mut all = vec![("traceparent", GOOD)];
            all.extend(lines.iter().map(|line| ("tracestate", *line)));
            of(&all).unwrap().state
        };
        let long_key = "k".repeat(256);
        let tenant = format!("{}@{}", "1".repeat(241), "s".repeat(14));
        for (lines, expected) in [
            (&["congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"][..], "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
            (&["a=1", "b=2 3"], "a=1,b=2 3"),
            (&[" a=1 ,\t,, b=2\t"], "a=1,b=2"),
            (&["0t@sys=1,a_-*/=!~"], "0t@sys=1,a_-*/=!~"),
            (&[""], ""),
            (&[&format!("{long_key}=1")], &format!("{long_key}=1")),
            (&[&format!("{tenant}=1")], &format!("{tenant}=1")),
            (&[&format!("a={}", "v".repeat(256))], &format!("a={}", "v".repeat(256))),
        ] {
            assert_eq!(state(lines), expected, "{lines:?}");
        }
        for bad in [
            "a",
            "a=",
            "=1",
            "A=1",
            "0a=1",
            "a b=1",
            "a=1=2",
            "a=1,a=2",
            "a=\u{7f}",
            "a=é",
            "@s=1",
            "t@=1",
            "t@0=1",
            "t@s@u=1",
            &format!("{long_key}k=1"),
            &format!("1{tenant}=1"),
            &format!("t@{}=1", "s".repeat(15)),
            &format!("a={}", "v".repeat(257)),
            &(0..33).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(","),
        ] {
            assert_eq!(state(&[&format!("good=1,{bad}")]), "", "{bad}");
        }
        assert_eq!(state(&["a=1", "a=2"]), "", "twice, over two lines");
        let most = (0..32).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        assert_eq!(state(&[&most]), most);
    }

    #[test]
    fn what_is_too_long_gives_way_from_its_end_and_long_members_first() {
        let state = |line: &str| of(&[("traceparent", GOOD), ("tracestate", line)]).unwrap().state;
        let member = |key: &str, length: usize| format!("{key}={}", "v".repeat(length - key.len() - 1));
        let (a, b, c) = (member("a", 200), member("b", 200), member("c", 110));
        let exactly = format!("{a},{b},{c}");
        assert_eq!(exactly.len(), 512);
        assert_eq!(state(&exactly), exactly);
        assert_eq!(state(&format!("{a},{b},{}", member("c", 111))), format!("{a},{}", member("c", 111)));
        let short: Vec<_> = (0..10).map(|n| member(&format!("k{n}"), 100)).collect();
        assert_eq!(state(&short.join(",")), short[..5].join(","));
    }

    proptest! {
        /// Whatever comes, what is handed on is well-formed and read as the same by whoever comes next.
        #[test]
        fn what_is_handed_on_can_be_read(
            version in "([0-9a-f]{2}|..)",
            flags in "([0-9a-f]{2}|..)",
            more in "(|-.*|.)",
            state in "([a-z0-9@_]{1,3}=[ -~]{0,3}[,\t ]{0,2}){0,40}|.*",
        ) {
            let value = format!("{version}-{}-{flags}{more}", &GOOD[3..52]);
            if let Some(read) = of(&[("traceparent", &value), ("tracestate", &state)]) {
                let flags = if read.is_sampled { "01" } else { "00" };
                let next = format!("00-{:032x}-{:016x}-{flags}", read.trace, read.span);
                prop_assert!(read.state.len() <= LONGEST_STATE);
                prop_assert_eq!(of(&[("traceparent", &next), ("tracestate", &read.state)]), Some(read));
            }
        }
    }
}
