//! What is wrong with a certificate, for every reason of the judge's.

use super::super::texts::{Texts, words};

const ADMIN_JA: &str = "貴社の管理者に電子証明書の再発行を依頼し、発行後にあらためて取得してください。";
const ADMIN_SELF_JA: &str = "管理者ご自身の電子証明書の場合は、銀行の窓口へお問い合わせください。";
const RESTART_JA: &str =
    "別の電子証明書を選び直すには、ブラウザーの画面をすべて閉じてから、もう一度アクセスしてください。";
const ADMIN_EN: &str = "Ask your company's administrator to reissue the certificate, then get the new one.";
const ADMIN_SELF_EN: &str = "If you are the administrator, contact the bank.";
const RESTART_EN: &str = "To choose another certificate, close every window of the browser and come back.";

/// By the code of the reason.
pub(super) static TEXTS: [(&str, Texts); 12] = [
    (
        "absent",
        Texts {
            ja: words(
                "電子証明書が提示されていません",
                "このページのご利用には電子証明書が必要ですが、ブラウザーから提示されませんでした。",
                &[
                    "電子証明書を取得したパソコンとブラウザーでアクセスしてください。",
                    "証明書の選択画面で取り消した場合や選択画面が表示されない場合は、ブラウザーの画面をすべて閉じてから、もう一度アクセスしてください。",
                    // Chromium and what is made of it do not offer an expired certificate at all.
                    "有効期限が切れた電子証明書は、選択画面に表示されないことがあります。有効期限をお確かめください。",
                    "まだ取得していない場合や有効期限が切れている場合は、貴社の管理者にお問い合わせください。",
                ],
            ),
            en: words(
                "No certificate was presented",
                "This page needs a client certificate, and the browser presented none.",
                &[
                    "Use the PC and the browser in which you got your certificate.",
                    "If you cancelled the choice, or no choice appeared, close every window of the browser and come back.",
                    "Browsers may not offer a certificate that has expired: check until when yours is valid.",
                    "If you have none yet, or it has expired, ask your company's administrator.",
                ],
            ),
        },
    ),
    (
        "unknown_authority",
        Texts {
            ja: words(
                "当行の電子証明書ではありません",
                "提示された電子証明書は、当行の認証局が発行したものではありません。",
                &[RESTART_JA, "当行の電子証明書をお持ちでない場合は、貴社の管理者にお問い合わせください。"],
            ),
            en: words(
                "This certificate is not ours",
                "The certificate that was presented was not issued by this bank's certification authority.",
                &[RESTART_EN, "If you have no certificate of this bank, ask your company's administrator."],
            ),
        },
    ),
    (
        "expired",
        Texts {
            ja: words(
                "電子証明書の有効期限が切れています",
                "提示された電子証明書は、有効期限を過ぎているためご利用になれません。",
                &[ADMIN_JA, ADMIN_SELF_JA],
            ),
            en: words(
                "Your certificate has expired",
                "The certificate that was presented is past its validity and can't be used any more.",
                &[ADMIN_EN, ADMIN_SELF_EN],
            ),
        },
    ),
    (
        "not_yet_valid",
        Texts {
            ja: words(
                "電子証明書の有効期間が始まっていません",
                "提示された電子証明書は、有効期間の開始前です。",
                &["取得した直後の場合は、しばらくしてからもう一度アクセスしてください。", ADMIN_SELF_JA],
            ),
            en: words(
                "Your certificate is not valid yet",
                "The validity of the certificate that was presented has not begun.",
                &["If you have just got it, try again in a while.", ADMIN_SELF_EN],
            ),
        },
    ),
    (
        "revoked",
        Texts {
            ja: words(
                "電子証明書は失効しています",
                "提示された電子証明書は失効の手続きがされているため、ご利用になれません。",
                &[
                    "再発行後の新しい電子証明書をお持ちの場合は、そちらを選んでください。",
                    RESTART_JA,
                    ADMIN_JA,
                    ADMIN_SELF_JA,
                ],
            ),
            en: words(
                "Your certificate was revoked",
                "The certificate that was presented was revoked and can't be used any more.",
                &["If you have a newer certificate, choose that one.", RESTART_EN, ADMIN_EN, ADMIN_SELF_EN],
            ),
        },
    ),
    (
        "revocation_unknown",
        Texts {
            ja: words(
                "電子証明書の状態を確認できません",
                "ただいま、電子証明書が失効していないことを確認できないため、ご利用を受け付けられません。",
                &[
                    "しばらくしてからもう一度アクセスしてください。",
                    "続く場合は、お問い合わせ番号を添えて銀行の窓口へご連絡ください。",
                ],
            ),
            en: words(
                "Your certificate can't be checked at the moment",
                "We can't make sure at the moment that the certificate was not revoked, so we can't let you in.",
                &["Try again in a while.", "If it goes on, contact the bank and give the request ID."],
            ),
        },
    ),
    (
        "wrong_usage",
        Texts {
            ja: words(
                "ログイン用の電子証明書ではありません",
                "提示された電子証明書は、利用者のログインに使えるものではありません。",
                &[RESTART_JA, ADMIN_JA],
            ),
            en: words(
                "This is not a certificate for signing in",
                "The certificate that was presented is not made for a user's sign-in.",
                &[RESTART_EN, ADMIN_EN],
            ),
        },
    ),
    (
        "weak_key",
        Texts {
            ja: words(
                "電子証明書の鍵の強度が足りません",
                "提示された電子証明書の鍵または署名の方式は、安全上の理由で受け付けられません。",
                &[ADMIN_JA, ADMIN_SELF_JA],
            ),
            en: words(
                "The key of your certificate is too weak",
                "The key or the signature of the certificate that was presented is below what is safe.",
                &[ADMIN_EN, ADMIN_SELF_EN],
            ),
        },
    ),
    (
        "bad_subject",
        Texts {
            ja: words(
                "電子証明書から利用者を特定できません",
                "提示された電子証明書の名義が、当行の利用者の形式ではありません。",
                &[RESTART_JA, "続く場合は、お問い合わせ番号を添えて銀行の窓口へご連絡ください。"],
            ),
            en: words(
                "The certificate does not say who you are",
                "The subject of the certificate that was presented does not have the form of a user of this bank.",
                &[RESTART_EN, "If it goes on, contact the bank and give the request ID."],
            ),
        },
    ),
    (
        "malformed",
        Texts {
            ja: words(
                "電子証明書を読み取れません",
                "提示された電子証明書は壊れているか、対応していない形式です。",
                &[RESTART_JA, ADMIN_JA],
            ),
            en: words(
                "Your certificate can't be read",
                "The certificate that was presented is broken, or of a kind that is not supported.",
                &[RESTART_EN, ADMIN_EN],
            ),
        },
    ),
    (
        "retired",
        Texts {
            ja: words(
                "更新前の電子証明書です",
                "この電子証明書は更新され、新しい電子証明書に替わりました。",
                &["新しい電子証明書を選んでください。", RESTART_JA, ADMIN_JA],
            ),
            en: words(
                "This is the certificate from before the renewal",
                "It was renewed, and the new certificate took its place.",
                &["Choose the new certificate.", RESTART_EN, ADMIN_EN],
            ),
        },
    ),
    (
        "unregistered",
        Texts {
            ja: words(
                "この電子証明書は登録されていません",
                "この電子証明書は有効なものとして登録されていません。取得が完了していない可能性があります。",
                &["電子証明書取得の画面から、もう一度取得してください。", RESTART_JA, ADMIN_JA],
            ),
            en: words(
                "This certificate is not registered",
                "It is not registered as one in use. It may not have been acquired completely.",
                &["Get it once more from the acquisition page.", RESTART_EN, ADMIN_EN],
            ),
        },
    ),
];
