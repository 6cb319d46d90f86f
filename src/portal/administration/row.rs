//! A user as text, for the list and for their own page.

use jiff::Timestamp;

use crate::domain::{CredentialState, Language, Role};
use crate::portal::when;
use crate::stores::Member;

/// A user as text.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) role: &'static str,
    pub(super) mail: String,
    pub(super) credential: &'static str,
    pub(super) serial: String,
    pub(super) until: String,
    pub(super) permit: String,
    pub(super) last: String,
    pub(super) suspension: &'static str,
}

impl Row {
    pub(super) fn of(member: &Member, language: Language, now: Timestamp) -> Self {
        let t = |ja, en| match language {
            Language::Japanese => ja,
            Language::English => en,
        };
        let none = t("なし", "none");
        let permitted = member.permit.as_ref().filter(|permit| permit.lapses_at >= now);
        let state = member.credential.as_ref().map(|record| record.state);
        let credential = match (state, permitted) {
            (Some(CredentialState::Live), _) => t("有効", "live"),
            (Some(CredentialState::Issued), Some(_)) => t("取得中", "being acquired"),
            (_, Some(_)) => t("許可済・未取得", "permitted, not acquired"),
            (Some(CredentialState::Issued), None) => t("未取得", "not acquired"),
            (Some(CredentialState::Retired), _) => t("更新済", "retired"),
            (Some(CredentialState::Revoked), _) => t("失効", "revoked"),
            (Some(CredentialState::Expired), _) => t("期限切れ", "expired"),
            (None, None) => none,
        };
        let moment = |at| when::moment(at, language);
        Self {
            id: member.user.identity.user.to_string(),
            role: match member.user.role {
                Role::Administrator => t("管理者", "Administrator"),
                Role::User => t("利用者", "User"),
            },
            mail: member.user.mail.clone().unwrap_or_else(|| none.to_owned()),
            credential,
            serial: member
                .credential
                .as_ref()
                .map(|record| record.credential.serial.clone())
                .unwrap_or_default(),
            until: member
                .credential
                .as_ref()
                .map_or_else(|| "－".to_owned(), |record| moment(record.credential.not_after)),
            permit: match &member.permit {
                None => none.to_owned(),
                Some(permit) if permit.lapses_at < now => {
                    format!("{}{}", moment(permit.lapses_at), t("に失効しました", " (lapsed)"))
                }
                Some(permit) => format!("{}{}", moment(permit.lapses_at), t("まで", " (lapses)")),
            },
            last: member.user.last_sign_in.map_or_else(|| "－".to_owned(), |last| moment(last.at)),
            suspension: if member.user.suspensions.is_empty() {
                t("利用中", "in use")
            } else {
                t("利用中止", "suspended")
            },
        }
    }
}
