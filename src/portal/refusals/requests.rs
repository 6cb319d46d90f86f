//! What is wrong with a request, its body or the application behind the gate.

use super::super::texts::{Texts, words};

const AGAIN_JA: &[&str] = &[
    "しばらくしてからもう一度アクセスしてください。",
    "続く場合は、お問い合わせ番号を添えて銀行の窓口へご連絡ください。",
];
const AGAIN_EN: &[&str] =
    &["Try again in a while.", "If it goes on, contact the bank and give the request ID."];
const ADDRESS_JA: &[&str] = &["アドレスを確かめて、もう一度アクセスしてください。"];
const ADDRESS_EN: &[&str] = &["Check the address and try again."];
const SIGN_IN_JA: &[&str] = &["「ログイン画面へ」を押して、ログインしてください。"];
const SIGN_IN_EN: &[&str] = &["Go to the sign-in page and sign in."];

const SUSPENDED_JA: &[&str] = &[
    "利用者の利用中止は、貴社の管理者が解除できます。貴社の管理者にご連絡ください。",
    "管理者ご自身の場合は、銀行の窓口へお問い合わせください。",
];
const SUSPENDED_EN: &[&str] = &[
    "Your company's administrator can lift a user's suspension: ask them.",
    "If you are the administrator, contact the bank.",
];

/// For every request that can't be read.
pub(super) const UNREADABLE: Texts = Texts {
    ja: words("要求を受け付けられません", "ブラウザーから届いた要求の形式が正しくありません。", ADDRESS_JA),
    en: words("Request not accepted", "The browser's request is not well-formed.", ADDRESS_EN),
};

/// By the code of the failure.
pub(super) static TEXTS: [(&str, Texts); 22] = [
    ("bad_request", UNREADABLE),
    ("head_too_large", UNREADABLE),
    ("method_not_allowed", UNREADABLE),
    ("client_gone", UNREADABLE),
    ("client_stalled", UNREADABLE),
    (
        "no_route",
        Texts {
            ja: words("ページが見つかりません", "お探しのページはありません。", ADDRESS_JA),
            en: words("Page not found", "There is no such page.", ADDRESS_EN),
        },
    ),
    (
        "misdirected",
        Texts {
            ja: words(
                "接続先が一致しません",
                "この接続は別のホスト名のために開かれたものです。",
                &["ブラウザーの画面をすべて閉じてから、もう一度アクセスしてください。"],
            ),
            en: words(
                "Wrong connection",
                "This connection was opened for another host name.",
                &["Close every window of the browser and come back."],
            ),
        },
    ),
    (
        "body_too_large",
        Texts {
            ja: words(
                "送信されたデータが大きすぎます",
                "受け付けられる大きさを超えています。",
                &["データを小さく分けて、もう一度送信してください。"],
            ),
            en: words(
                "Too much data",
                "What was sent is larger than is accepted.",
                &["Send it in smaller parts."],
            ),
        },
    ),
    (
        "request_timeout",
        Texts {
            ja: words("送信が時間内に終わりませんでした", "要求を最後まで受け取れませんでした。", AGAIN_JA),
            en: words("Sending took too long", "The request did not arrive in time.", AGAIN_EN),
        },
    ),
    (
        "rate_limited",
        Texts {
            ja: words(
                "アクセスが多すぎます",
                "短い時間に多くの要求が届いたため、一時的に受付を制限しています。",
                &["しばらく待ってから、もう一度アクセスしてください。"],
            ),
            en: words(
                "Too many requests",
                "More requests came in a short time than are accepted.",
                &["Wait a moment and try again."],
            ),
        },
    ),
    (
        "overloaded",
        Texts {
            ja: words(
                "ただいま混み合っています",
                "アクセスが集中しているため、受け付けられませんでした。",
                AGAIN_JA,
            ),
            en: words("Very busy at the moment", "There are too many requests right now.", AGAIN_EN),
        },
    ),
    (
        "maintenance",
        Texts {
            ja: words(
                "メンテナンス中です",
                "ただいまメンテナンスのため、サービスを一時停止しております。",
                AGAIN_JA,
            ),
            en: words(
                "Closed for maintenance",
                "The service is closed for maintenance at the moment.",
                AGAIN_EN,
            ),
        },
    ),
    (
        "upstream_timeout",
        Texts {
            ja: words(
                "応答に時間がかかっています",
                "業務システムから時間内に応答がありませんでした。",
                AGAIN_JA,
            ),
            en: words("No answer yet", "The banking application did not answer in time.", AGAIN_EN),
        },
    ),
    (
        "upstream_unreachable",
        Texts {
            ja: words("ただいまご利用になれません", "業務システムに接続できませんでした。", AGAIN_JA),
            en: words("Not available at the moment", "The banking application can't be reached.", AGAIN_EN),
        },
    ),
    (
        "upstream_broken",
        Texts {
            ja: words("ただいまご利用になれません", "業務システムに接続できませんでした。", AGAIN_JA),
            en: words("Not available at the moment", "The banking application can't be reached.", AGAIN_EN),
        },
    ),
    (
        "upstream_down",
        Texts {
            ja: words("ただいまご利用になれません", "業務システムが停止しています。", AGAIN_JA),
            en: words("Not available at the moment", "The banking application is down.", AGAIN_EN),
        },
    ),
    (
        "upstream_busy",
        Texts {
            ja: words("ただいま大変混み合っています", "業務システムへのアクセスが集中しています。", AGAIN_JA),
            en: words("Very busy at the moment", "The banking application has too much to do.", AGAIN_EN),
        },
    ),
    (
        "sign_in_needed",
        Texts {
            ja: words("ログインが必要です", "このページのご利用にはログインが必要です。", SIGN_IN_JA),
            en: words("Please sign in", "You need to sign in to see this page.", SIGN_IN_EN),
        },
    ),
    (
        "sent_to_portal",
        Texts {
            ja: words(
                "ログイン画面へ移動します",
                "続けるには、先にログイン画面での操作が必要です。",
                SIGN_IN_JA,
            ),
            en: words("On to the sign-in pages", "Something has to be done there first.", SIGN_IN_EN),
        },
    ),
    (
        "not_allowed",
        Texts {
            ja: words(
                "このサービスはご利用になれません",
                "ご契約またはお客さまの権限では、このサービスをご利用いただけません。",
                &["ご利用が必要な場合は、貴社の管理者にお問い合わせください。"],
            ),
            en: words(
                "You may not use this service",
                "It is not open to your contract or your role.",
                &["If you need it, ask your company's administrator."],
            ),
        },
    ),
    (
        "suspended",
        Texts {
            ja: words(
                "利用を中止しています",
                "このご契約または利用者のご利用は中止されています。",
                SUSPENDED_JA,
            ),
            en: words("Use is suspended", "This contract or this user is suspended.", SUSPENDED_EN),
        },
    ),
    (
        "state_unavailable",
        Texts {
            ja: words(
                "ただいまログインの確認ができません",
                "ログインを管理するシステムが一時的にご利用になれません。",
                AGAIN_JA,
            ),
            en: words(
                "Sign-in is not available at the moment",
                "The system that keeps track of sign-ins can't be reached.",
                AGAIN_EN,
            ),
        },
    ),
];
