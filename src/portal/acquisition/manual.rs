//! How the file is imported, system by system.

use super::downloads::System;
use crate::domain::Language;

/// A system's name and its steps, in Japanese and in English.
type Steps = (Option<System>, &'static str, &'static [&'static str], &'static [&'static str]);

const MANUAL: [Steps; 4] = [
    (
        Some(System::Windows),
        "Windows (Edge, Chrome)",
        &[
            "ダウンロードしたcertificate.p12をダブルクリックします。「証明書のインポート ウィザード」が開きます。",
            "「現在のユーザー」を選び、「次へ」を2回押します。",
            "この画面のパスワードを入力し、「次へ」を押します。「エクスポート可能にする」は選びません。",
            "「証明書の種類に基づいて、自動的に証明書ストアを選択する」のまま「次へ」「完了」を押します。",
        ],
        &[
            "Double-click certificate.p12. The Certificate Import Wizard opens.",
            "Choose Current User, and press Next twice.",
            "Enter the password of this page and press Next. Do not mark the key as exportable.",
            "Leave the store to be chosen automatically; press Next, then Finish.",
        ],
    ),
    (
        Some(System::MacOs),
        "macOS (Safari, Chrome)",
        &[
            "ダウンロードしたcertificate.p12をダブルクリックします。「キーチェーンアクセス」が開きます。",
            "キーチェーンに「ログイン」を選びます。",
            "この画面のパスワードを入力し、「OK」を押します。",
        ],
        &[
            "Double-click certificate.p12. Keychain Access opens.",
            "Choose the keychain \u{201c}login\u{201d}.",
            "Enter the password of this page and press OK.",
        ],
    ),
    (
        None,
        "Firefox",
        &[
            "「設定」→「プライバシーとセキュリティ」→「証明書を表示」を開きます。",
            "「あなたの証明書」の「読み込む」を押し、certificate.p12を選びます。",
            "この画面のパスワードを入力します。",
        ],
        &[
            "Open Settings, Privacy & Security, View Certificates.",
            "Under Your Certificates press Import and choose certificate.p12.",
            "Enter the password of this page.",
        ],
    ),
    (
        Some(System::Linux),
        "Linux (Chromium, Chrome)",
        &[
            "ブラウザーの設定で「証明書の管理」を開き、「ユーザー証明書」の「インポート」でcertificate.p12を選びます。",
            "コマンドの場合：pk12util -d sql:$HOME/.pki/nssdb -i certificate.p12",
            "この画面のパスワードを入力します。",
        ],
        &[
            "Open the certificate manager in the browser's settings, and import certificate.p12 under Your certificates.",
            "Or on a command line: pk12util -d sql:$HOME/.pki/nssdb -i certificate.p12",
            "Enter the password of this page.",
        ],
    ),
];

/// All of them, the person's own system first.
pub(super) fn of(system: Option<System>, language: Language) -> Vec<(&'static str, &'static [&'static str])> {
    let mut all: Vec<&Steps> = MANUAL.iter().collect();
    all.sort_by_key(|(of, ..)| of.is_none() || *of != system);
    all.into_iter()
        .map(|(_, name, ja, en)| {
            (
                *name,
                match language {
                    Language::Japanese => *ja,
                    Language::English => *en,
                },
            )
        })
        .collect()
}
