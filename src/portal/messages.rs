//! The words of the portal's own messages: what a page says when there is nothing more to do on it.

use super::texts::{Texts, words};
use crate::domain::SessionEnd;

const AGAIN_JA: &[&str] = &[
    "しばらくしてからもう一度お試しください。",
    "続く場合は、お問い合わせ番号を添えて銀行の窓口へご連絡ください。",
];
const AGAIN_EN: &[&str] =
    &["Try again in a while.", "If it goes on, contact the bank and give the request ID."];
const ANEW_JA: &[&str] = &["ログイン画面から、もう一度操作してください。"];
const ANEW_EN: &[&str] = &["Start again from the sign-in page."];
const IN_AGAIN_JA: &[&str] = &["続けてご利用になるには、もう一度ログインしてください。"];
const IN_AGAIN_EN: &[&str] = &["To go on, sign in again."];
const CHOOSE_JA: &str =
    "別の電子証明書を選び直すには、ブラウザーの画面をすべて閉じてから、もう一度アクセスしてください。";
const CHOOSE_EN: &str = "To choose another certificate, close every window of the browser and come back.";
const LIFT_JA: &str = "利用者の利用中止は、貴社の管理者が解除できます。貴社の管理者にご連絡ください。";
const LIFT_EN: &str = "Your company's administrator can lift a user's suspension: ask them.";
const LIFT_ADMIN_JA: &str = "管理者ご自身の場合は、銀行の窓口へお問い合わせください。";
const LIFT_ADMIN_EN: &str = "If you are the administrator, contact the bank.";

pub(super) const BAD_FORM: Texts = Texts {
    ja: words("入力内容を受け付けられません", "送信された内容の形式が正しくありません。", ANEW_JA),
    en: words("The form can't be accepted", "What was sent is not well-formed.", ANEW_EN),
};

pub(super) const FOREIGN_FORM: Texts = Texts {
    ja: words(
        "この画面からの操作を確認できませんでした",
        "安全のため、操作は行われませんでした。画面を開いてから長い時間がたったか、ブラウザーがCookieを受け付けていない可能性があります。",
        &[
            "ログイン画面を開き直して、もう一度操作してください。",
            "ブラウザーの設定でCookieが許可されていることをお確かめください。",
        ],
    ),
    en: words(
        "We could not confirm that this came from our page",
        "To be safe, nothing was done. The page may have been open for a long time, or the browser does not accept cookies.",
        &["Open the sign-in page again and repeat what you did.", "Check that the browser allows cookies."],
    ),
};

pub(super) const NOT_FOUND: Texts = Texts {
    ja: words(
        "ページが見つかりません",
        "お探しのページはありません。",
        &["アドレスを確かめて、もう一度アクセスしてください。"],
    ),
    en: words("Page not found", "There is no such page.", &["Check the address and try again."]),
};

pub(super) const WRONG_METHOD: Texts = Texts {
    ja: words("この操作はできません", "このアドレスでは受け付けていない操作です。", ANEW_JA),
    en: words("This can't be done here", "This address does not accept that kind of request.", ANEW_EN),
};

pub(super) const UNAVAILABLE: Texts = Texts {
    ja: words(
        "ただいまログインをご利用になれません",
        "ログインを管理するシステムが一時的にご利用になれません。入力された内容は処理されていません。",
        AGAIN_JA,
    ),
    en: words(
        "Sign-in is not available at the moment",
        "The system behind sign-in can't be reached. Nothing that you entered was processed.",
        AGAIN_EN,
    ),
};

pub(super) const OVERLOADED: Texts = Texts {
    ja: words("ただいま混み合っています", "アクセスが集中しているため、受け付けられませんでした。", AGAIN_JA),
    en: words("Very busy at the moment", "Too many people are signing in just now.", AGAIN_EN),
};

pub(super) const THROTTLED: Texts = Texts {
    ja: words(
        "しばらく時間をおいてください",
        "短い時間に多くのログイン操作があったため、一時的に受け付けを止めています。",
        AGAIN_JA,
    ),
    en: words(
        "Please wait a while",
        "There were many attempts in a short time, so none are accepted for the moment.",
        AGAIN_EN,
    ),
};

pub(super) const SUSPENDED: Texts = Texts {
    ja: words(
        "利用を中止しています",
        "暗証番号の誤りが規定の回数に達したか、お手続きにより、ご利用を中止しています。",
        &[LIFT_JA, LIFT_ADMIN_JA],
    ),
    en: words(
        "Use is suspended",
        "Too many wrong PINs were entered, or your company or the bank has suspended the use.",
        &[LIFT_EN, LIFT_ADMIN_EN],
    ),
};

pub(super) const OCCUPIED: Texts = Texts {
    ja: words(
        "すでにログインしています",
        "同じ利用者が、別の画面またはパソコンでログインしています。",
        &[
            "ほかの画面でログアウトしてから、もう一度ログインしてください。",
            "ログアウトせずに画面を閉じた場合は、しばらくするとログインできるようになります。",
            "お心当たりがない場合は、すぐに銀行の窓口へご連絡ください。",
        ],
    ),
    en: words(
        "Already signed in",
        "The same user is signed in in another window or on another PC.",
        &[
            "Sign out there, then sign in again.",
            "If that window was closed without signing out, you can sign in again after a while.",
            "If it isn't you, contact the bank at once.",
        ],
    ),
};

pub(super) const UNKNOWN_USER: Texts = Texts {
    ja: words(
        "電子証明書の利用者が登録されていません",
        "電子証明書は有効ですが、その利用者はこのサービスに登録されていません。",
        &[CHOOSE_JA, "続く場合は、貴社の管理者または銀行の窓口へお問い合わせください。"],
    ),
    en: words(
        "The user of this certificate is not registered",
        "The certificate is valid, but its user is not registered for this service.",
        &[CHOOSE_EN, "If it goes on, ask your company's administrator or the bank."],
    ),
};

pub(super) const SUSPENDED_CERTIFICATE: Texts = Texts {
    ja: words(
        "利用を中止しています",
        "この電子証明書の利用者またはご契約は、ご利用を中止しています。",
        &[LIFT_JA, LIFT_ADMIN_JA, CHOOSE_JA],
    ),
    en: words(
        "Use is suspended",
        "The user of this certificate, or the contract, is suspended.",
        &[LIFT_EN, LIFT_ADMIN_EN, CHOOSE_EN],
    ),
};

pub(super) const NOT_ARRIVED: Texts = Texts {
    ja: words(
        "ログインを完了できませんでした",
        "電子証明書でのログインの途中で、時間が過ぎたか、別の画面が使われました。",
        ANEW_JA,
    ),
    en: words(
        "Signing in was not completed",
        "Too much time passed during sign-in by certificate, or another window was used.",
        ANEW_EN,
    ),
};

pub(super) const PIN_NOT_HERE: Texts = Texts {
    ja: words(
        "暗証番号はここでは変更できません",
        "利用者暗証番号は、銀行の別のシステムで管理されています。",
        &["変更の方法は、貴社の管理者または銀行の窓口へお問い合わせください。"],
    ),
    en: words(
        "The PIN can't be changed here",
        "PINs are kept in another system of the bank's.",
        &["Ask your company's administrator or the bank how to change it."],
    ),
};

pub(super) const CLOSED: Texts = Texts {
    ja: words(
        "ログインを中止しました",
        "ログインは行われていません。",
        &["このウィンドウを閉じてください。"],
    ),
    en: words("You have not signed in", "Nothing was done.", &["You can close this window."]),
};

pub(super) const SIGNED_OUT: Texts = Texts {
    ja: words(
        "ログアウトしました",
        "ご利用ありがとうございました。",
        &["共用のパソコンでは、ブラウザーの画面をすべて閉じてください。"],
    ),
    en: words(
        "You have signed out",
        "Thank you for banking with us.",
        &["On a shared PC, close every window of the browser."],
    ),
};

const IDLE: Texts = Texts {
    ja: words(
        "操作がなかったためログアウトしました",
        "一定の時間操作がなかったため、安全のためログインを終了しました。",
        IN_AGAIN_JA,
    ),
    en: words(
        "Signed out for inactivity",
        "Nothing was done for a while, so to be safe your session was ended.",
        IN_AGAIN_EN,
    ),
};

const TOO_OLD: Texts = Texts {
    ja: words(
        "ログインの有効時間が終わりました",
        "一回のログインでご利用いただける時間が過ぎたため、ログインを終了しました。",
        IN_AGAIN_JA,
    ),
    en: words(
        "Your session has ended",
        "The longest time for which one sign-in lasts has passed.",
        IN_AGAIN_EN,
    ),
};

const REPLACED: Texts = Texts {
    ja: words(
        "別の画面でログインされました",
        "同じ利用者が別の画面またはパソコンでログインしたため、こちらのログインを終了しました。",
        &[
            "こちらで続けるには、もう一度ログインしてください。",
            "お心当たりがない場合は、すぐに銀行の窓口へご連絡ください。",
        ],
    ),
    en: words(
        "Signed in elsewhere",
        "The same user signed in in another window or on another PC, so this session was ended.",
        &["To go on here, sign in again.", "If it wasn't you, contact the bank at once."],
    ),
};

const WITHDRAWN: Texts = Texts {
    ja: words(
        "ログインは取り消されました",
        "ご利用の中止、または電子証明書の失効などにより、ログインを終了しました。",
        &["貴社の管理者または銀行の窓口へお問い合わせください。"],
    ),
    en: words(
        "Your session was withdrawn",
        "The user or the contract was suspended, or the certificate is no longer good.",
        &["Ask your company's administrator or the bank."],
    ),
};

/// The words for a session that is over.
pub(super) const fn ended(end: SessionEnd) -> &'static Texts {
    match end {
        SessionEnd::SignedOut => &SIGNED_OUT,
        SessionEnd::Idle => &IDLE,
        SessionEnd::TooOld => &TOO_OLD,
        SessionEnd::Replaced => &REPLACED,
        SessionEnd::Withdrawn => &WITHDRAWN,
    }
}
