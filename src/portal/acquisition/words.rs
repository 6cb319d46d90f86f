//! What acquiring and renewing say when there is nothing more to do on a page.

use crate::portal::texts::{Texts, words};

const ASK_JA: &str = "電子証明書の取得は、貴社の管理者が許可します。貴社の管理者にご連絡ください。";
const ASK_EN: &str = "Your company's administrator permits certificates: ask them.";
const ADMIN_JA: &str = "管理者ご自身の場合は、銀行の窓口へお問い合わせください。";
const ADMIN_EN: &str = "If you are the administrator, contact the bank.";

pub(in crate::portal) const NOT_PERMITTED: Texts = Texts {
    ja: words(
        "電子証明書の取得は許可されていません",
        "この利用者には、いま取得できる電子証明書がありません。許可の有効期限が過ぎたか、取得が終わっています。",
        &[ASK_JA, ADMIN_JA],
    ),
    en: words(
        "You are not permitted to get a certificate",
        "There is no certificate for this user to get: the permit has lapsed, or it was used.",
        &[ASK_EN, ADMIN_EN],
    ),
};

pub(in crate::portal) const TOO_EARLY: Texts = Texts {
    ja: words(
        "電子証明書はまだ更新できません",
        "更新できるのは、有効期限の30日前からです。",
        &[
            "パソコンを替えた場合や電子証明書を失くした場合は、貴社の管理者に再発行を依頼してください。",
            ADMIN_JA,
        ],
    ),
    en: words(
        "Your certificate can't be renewed yet",
        "Certificates are renewed shortly before they end.",
        &[
            "If your PC was replaced or the certificate was lost, ask your administrator for a reissue.",
            ADMIN_EN,
        ],
    ),
};

pub(in crate::portal) const IN_USE: Texts = Texts {
    ja: words(
        "ファイルはもう取得できません",
        "電子証明書はすでに使われているか、別のブラウザーで取得されたか、取得から時間がたちました。",
        &[
            "電子証明書方式でログインしてください。",
            "取り込めなかった場合は、貴社の管理者に再発行を依頼してください。",
        ],
    ),
    en: words(
        "The file can't be had any more",
        "The certificate is in use already, was fetched by another browser, or some time ago.",
        &["Sign in with the certificate.", "If it was not imported, ask your administrator for a reissue."],
    ),
};

pub(in crate::portal) const CODE_REFUSED: Texts = Texts {
    ja: words(
        "取得コードを使用できません",
        "取得コードが正しくないか、使用済みか、有効期限が過ぎています。画面で新しい取得コードを表示してください。",
        &[],
    ),
    en: words(
        "The code can't be used",
        "It is wrong, was used, or is too old. Have the page show a new one.",
        &[],
    ),
};

pub(in crate::portal) const PROOF_REFUSED: Texts = Texts {
    ja: words(
        "電子証明書を有効にできません",
        "別の操作で新しい電子証明書が発行されたか、許可が取り消されました。画面で新しい取得コードを表示してください。",
        &[],
    ),
    en: words(
        "The certificate can't be put to use",
        "Another one was issued meanwhile, or the permit was taken back. Have the page show a new code.",
        &[],
    ),
};
