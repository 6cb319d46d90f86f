//! What administration says when something can't be done.

use crate::flows::Conflict;
use crate::portal::texts::{Texts, words};

pub(super) const NOT_ADMINISTRATOR: Texts = Texts {
    ja: words(
        "この画面は管理者専用です",
        "管理者の電子証明書でアクセスしてください。",
        &["管理者の方は、ブラウザーの画面をすべて閉じてから、管理者の電子証明書を選んでください。"],
    ),
    en: words(
        "This page is for administrators",
        "It takes an administrator's certificate.",
        &["If you are one, close every window of the browser and choose your administrator's certificate."],
    ),
};

pub(super) const NO_USER: Texts = Texts {
    ja: words(
        "利用者が見つかりません",
        "貴社のご契約に、その利用者は登録されていません。",
        &["利用者情報の画面から、もう一度操作してください。"],
    ),
    en: words(
        "There is no such user",
        "Your contract has no user of that ID.",
        &["Start again from the list of users."],
    ),
};

pub(super) const ONESELF: Texts = Texts {
    ja: words(
        "ご自身の変更はできません",
        "管理者ご自身の電子証明書や利用中止は、ご自身では変更できません。",
        &["銀行の窓口へお問い合わせください。"],
    ),
    en: words(
        "You can't change yourself",
        "An administrator's own certificate and suspension are not theirs to change.",
        &["Contact the bank."],
    ),
};

pub(super) const BANK_STAFFS: Texts = Texts {
    ja: words(
        "管理者の変更はできません",
        "管理者の電子証明書や利用中止は、銀行の窓口で承ります。",
        &["銀行の窓口へお問い合わせください。"],
    ),
    en: words(
        "Administrators are changed by the bank",
        "The certificates and suspensions of administrators are the bank's.",
        &["Contact the bank."],
    ),
};

pub(super) const WRONG_PIN: Texts = Texts {
    ja: words(
        "暗証番号が正しくありません",
        "あなたの利用者暗証番号が正しくありません。変更は行われていません。",
        &["利用者情報の画面から、もう一度操作してください。"],
    ),
    en: words(
        "The PIN is not right",
        "Your own PIN is not right. Nothing was changed.",
        &["Start again from the list of users."],
    ),
};

pub(super) const HOLDS_CREDENTIAL: Texts = Texts {
    ja: words(
        "電子証明書をすでに取得しています",
        "この利用者には有効な電子証明書があります。取り替えるには、再発行を行ってください。",
        &["利用者情報の画面から、もう一度操作してください。"],
    ),
    en: words(
        "There is a certificate already",
        "This user holds a live certificate. To replace it, use the reissue.",
        &["Start again from the list of users."],
    ),
};

pub(super) const NOTHING_TO_REVOKE: Texts = Texts {
    ja: words(
        "電子証明書がありません",
        "この利用者には、失効または再発行できる電子証明書も、取得の許可もありません。",
        &["利用者情報の画面から、もう一度操作してください。"],
    ),
    en: words(
        "There is no certificate",
        "This user has neither a certificate nor a permit.",
        &["Start again from the list of users."],
    ),
};

pub(super) const EXISTS: Texts = Texts {
    ja: words(
        "その利用者IDは使われています",
        "同じ利用者IDがすでに登録されています。別の利用者IDを入力してください。",
        &["利用者情報の画面から、もう一度操作してください。"],
    ),
    en: words(
        "The user ID is taken",
        "There is a user of this ID already. Choose another one.",
        &["Start again from the list of users."],
    ),
};

pub(super) const BAD_ID: Texts = Texts {
    ja: words(
        "利用者IDの形式が正しくありません",
        "利用者IDは、半角英数字30桁以内で入力してください。",
        &["利用者情報の画面から、もう一度操作してください。"],
    ),
    en: words(
        "That is no user ID",
        "A user ID has up to 30 letters and digits.",
        &["Start again from the list of users."],
    ),
};

pub(super) const BAD_MAIL: Texts = Texts {
    ja: words(
        "メールアドレスの形式が正しくありません",
        "メールアドレスをお確かめください。",
        &["利用者情報の画面から、もう一度操作してください。"],
    ),
    en: words("That is no mail address", "Check the mail address.", &["Start again from the list of users."]),
};

pub(super) const BY_BANK_STAFF: Texts = Texts {
    ja: words(
        "銀行による利用中止です",
        "この利用中止は、銀行の手続きによるものです。",
        &["銀行の窓口へお問い合わせください。"],
    ),
    en: words("Suspended by the bank", "Only the bank lifts this suspension.", &["Contact the bank."]),
};

pub(super) const NO_ISSUER: Texts = Texts {
    ja: words(
        "電子証明書の発行を行っていません",
        "このシステムでは、電子証明書を発行していません。",
        &["銀行の窓口へお問い合わせください。"],
    ),
    en: words(
        "No certificates are issued here",
        "This system issues no certificates.",
        &["Contact the bank."],
    ),
};

pub(super) const fn of(conflict: Conflict) -> &'static Texts {
    match conflict {
        Conflict::HoldsCredential => &HOLDS_CREDENTIAL,
        Conflict::NothingToRevoke => &NOTHING_TO_REVOKE,
        Conflict::Exists => &EXISTS,
        Conflict::BadId => &BAD_ID,
        Conflict::BadMail => &BAD_MAIL,
        Conflict::ByBankStaff => &BY_BANK_STAFF,
        Conflict::NoIssuer => &NO_ISSUER,
    }
}
