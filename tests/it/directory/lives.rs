//! The life of a credential, and the outbox that goes with it.

use std::time::Duration;

use jiff::Timestamp;
use sekisho::config::Registration;
use sekisho::domain::{CredentialState, NoticeKind, RevocationCause, Role};
use sekisho::stores::{
    AcquireOutcome, Credential, Directory, IssueOutcome, NewCredential, NewUser, Notice, NoticeQuery,
    NoticeState, Page, PermitOutcome, PublishedList, RegisteredCredential, Registry, RevokeOutcome, Right,
};

use super::{Place, at, contract, identity, new_user, with_users};

const DAY: i64 = 86_400;
const ISSUER: &str = "issuer";

fn fingerprint(nth: u32) -> String {
    format!("{nth:064x}")
}

/// The nth certificate, valid for 100 days from `now`.
fn signed(nth: u32, right: Right, acquired: bool, now: i64) -> NewCredential {
    NewCredential {
        credential: Credential {
            identity: identity("ito"),
            fingerprint: fingerprint(nth),
            serial: format!("{nth:02x}"),
            not_before: at(now),
            not_after: at(now + 100 * DAY),
        },
        issuer: ISSUER.to_owned(),
        right,
        acquired: acquired.then(|| "browser".to_owned()),
    }
}

async fn states(directory: &Directory, now: i64) -> Vec<(u32, CredentialState)> {
    let history = directory.credential_history(&identity("ito"), at(now)).await.unwrap();
    let nth = |text: &str| u32::from_str_radix(&text[56..], 16).unwrap();
    history.iter().map(|record| (nth(&record.credential.fingerprint), record.state)).collect()
}

async fn permit(directory: &Directory, now: i64) -> PermitOutcome {
    directory.permit(&identity("ito"), "sato", at(now + 80 * DAY), at(now)).await.unwrap()
}

pub(super) async fn a_permit_is_used_up_by_one_credential(place: &Place) {
    let directory = with_users(place, &["ito"]).await;
    let issue = async |nth, right, acquired, now| {
        directory.issue(&signed(nth, right, acquired, now), at(now)).await.unwrap()
    };
    assert_eq!(issue(1, Right::Permit, false, 1).await, IssueOutcome::NoRight);
    assert_eq!(permit(&directory, 1).await, PermitOutcome::Permitted);
    assert_eq!(issue(1, Right::Permit, false, 2).await, IssueOutcome::Issued);
    // Nobody has it yet: the PIN alone still lets its user in, and so to the end of the acquisition.
    let candidate = directory.candidate(&identity("ito"), at(2)).await.unwrap().unwrap();
    assert!(!candidate.has_live_credential);
    assert_eq!(issue(2, Right::Permit, false, 3).await, IssueOutcome::Issued);
    let acquire = async |nth, now| directory.acquire(&fingerprint(nth), at(now)).await.unwrap();
    assert_eq!(acquire(1, 4).await, AcquireOutcome::Gone);
    assert_eq!(acquire(2, 4).await, AcquireOutcome::Acquired(identity("ito")));
    assert_eq!(acquire(2, 5).await, AcquireOutcome::AlreadyLive(identity("ito")));
    assert_eq!(acquire(9, 5).await, AcquireOutcome::Gone);
    assert_eq!(directory.permit_of(&identity("ito")).await, Ok(None));
    assert_eq!(permit(&directory, 6).await, PermitOutcome::HoldsCredential);
    assert_eq!(issue(3, Right::Permit, true, 6).await, IssueOutcome::NoRight);
    let expected = [(2, CredentialState::Live), (1, CredentialState::Revoked)];
    assert_eq!(states(&directory, 7).await, expected);
    assert!(directory.candidate(&identity("ito"), at(7)).await.unwrap().unwrap().has_live_credential);
    assert_eq!(states(&directory, 7 + 100 * DAY).await[0], (2, CredentialState::Expired));
}

pub(super) async fn a_permit_lapses_and_a_suspension_stops_everything(place: &Place) {
    let directory = with_users(place, &["ito"]).await;
    permit(&directory, 0).await;
    let late = 80 * DAY + 1;
    let issue = async |nth, now| directory.issue(&signed(nth, Right::Permit, false, now), at(now)).await;
    assert_eq!(issue(1, late).await, Ok(IssueOutcome::NoRight));
    permit(&directory, late).await;
    assert_eq!(issue(1, late).await, Ok(IssueOutcome::Issued));
    let cause = sekisho::domain::SuspensionCause::WrongPins;
    directory.suspend_user(&identity("ito"), cause, at(late)).await.unwrap();
    assert_eq!(issue(2, late).await, Ok(IssueOutcome::Suspended));
    assert_eq!(directory.acquire(&fingerprint(1), at(late)).await, Ok(AcquireOutcome::Suspended));
    directory.lift_user(&identity("ito")).await.unwrap();
    directory.suspend_contract(&contract("A"), Some(at(late))).await.unwrap();
    assert_eq!(issue(2, late).await, Ok(IssueOutcome::Suspended));
}

pub(super) async fn a_renewal_retires_the_old_one_at_its_first_use(place: &Place) {
    let directory = with_users(place, &["ito"]).await;
    permit(&directory, 0).await;
    directory.issue(&signed(1, Right::Permit, true, 0), at(0)).await.unwrap();
    assert_eq!(directory.first_use(&fingerprint(1), at(1)).await, Ok(true));
    assert_eq!(directory.first_use(&fingerprint(1), at(2)).await, Ok(false));
    let renewal = || Right::Renewal { of: fingerprint(1) };
    let now = 80 * DAY;
    for nth in [2, 3] {
        let issued = directory.issue(&signed(nth, renewal(), true, now), at(now)).await;
        assert_eq!(issued, Ok(IssueOutcome::Issued));
    }
    let both = [(3, CredentialState::Live), (2, CredentialState::Revoked), (1, CredentialState::Live)];
    assert_eq!(states(&directory, now).await, both);
    assert_eq!(directory.first_use(&fingerprint(3), at(now + 1)).await, Ok(true));
    assert_eq!(states(&directory, now + 1).await[2], (1, CredentialState::Retired));
    let again = directory.issue(&signed(4, renewal(), true, now + 2), at(now + 2)).await;
    assert_eq!(again, Ok(IssueOutcome::NoRight));
}

pub(super) async fn a_file_can_be_given_up_for_another_until_it_is_used(place: &Place) {
    let directory = with_users(place, &["ito"]).await;
    permit(&directory, 0).await;
    directory.issue(&signed(1, Right::Permit, true, 100), at(100)).await.unwrap();
    let instead = async |nth, of, not_before| {
        let right = Right::Instead { of: fingerprint(of), not_before: at(not_before) };
        directory.issue(&signed(nth, right, true, 200), at(200)).await.unwrap()
    };
    assert_eq!(instead(2, 1, 101).await, IssueOutcome::NoRight);
    assert_eq!(instead(2, 1, 100).await, IssueOutcome::Issued);
    assert_eq!(instead(3, 1, 0).await, IssueOutcome::NoRight);
    directory.first_use(&fingerprint(2), at(201)).await.unwrap();
    assert_eq!(instead(3, 2, 0).await, IssueOutcome::NoRight);
    let expected = [(2, CredentialState::Live), (1, CredentialState::Revoked)];
    assert_eq!(states(&directory, 202).await, expected);
}

pub(super) async fn a_reissue_revokes_at_once_and_permits_another(place: &Place) {
    let directory = with_users(place, &["ito"]).await;
    permit(&directory, 0).await;
    directory.issue(&signed(1, Right::Permit, true, 0), at(0)).await.unwrap();
    let registry = Registry::new(false, Registration::Required);
    let of = |nth: u32| {
        registry.credential(&{
            let mut bytes = [0; 32];
            bytes[31] = u8::try_from(nth).unwrap();
            bytes
        })
    };
    directory.refresh(&registry, at(1)).await.unwrap();
    assert_eq!(of(1), RegisteredCredential::Live { is_used: false });
    assert_eq!(of(2), RegisteredCredential::Unknown);
    let revoke = async |cause, until| directory.revoke(&identity("ito"), cause, "sato", until, at(2)).await;
    let RevokeOutcome::Revoked(revoked) = revoke(RevocationCause::Reissued, Some(at(DAY))).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(revoked.iter().map(|it| it.serial.as_str()).collect::<Vec<_>>(), ["01"]);
    directory.refresh(&registry, at(3)).await.unwrap();
    assert_eq!(of(1), RegisteredCredential::Revoked);
    assert!(directory.permit_of(&identity("ito")).await.unwrap().is_some());
    // The list of the issuer has it, with its reason; a later one takes its place.
    let (change, entries) = directory.revoked_of(ISSUER, at(3)).await.unwrap();
    assert_eq!(directory.last_revocation(ISSUER).await, Ok(change));
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].serial.as_str(), entries[0].cause), ("01", RevocationCause::Reissued));
    let list = PublishedList { number: 1, change, this_update: at(3), next_update: at(DAY), der: vec![1, 2] };
    assert_eq!(directory.publish_list(ISSUER, &list).await, Ok(true));
    assert_eq!(directory.publish_list(ISSUER, &list).await, Ok(false));
    assert_eq!(directory.newest_list(ISSUER).await, Ok(Some(list)));
    let revoked = revoke(RevocationCause::Withdrawn, None).await.unwrap();
    assert_eq!(revoked, RevokeOutcome::Revoked(Vec::new()));
    assert_eq!(directory.permit_of(&identity("ito")).await, Ok(None));
}

/// Whatever is done in whatever order: one live credential at most, but for a renewal's second one that nobody has used;
/// never two on their way; and whoever has a permit can finish.
pub(super) async fn no_order_of_steps_leaves_two_live_credentials(place: &Place) {
    let directory = with_users(place, &["ito"]).await;
    let mut random = 7_u32;
    let mut nth = 0;
    for step in 0..300 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (choice, now) = ((random >> 16) % 8, step * 3600);
        let live: Vec<u32> = states(&directory, now)
            .await
            .into_iter()
            .filter(|(_, state)| *state == CredentialState::Live)
            .map(|(nth, _)| nth)
            .collect();
        let of = fingerprint(live.last().copied().unwrap_or(nth));
        let right = match choice {
            0 => Some((Right::Permit, false)),
            1 => Some((Right::Permit, true)),
            2 => Some((Right::Renewal { of }, random & 1 == 0)),
            3 => Some((Right::Instead { of, not_before: at(now - 600) }, true)),
            _ => None,
        };
        if let Some((right, acquired)) = right {
            nth += 1;
            directory.issue(&signed(nth, right, acquired, now), at(now)).await.unwrap();
        }
        match choice {
            4 => drop(permit(&directory, now).await),
            5 => drop(directory.acquire(&fingerprint(nth), at(now)).await.unwrap()),
            6 => drop(directory.first_use(&fingerprint(nth), at(now)).await.unwrap()),
            7 if random & 3 == 0 => {
                let until = (random & 4 == 0).then(|| at(now + DAY));
                let cause = RevocationCause::Withdrawn;
                directory.revoke(&identity("ito"), cause, "sato", until, at(now)).await.unwrap();
            }
            _ => {}
        }
        let history = directory.credential_history(&identity("ito"), at(now)).await.unwrap();
        let of = |state| history.iter().filter(move |record| record.state == state).collect::<Vec<_>>();
        let (live, issued) = (of(CredentialState::Live), of(CredentialState::Issued));
        assert!(issued.len() <= 1, "step {step}: {history:#?}");
        let renews = live.len() == 2 && live[0].renews.is_some() && live[0].used_at.is_none();
        assert!(live.len() <= 1 || renews, "step {step}: {history:#?}");
    }
    assert!(nth > 50);
}

pub(super) async fn of_two_gateways_at_once_one_issues(place: &Place) {
    let directory = with_users(place, &["ito"]).await;
    permit(&directory, 0).await;
    let tasks: Vec<_> = (1..=8)
        .map(|nth| {
            let directory = directory.clone();
            tokio::spawn(async move {
                directory.issue(&signed(nth, Right::Permit, true, 1), at(1)).await.unwrap()
            })
        })
        .collect();
    let mut issued = 0;
    for task in tasks {
        issued += u32::from(task.await.unwrap() == IssueOutcome::Issued);
    }
    assert_eq!(issued, 1);
    assert_eq!(states(&directory, 2).await.len(), 1);
}

pub(super) async fn members_are_searched_and_paged(place: &Place) {
    let directory = with_users(place, &[]).await;
    let users: Vec<_> = (0..120)
        .map(|number| NewUser {
            mail: Some(format!("Mail{number}@mihon-shoji.example")),
            ..new_user(&format!("u{number:03}"))
        })
        .collect();
    directory.import(&[], &users, at(0)).await.unwrap();
    let members = async |search: &str, offset| {
        let page = Page { offset, limit: 50 };
        directory.members(&contract("A"), search, page, at(1)).await.unwrap()
    };
    let ids = |members: &sekisho::stores::Members| {
        members.members.iter().map(|member| member.user.identity.user.to_string()).collect::<Vec<_>>()
    };
    let last = members("", 100).await;
    assert_eq!((last.total, ids(&last).len(), ids(&last)[0].as_str()), (120, 20, "u100"));
    assert_eq!(ids(&members("U01", 0).await), (10..20).map(|n| format!("u{n:03}")).collect::<Vec<_>>());
    assert_eq!(ids(&members("mail7@", 0).await), ["u007"]);
    for nobody in ["%", "_", "!", "zz"] {
        assert_eq!(members(nobody, 0).await.total, 0, "{nobody}");
    }
}

/// A directory with an administrator who has a mail address, and ito with a live credential.
async fn with_credential(place: &Place) -> Directory {
    let directory = with_users(place, &["ito"]).await;
    let mail = Some("sato@mihon-shoji.example".to_owned());
    let sato = NewUser { role: Role::Administrator, mail, ..new_user("sato") };
    directory.add_user(&sato, at(0)).await.unwrap();
    permit(&directory, 0).await;
    directory.issue(&signed(1, Right::Permit, true, 0), at(0)).await.unwrap();
    directory
}

async fn all(directory: &Directory) -> Vec<(NoticeKind, NoticeState)> {
    let query = NoticeQuery { limit: 100, ..NoticeQuery::default() };
    let mut notices = directory.notices(&query).await.unwrap();
    notices.reverse();
    notices.iter().map(|notice| (notice.kind, notice.state)).collect()
}

async fn remind(directory: &Directory, now: i64) -> u64 {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    directory.remind(days(30), days(10), at(now)).await.unwrap()
}

pub(super) async fn reminders_are_written_once_and_none_for_what_is_renewed(place: &Place) {
    let directory = with_credential(place).await;
    for (day, written) in [(69, 0), (70, 1), (71, 0), (89, 0), (90, 1), (99, 0)] {
        assert_eq!(remind(&directory, day * DAY).await, written, "day {day}");
    }
    assert_eq!(remind(&directory, 101 * DAY).await, 0);
    let kinds: Vec<_> = all(&directory).await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [NoticeKind::Acquired, NoticeKind::ExpirySoon, NoticeKind::ExpiryVerySoon]);
}

pub(super) async fn after_an_outage_only_the_shorter_reminder_goes_out(place: &Place) {
    let directory = with_credential(place).await;
    assert_eq!(remind(&directory, 95 * DAY).await, 1);
    assert_eq!(remind(&directory, 96 * DAY).await, 0);
    assert_eq!(all(&directory).await[1].0, NoticeKind::ExpiryVerySoon);
}

pub(super) async fn a_reminder_that_lost_its_reason_is_not_sent(place: &Place) {
    let directory = with_credential(place).await;
    remind(&directory, 75 * DAY).await;
    let renewal = Right::Renewal { of: fingerprint(1) };
    directory.issue(&signed(2, renewal, true, 75 * DAY), at(75 * DAY)).await.unwrap();
    assert_eq!(remind(&directory, 92 * DAY).await, 0);
    let now = at(75 * DAY + 1);
    let mut sent = Vec::new();
    while let Some(notice) = claim(&directory, now).await {
        if directory.begin_sending(&notice, now).await.unwrap() {
            sent.push(notice.kind);
        }
    }
    assert_eq!(sent, [NoticeKind::Acquired, NoticeKind::Acquired]);
    assert_eq!(all(&directory).await[1], (NoticeKind::ExpirySoon, NoticeState::Dropped));
}

async fn claim(directory: &Directory, now: Timestamp) -> Option<Notice> {
    let until = now.checked_add(jiff::SignedDuration::from_mins(10)).unwrap();
    directory.claim_notice(now, until).await.unwrap()
}

pub(super) async fn a_notice_is_claimed_by_one_and_uncertain_if_its_sender_dies(place: &Place) {
    let directory = with_credential(place).await;
    let now = at(1);
    let notice = claim(&directory, now).await.unwrap();
    assert_eq!((notice.kind, notice.mail.as_str()), (NoticeKind::Acquired, "sato@mihon-shoji.example"));
    assert_eq!(claim(&directory, now).await, None);
    // It died before it began to send: somebody else does.
    let later = at(700);
    let taken = claim(&directory, later).await.unwrap();
    assert!(!directory.begin_sending(&notice, later).await.unwrap(), "the claim is another's");
    assert!(directory.begin_sending(&taken, later).await.unwrap());
    // It died while it was sending: nobody does.
    assert_eq!(claim(&directory, at(1400)).await, None);
    assert_eq!(all(&directory).await, [(NoticeKind::Acquired, NoticeState::Uncertain)]);
    let counts = directory.count_notices().await.unwrap();
    assert_eq!((counts.waiting, counts.uncertain, counts.oldest), (0, 1, None));
    assert!(directory.settle_notice(taken.number, true, at(1500)).await.unwrap());
    let again = claim(&directory, at(1500)).await.unwrap();
    assert!(directory.begin_sending(&again, at(1500)).await.unwrap());
    directory.notice_sent(&again, at(1501)).await.unwrap();
    assert_eq!(all(&directory).await, [(NoticeKind::Acquired, NoticeState::Sent)]);
    assert!(!directory.settle_notice(taken.number, true, at(1502)).await.unwrap());
}

pub(super) async fn a_notice_that_failed_is_due_again_or_dropped(place: &Place) {
    let directory = with_credential(place).await;
    let notice = claim(&directory, at(1)).await.unwrap();
    directory.notice_failed(&notice, "busy", Some(at(60))).await.unwrap();
    assert_eq!(claim(&directory, at(59)).await, None);
    let notice = claim(&directory, at(60)).await.unwrap();
    assert_eq!((notice.attempts, notice.problem.as_deref()), (2, Some("busy")));
    directory.notice_failed(&notice, "no such mailbox", None).await.unwrap();
    assert_eq!(claim(&directory, at(9999)).await, None);
    assert_eq!(all(&directory).await, [(NoticeKind::Acquired, NoticeState::Dropped)]);
    assert!(directory.settle_notice(notice.number, false, at(1)).await.unwrap());
}

pub(super) async fn a_changed_address_is_told_to_the_old_and_to_the_new(place: &Place) {
    let directory = with_users(place, &["ito"]).await;
    for mail in [Some("old@a.example"), Some("new@a.example"), None] {
        assert_eq!(directory.set_mail(&identity("ito"), mail, at(1)).await, Ok(true));
    }
    assert_eq!(directory.set_mail(&identity("nobody"), None, at(1)).await, Ok(false));
    let query = NoticeQuery { limit: 100, ..NoticeQuery::default() };
    let mut mails: Vec<_> =
        directory.notices(&query).await.unwrap().into_iter().map(|notice| notice.mail).collect();
    mails.reverse();
    assert_eq!(mails, ["old@a.example", "old@a.example", "new@a.example", "new@a.example"]);
}
