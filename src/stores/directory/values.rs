//! Columns ↔ values of the domain. What a column holds that it can't is a store that can't be asked.

use jiff::Timestamp;

use super::{LastSignIn, Suspension};
use crate::domain::{
    AuthMethod, ContractId, Identity, Language, NoticeKind, RevocationCause, Role, SuspensionCause, UserId,
};
use crate::stores::Unavailable;

pub(super) fn impossible(column: &str) -> Unavailable {
    Unavailable::new("directory", format_args!("it holds a {column} that can't be"))
}

pub(super) fn time(seconds: i64) -> Result<Timestamp, Unavailable> {
    Timestamp::from_second(seconds).map_err(|_| impossible("time"))
}

pub(super) fn optional_time(seconds: Option<i64>) -> Result<Option<Timestamp>, Unavailable> {
    seconds.map(time).transpose()
}

pub(super) fn contract_id(text: &str) -> Result<ContractId, Unavailable> {
    ContractId::new(text).map_err(|_| impossible("contract ID"))
}

pub(super) fn identity(contract: &str, user: &str) -> Result<Identity, Unavailable> {
    let user = UserId::new(user).map_err(|_| impossible("user ID"))?;
    Ok(Identity { contract: contract_id(contract)?, user })
}

pub(super) fn role(code: &str) -> Result<Role, Unavailable> {
    Role::from_code(code).ok_or_else(|| impossible("role"))
}

pub(super) fn language(code: &str) -> Result<Language, Unavailable> {
    Language::from_code(code).ok_or_else(|| impossible("language"))
}

pub(super) fn cause(code: &str) -> Result<SuspensionCause, Unavailable> {
    SuspensionCause::from_code(code).ok_or_else(|| impossible("cause of a suspension"))
}

/// The cause of a revocation; what was revoked before causes were kept was taken back.
pub(super) fn revocation_cause(code: Option<&str>) -> Result<RevocationCause, Unavailable> {
    let Some(code) = code else { return Ok(RevocationCause::Withdrawn) };
    RevocationCause::from_code(code).ok_or_else(|| impossible("cause of a revocation"))
}

pub(super) fn notice_kind(code: &str) -> Result<NoticeKind, Unavailable> {
    NoticeKind::from_code(code).ok_or_else(|| impossible("kind of a notice"))
}

pub(super) fn last_sign_in(at: Option<i64>, method: Option<&str>) -> Result<Option<LastSignIn>, Unavailable> {
    let (Some(at), Some(method)) = (at, method) else { return Ok(None) };
    let method = AuthMethod::from_code(method).ok_or_else(|| impossible("way of signing in"))?;
    Ok(Some(LastSignIn { at: time(at)?, method }))
}

/// The suspension of a row of an outer join.
pub(super) fn suspension(code: Option<&str>, at: Option<i64>) -> Result<Option<Suspension>, Unavailable> {
    let (Some(code), Some(at)) = (code, at) else { return Ok(None) };
    Ok(Some(Suspension { cause: cause(code)?, at: time(at)? }))
}
