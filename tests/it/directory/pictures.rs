//! The registry's picture of the directory.

use sekisho::domain::{Role, SuspensionCause, UserId};
use sekisho::stores::{Registered, Registry};
use tokio::task::JoinSet;

use super::{Place, at, contract, identity, new_contract, new_user, with_users};

pub(super) async fn a_registry_follows_every_change(place: &Place) {
    let directory = place.open().await;
    let (registry, tanaka) =
        (Registry::new(false, sekisho::config::Registration::Optional), identity("tanaka"));
    let find = |by_pin| registry.find(&tanaka, by_pin);
    directory.refresh(&registry, at(1)).await.unwrap();
    assert_eq!((find(true), registry.as_of(), registry.change()), (Registered::Unknown, Some(at(1)), 0));

    directory.import(&[new_contract("A")], &[new_user("tanaka"), new_user("sato")], at(2)).await.unwrap();
    assert_eq!(find(true), Registered::Unknown);
    directory.refresh(&registry, at(2)).await.unwrap();
    assert_eq!((find(true), find(false)), (Registered::Known(Role::User), Registered::Known(Role::User)));

    directory.suspend_user(&tanaka, SuspensionCause::WrongPins, at(3)).await.unwrap();
    directory.refresh(&registry, at(3)).await.unwrap();
    assert_eq!((find(true), find(false)), (Registered::Suspended, Registered::Known(Role::User)));
    assert_eq!(registry.find(&identity("sato"), true), Registered::Known(Role::User));
    directory.suspend_user(&tanaka, SuspensionCause::Staff, at(4)).await.unwrap();
    directory.refresh(&registry, at(4)).await.unwrap();
    assert_eq!((find(true), find(false)), (Registered::Suspended, Registered::Suspended));
    directory.lift_user(&tanaka).await.unwrap();
    directory.refresh(&registry, at(5)).await.unwrap();
    assert_eq!((find(true), find(false)), (Registered::Known(Role::User), Registered::Known(Role::User)));

    directory.suspend_contract(&contract("A"), Some(at(6))).await.unwrap();
    directory.refresh(&registry, at(6)).await.unwrap();
    assert_eq!((find(true), find(false)), (Registered::Suspended, Registered::Suspended));
    directory.suspend_contract(&contract("A"), None).await.unwrap();
    directory.refresh(&registry, at(7)).await.unwrap();
    assert_eq!(find(false), Registered::Known(Role::User));

    // What the registry doesn't show is no change; that it looked is seen.
    let change = registry.change();
    directory.set_pin(&tanaka, "hash", None, at(8)).await.unwrap();
    directory.refresh(&registry, at(8)).await.unwrap();
    assert_eq!((registry.change(), registry.as_of()), (change, Some(at(8))));
}

pub(super) async fn a_registry_misses_no_change_that_many_make_at_once(place: &Place) {
    let names: Vec<String> = (0..24).map(|number| format!("user{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let directories = [with_users(place, &names).await, place.open().await];
    let registry = Registry::new(true, sekisho::config::Registration::Optional);
    directories[0].refresh(&registry, at(0)).await.unwrap();
    let mut writers = JoinSet::new();
    for (index, name) in names.iter().enumerate() {
        let (directory, identity) = (directories[index % 2].clone(), identity(name));
        writers.spawn(async move {
            directory.suspend_user(&identity, SuspensionCause::WrongPins, at(1)).await.unwrap();
            if index % 3 == 0 {
                directory.lift_user(&identity).await.unwrap();
            }
        });
    }
    while !writers.is_empty() {
        // Between the changes, too: a number that was seen must not hide a smaller one that comes later.
        directories[1].refresh(&registry, at(2)).await.unwrap();
        if let Some(ended) = writers.try_join_next() {
            ended.unwrap();
        }
    }
    directories[1].refresh(&registry, at(3)).await.unwrap();
    for (index, name) in names.iter().enumerate() {
        let expected = if index % 3 == 0 { Registered::Known(Role::User) } else { Registered::Suspended };
        assert_eq!(registry.find(&identity(name), false), expected, "{name}");
    }
}

pub(super) async fn a_registry_forgets_what_a_restored_directory_does_not_know(place: &Place) {
    let directory = with_users(place, &["tanaka"]).await;
    let registry = Registry::new(false, sekisho::config::Registration::Optional);
    directory.add_user(&new_user("sato"), at(1)).await.unwrap();
    directory.refresh(&registry, at(1)).await.unwrap();
    assert_eq!(registry.find(&identity("sato"), true), Registered::Known(Role::User));
    let before = registry.change() - 1;
    place.sql("DELETE FROM users WHERE user_id = 'sato'").await;
    place.sql(&format!("UPDATE changes SET number = {before}")).await;
    directory.refresh(&registry, at(2)).await.unwrap();
    assert_eq!(registry.change(), before);
    assert_eq!(registry.find(&identity("sato"), true), Registered::Unknown);
    let tanaka = UserId::new("tanaka").unwrap();
    assert_eq!(
        registry.find(&sekisho::domain::Identity { contract: contract("A"), user: tanaka }, true),
        Registered::Known(Role::User)
    );
}
