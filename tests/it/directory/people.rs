//! Contracts, users, their suspensions, credentials and PINs.

use jiff::Timestamp;
use sekisho::domain::{AuthMethod, Identity, Language, Role, SuspensionCause};
use sekisho::stores::{AddError, Attempts, Contract, Credential, LastSignIn, NewUser, Suspension, User};

use super::{Place, TIMEOUT, at, contract, identity, new_contract, new_user, with_users};

const ATTEMPTS: Attempts = Attempts { limit: 3, quiet: TIMEOUT };

fn credential(identity: &Identity, fingerprint: &str, not_after: Timestamp) -> Credential {
    let (fingerprint, serial) = (fingerprint.to_owned(), "0a".to_owned());
    Credential { identity: identity.clone(), fingerprint, serial, not_before: at(0), not_after }
}

pub(super) async fn a_contract_is_added_once(place: &Place) {
    let directory = place.open().await;
    for id in ["b", "B", "a1", "10"] {
        directory.add_contract(&new_contract(id), at(1)).await.unwrap();
    }
    assert_eq!(directory.add_contract(&new_contract("B"), at(2)).await, Err(AddError::Exists));
    let ids: Vec<_> = directory.contracts().await.unwrap().into_iter().map(|it| it.id.to_string()).collect();
    assert_eq!(ids, ["10", "B", "a1", "b"]);
    let expected =
        Contract {
            id: contract("B"), name: "株式会社B".to_owned(), created_at: at(1), suspended_at: None
        };
    assert_eq!(directory.contract(&contract("B")).await, Ok(Some(expected)));
    assert_eq!(directory.contract(&contract("C")).await, Ok(None));
}

pub(super) async fn a_suspended_contract_stays_so_since_then(place: &Place) {
    let directory = with_users(place, &[]).await;
    let since = async || directory.contract(&contract("A")).await.unwrap().unwrap().suspended_at;
    for (suspend, expected) in [(at(1), at(1)), (at(2), at(1))] {
        assert_eq!(directory.suspend_contract(&contract("A"), Some(suspend)).await, Ok(true));
        assert_eq!(since().await, Some(expected));
    }
    assert_eq!(directory.suspend_contract(&contract("A"), None).await, Ok(true));
    assert_eq!(since().await, None);
    assert_eq!(directory.suspend_contract(&contract("C"), None).await, Ok(false));
}

pub(super) async fn a_user_belongs_to_a_contract_and_is_added_once(place: &Place) {
    let directory = with_users(place, &["tanaka"]).await;
    let sato = NewUser {
        role: Role::Administrator,
        mail: Some("sato@mihon.example".to_owned()),
        language: Language::English,
        pin: Some(("hash".to_owned(), at(100))),
        ..new_user("sato")
    };
    assert_eq!(directory.add_user(&sato, at(1)).await, Ok(()));
    assert_eq!(directory.add_user(&sato, at(2)).await, Err(AddError::Exists));
    let stranger = Identity { contract: contract("C"), ..identity("sato") };
    let stranger = NewUser { identity: stranger, ..new_user("sato") };
    assert_eq!(directory.add_user(&stranger, at(1)).await, Err(AddError::NoContract));
    let expected = User {
        identity: identity("sato"),
        role: Role::Administrator,
        mail: Some("sato@mihon.example".to_owned()),
        language: Language::English,
        has_pin: true,
        pin_temporary_until: Some(at(100)),
        last_sign_in: None,
        suspensions: Vec::new(),
        credential_until: None,
        created_at: at(1),
    };
    assert_eq!(directory.user(&identity("sato"), at(3)).await, Ok(Some(expected.clone())));
    assert_eq!(directory.user(&identity("suzuki"), at(3)).await, Ok(None));
    let users = directory.users(&contract("A"), at(3)).await.unwrap();
    assert_eq!(users.len(), 2);
    assert_eq!(users[0], expected);
    let tanaka = &users[1];
    assert_eq!(
        (tanaka.identity.user.as_str(), tanaka.has_pin, tanaka.mail.as_deref()),
        ("tanaka", false, None)
    );
    assert_eq!(directory.users(&contract("C"), at(3)).await, Ok(Vec::new()));
}

pub(super) async fn an_import_is_all_or_nothing(place: &Place) {
    let directory = with_users(place, &["tanaka"]).await;
    let contracts = [new_contract("A"), new_contract("B")];
    let users = [new_user("sato"), new_user("tanaka"), new_user("suzuki")];
    assert_eq!(directory.import(&contracts, &users, at(1)).await, Err((Some(1), AddError::Exists)));
    assert_eq!(directory.users(&contract("A"), at(1)).await.unwrap().len(), 1);
    assert_eq!(directory.contract(&contract("B")).await, Ok(None));
    let mut stranger = new_user("sato");
    stranger.identity.contract = contract("C");
    assert_eq!(directory.import(&contracts, &[stranger], at(1)).await, Err((Some(0), AddError::NoContract)));
    directory.import(&contracts, &[new_user("sato"), new_user("suzuki")], at(1)).await.unwrap();
    assert_eq!(directory.users(&contract("A"), at(1)).await.unwrap().len(), 3);
    // One that was there stays as it was.
    assert_eq!(directory.contract(&contract("A")).await.unwrap().unwrap().created_at, at(0));
}

pub(super) async fn a_credential_belongs_to_a_user_and_is_registered_once(place: &Place) {
    let directory = with_users(place, &["tanaka", "mori"]).await;
    let tanaka = identity("tanaka");
    let (old, new) = (credential(&tanaka, "aa", at(10)), credential(&tanaka, "bb", at(20)));
    assert_eq!(directory.add_credential(&old, None, at(1)).await, Ok(()));
    assert_eq!(directory.add_credential(&new, Some("key"), at(1)).await, Ok(()));
    // The other one the bank has issued without us, as it has this one: no list of that key is ours.
    let banks = credential(&identity("mori"), "ee", at(20));
    assert_eq!(directory.add_credential(&banks, Some("the bank's key"), at(1)).await, Ok(()));
    let issued = directory.issued("key", at(1)).await.unwrap();
    assert_eq!(issued.iter().map(|record| &record.credential).collect::<Vec<_>>(), [&new]);
    assert_eq!(directory.add_credential(&old, None, at(1)).await, Err(AddError::Exists));
    let nobody = credential(&identity("suzuki"), "cc", at(10));
    assert_eq!(directory.add_credential(&nobody, None, at(1)).await, Err(AddError::NoUser));
    let stranger = credential(&Identity { contract: contract("C"), ..tanaka.clone() }, "dd", at(10));
    assert_eq!(directory.add_credential(&stranger, None, at(1)).await, Err(AddError::NoContract));

    assert_eq!(directory.credentials(&tanaka, at(10)).await, Ok(vec![new.clone(), old]));
    assert_eq!(directory.credentials(&tanaka, at(11)).await, Ok(vec![new]));
    assert_eq!(directory.credentials(&tanaka, at(21)).await, Ok(Vec::new()));
    let until = async |now| directory.user(&tanaka, now).await.unwrap().unwrap().credential_until;
    assert_eq!(until(at(20)).await, Some(at(20)));
    assert_eq!(until(at(21)).await, None);
}

pub(super) async fn a_suspension_is_written_once_with_its_notice(place: &Place) {
    let directory = with_users(place, &["tanaka"]).await;
    let mails = ["sato@mihon-shoji.example", "mori@mihon-shoji.example", "sato@mihon-shoji.example"];
    for (user, mail) in ["sato", "mori", "kato"].into_iter().zip(mails) {
        let mail = Some(mail.to_owned());
        let administrator = NewUser { role: Role::Administrator, mail, ..new_user(user) };
        directory.add_user(&administrator, at(0)).await.unwrap();
    }
    let suspend = async |user: &str, cause, now| directory.suspend_user(&identity(user), cause, now).await;
    assert_eq!(suspend("tanaka", SuspensionCause::WrongPins, at(5)).await, Ok(true));
    assert_eq!(suspend("tanaka", SuspensionCause::WrongPins, at(6)).await, Ok(false));
    assert_eq!(suspend("suzuki", SuspensionCause::WrongPins, at(6)).await, Ok(false));
    assert_eq!(suspend("tanaka", SuspensionCause::Staff, at(7)).await, Ok(true));
    assert_eq!(
        directory.user(&identity("tanaka"), at(8)).await.unwrap().unwrap().suspensions,
        [
            Suspension { cause: SuspensionCause::WrongPins, at: at(5) },
            Suspension { cause: SuspensionCause::Staff, at: at(7) }
        ]
    );
    let notices = "SELECT created_at FROM notices \
                   WHERE kind = 'suspension' AND contract_id = 'A' AND user_id = 'tanaka' AND sent_at IS NULL \
                   ORDER BY created_at";
    // One for each address.
    let (first, second) = (at(5).as_second(), at(7).as_second());
    assert_eq!(place.sql(notices).await, [first, first, second, second]);
}

pub(super) async fn lifting_ends_every_suspension_and_forgets_attempts(place: &Place) {
    let directory = with_users(place, &["tanaka"]).await;
    let tanaka = identity("tanaka");
    let causes = [SuspensionCause::WrongPins, SuspensionCause::WrongPinsWithCertificate];
    for cause in causes {
        directory.suspend_user(&tanaka, cause, at(1)).await.unwrap();
    }
    for proven in [false, true] {
        assert_eq!(directory.count_attempt(&tanaka, proven, ATTEMPTS, at(1)).await, Ok(Some(1)));
    }
    let lifted = causes.map(|cause| Suspension { cause, at: at(1) }).to_vec();
    assert_eq!(directory.lift_user(&tanaka).await, Ok(Some(lifted)));
    assert_eq!(directory.lift_user(&tanaka).await, Ok(Some(Vec::new())));
    assert_eq!(directory.lift_user(&identity("suzuki")).await, Ok(None));
    for cause in [SuspensionCause::WrongPins, SuspensionCause::Staff] {
        directory.suspend_user(&tanaka, cause, at(1)).await.unwrap();
    }
    let lifted = vec![Suspension { cause: SuspensionCause::WrongPins, at: at(1) }];
    assert_eq!(directory.lift_by_administrator(&tanaka).await, Ok(Some(lifted)));
    let staff = vec![Suspension { cause: SuspensionCause::Staff, at: at(1) }];
    assert_eq!(directory.user(&tanaka, at(2)).await.unwrap().unwrap().suspensions, staff);
    assert_eq!(directory.lift_user(&tanaka).await, Ok(Some(staff)));
    assert_eq!(directory.user(&tanaka, at(2)).await.unwrap().unwrap().suspensions, []);
    for proven in [false, true] {
        assert_eq!(directory.count_attempt(&tanaka, proven, ATTEMPTS, at(1)).await, Ok(Some(1)));
    }
}

pub(super) async fn a_candidate_is_all_that_a_sign_in_needs(place: &Place) {
    let directory = with_users(place, &["suzuki"]).await;
    let tanaka = identity("tanaka");
    let user = NewUser { pin: Some(("hash".to_owned(), at(100))), ..new_user("tanaka") };
    directory.add_user(&user, at(0)).await.unwrap();
    assert!(directory.candidate(&identity("nobody"), at(1)).await.unwrap().is_none());

    let candidate = directory.candidate(&tanaka, at(1)).await.unwrap().unwrap();
    assert_eq!((candidate.role, candidate.language), (Role::User, Language::Japanese));
    assert_eq!((candidate.pin_hash.as_deref(), candidate.pin_temporary_until), (Some("hash"), Some(at(100))));
    assert!(!candidate.contract_suspended && candidate.suspensions.is_empty());
    assert!(!candidate.has_live_credential && candidate.last_sign_in.is_none());

    let signed_in = LastSignIn { at: at(2), method: AuthMethod::CertificateAndPin };
    directory.record_sign_in(&tanaka, Some(true), signed_in, None).await.unwrap();
    directory.suspend_contract(&contract("A"), Some(at(3))).await.unwrap();
    for (cause, when) in [(SuspensionCause::WrongPins, at(4)), (SuspensionCause::Staff, at(5))] {
        directory.suspend_user(&tanaka, cause, when).await.unwrap();
    }
    for (fingerprint, until) in [("aa", at(10)), ("bb", at(20))] {
        directory.add_credential(&credential(&tanaka, fingerprint, until), None, at(6)).await.unwrap();
    }
    let candidate = directory.candidate(&tanaka, at(20)).await.unwrap().unwrap();
    assert!(candidate.contract_suspended && candidate.has_live_credential);
    assert_eq!(
        candidate.suspensions,
        [
            Suspension { cause: SuspensionCause::WrongPins, at: at(4) },
            Suspension { cause: SuspensionCause::Staff, at: at(5) }
        ]
    );
    assert_eq!(candidate.last_sign_in, Some(signed_in));
    assert!(!directory.candidate(&tanaka, at(21)).await.unwrap().unwrap().has_live_credential);
    assert!(!directory.candidate(&identity("suzuki"), at(20)).await.unwrap().unwrap().has_live_credential);
}

pub(super) async fn an_id_is_its_bytes(place: &Place) {
    let directory = with_users(place, &["tanaka", "Tanaka"]).await;
    directory.suspend_user(&identity("Tanaka"), SuspensionCause::Staff, at(1)).await.unwrap();
    assert!(directory.candidate(&identity("tanaka"), at(1)).await.unwrap().unwrap().suspensions.is_empty());
    assert!(directory.candidate(&identity("TANAKA"), at(1)).await.unwrap().is_none());
    for user in ["tanaka", "Tanaka", "TANAKA"] {
        assert_eq!(directory.count_attempt(&identity(user), false, ATTEMPTS, at(1)).await, Ok(Some(1)));
    }
}

pub(super) async fn a_sign_in_is_remembered_and_replaces_only_the_hash_that_it_saw(place: &Place) {
    let directory = with_users(place, &["tanaka"]).await;
    let tanaka = identity("tanaka");
    directory.set_pin(&tanaka, "old", None, at(0)).await.unwrap();
    for proven in [false, true] {
        directory.count_attempt(&tanaka, proven, ATTEMPTS, at(1)).await.unwrap();
    }
    let hash = async || directory.candidate(&tanaka, at(9)).await.unwrap().unwrap().pin_hash;
    let sign_in = |second| LastSignIn { at: at(second), method: AuthMethod::Pin };
    directory.record_sign_in(&tanaka, Some(false), sign_in(2), Some(("another", "new"))).await.unwrap();
    assert_eq!(hash().await.as_deref(), Some("old"));
    directory.record_sign_in(&tanaka, Some(false), sign_in(3), Some(("old", "new"))).await.unwrap();
    assert_eq!(hash().await.as_deref(), Some("new"));
    directory.record_sign_in(&tanaka, Some(false), sign_in(4), None).await.unwrap();
    assert_eq!(hash().await.as_deref(), Some("new"));
    let user = directory.user(&tanaka, at(9)).await.unwrap().unwrap();
    assert_eq!(user.last_sign_in, Some(sign_in(4)));
    // Of the two kinds of attempts, this one's are forgotten.
    assert_eq!(directory.count_attempt(&tanaka, false, ATTEMPTS, at(5)).await, Ok(Some(1)));
    assert_eq!(directory.count_attempt(&tanaka, true, ATTEMPTS, at(5)).await, Ok(Some(2)));
}

pub(super) async fn a_new_pin_forgets_attempts_but_lifts_nothing(place: &Place) {
    let directory = with_users(place, &["tanaka"]).await;
    let tanaka = identity("tanaka");
    directory.count_attempt(&tanaka, false, ATTEMPTS, at(1)).await.unwrap();
    directory.suspend_user(&tanaka, SuspensionCause::WrongPins, at(1)).await.unwrap();
    assert_eq!(directory.set_pin(&tanaka, "hash", Some(at(50)), at(2)).await, Ok(true));
    let candidate = directory.candidate(&tanaka, at(3)).await.unwrap().unwrap();
    assert_eq!((candidate.pin_hash.as_deref(), candidate.pin_temporary_until), (Some("hash"), Some(at(50))));
    assert_eq!(candidate.suspensions.len(), 1);
    assert_eq!(directory.count_attempt(&tanaka, false, ATTEMPTS, at(3)).await, Ok(Some(1)));
    assert_eq!(directory.set_pin(&tanaka, "chosen", None, at(4)).await, Ok(true));
    assert_eq!(directory.candidate(&tanaka, at(5)).await.unwrap().unwrap().pin_temporary_until, None);
    assert_eq!(directory.set_pin(&identity("suzuki"), "hash", None, at(4)).await, Ok(false));
    // What somebody else has set in the meantime stays.
    assert_eq!(directory.change_pin(&tanaka, ("hash", "stale"), at(5)).await, Ok(false));
    assert_eq!(
        directory.candidate(&tanaka, at(5)).await.unwrap().unwrap().pin_hash.as_deref(),
        Some("chosen")
    );
    assert_eq!(directory.set_pin(&tanaka, "temporary", Some(at(50)), at(6)).await, Ok(true));
    assert_eq!(directory.change_pin(&tanaka, ("temporary", "new"), at(7)).await, Ok(true));
    let candidate = directory.candidate(&tanaka, at(8)).await.unwrap().unwrap();
    assert_eq!((candidate.pin_hash.as_deref(), candidate.pin_temporary_until), (Some("new"), None));
}
