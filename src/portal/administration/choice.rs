//! What can be done to a user, and what it is called.

use crate::domain::Language;
use crate::stores::Member;

/// What can be done to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Permit,
    Reissue,
    Revoke,
    Lift,
    Stop,
    Mail,
    Add,
}

impl Choice {
    const ALL: [Self; 7] =
        [Self::Permit, Self::Reissue, Self::Revoke, Self::Lift, Self::Stop, Self::Mail, Self::Add];

    /// What makes sense for a user now.
    pub(super) fn of(member: &Member, issues: bool) -> Vec<Self> {
        let lives = member.user.credential_until.is_some();
        let had = member.credential.is_some();
        let is_suspended = !member.user.suspensions.is_empty();
        let makes_sense = |choice: &Self| match choice {
            Self::Permit => issues && !lives,
            Self::Reissue => issues && lives,
            Self::Revoke => issues && (lives || member.permit.is_some()) && (had || member.permit.is_some()),
            Self::Lift => is_suspended,
            Self::Stop => !is_suspended,
            Self::Mail => true,
            Self::Add => false,
        };
        Self::ALL.into_iter().filter(makes_sense).collect()
    }

    pub(super) fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.code() == code)
    }

    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Reissue => "reissue",
            Self::Revoke => "revoke",
            Self::Lift => "lift",
            Self::Stop => "stop",
            Self::Mail => "mail",
            Self::Add => "add",
        }
    }

    pub(super) fn is_add(self) -> bool {
        self == Self::Add
    }

    pub(super) const fn wants_mail(self) -> bool {
        matches!(self, Self::Mail | Self::Add)
    }

    pub(super) const fn name(self, language: Language) -> &'static str {
        let [ja, en] = match self {
            Self::Permit => ["取得の許可", "Permit a certificate"],
            Self::Reissue => ["再発行", "Reissue"],
            Self::Revoke => ["失効", "Revoke"],
            Self::Lift => ["利用中止の解除", "Lift the suspension"],
            Self::Stop => ["利用の停止", "Suspend"],
            Self::Mail => ["メールアドレスの変更", "Change the mail address"],
            Self::Add => ["利用者の追加", "Add a user"],
        };
        match language {
            Language::Japanese => ja,
            Language::English => en,
        }
    }

    /// What it does.
    pub(super) const fn what(self, language: Language) -> &'static str {
        let [ja, en] = match self {
            Self::Permit => {
                ["この利用者が電子証明書を取得できるようにします。", "This user may then get a certificate."]
            }
            Self::Reissue => [
                "いまの電子証明書をすぐに失効させ、新しい電子証明書を取得できるようにします。パソコンを替えたとき、電子証明書を失くしたときに行います。",
                "The present certificate is revoked at once, and the user may get another: for a new PC, or a lost certificate.",
            ],
            Self::Revoke => [
                "いまの電子証明書をすぐに失効させ、取得の許可も取り消します。",
                "The present certificate is revoked at once, and the permit taken back.",
            ],
            Self::Lift => [
                "利用中止を解除し、暗証番号の誤りの回数を元に戻します。",
                "The suspension ends, and wrong PINs are forgotten.",
            ],
            Self::Stop => [
                "この利用者の利用をすぐに停止します。ログイン中の場合も、操作できなくなります。",
                "This user is suspended at once, also where they are signed in.",
            ],
            Self::Mail => ["お知らせメールの送り先を変更します。", "Where mails to this user go."],
            Self::Add => {
                ["新しい利用者を追加し、仮の暗証番号を発行します。", "A new user, with a temporary PIN."]
            }
        };
        match language {
            Language::Japanese => ja,
            Language::English => en,
        }
    }

    /// What was done, and what comes next.
    pub(super) const fn done(self, language: Language) -> &'static str {
        let [ja, en] = match self {
            Self::Permit => [
                "電子証明書の取得を許可しました。利用者に、ログイン画面の「電子証明書取得」から取得するようお伝えください。",
                "The certificate is permitted. Tell the user to get it from the sign-in page.",
            ],
            Self::Reissue => [
                "いまの電子証明書を失効させ、新しい取得を許可しました。利用者に、ログイン画面の「電子証明書取得」から取得するようお伝えください。",
                "The certificate is revoked, and another one permitted. Tell the user to get it from the sign-in page.",
            ],
            Self::Revoke => [
                "電子証明書を失効させ、取得の許可を取り消しました。",
                "The certificate is revoked, and the permit taken back.",
            ],
            Self::Lift => ["利用中止を解除しました。", "The suspension is lifted."],
            Self::Stop => ["利用を停止しました。", "The user is suspended."],
            Self::Mail => ["メールアドレスを変更しました。", "The mail address is changed."],
            Self::Add => ["利用者を追加しました。", "The user is added."],
        };
        match language {
            Language::Japanese => ja,
            Language::English => en,
        }
    }
}
