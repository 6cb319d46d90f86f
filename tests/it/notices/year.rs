//! A year of three gateways that die now and then: each credential gets its two reminders, no more and no fewer.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use jiff::SignedDuration;
use sekisho::domain::{Language, NoticeKind};
use sekisho::flows::Templates;
use sekisho::stores::{Credential, NewCredential, NoticeState, Right};

use super::{Scene, Security, Server, identity};

/// Polls a future so often, and then drops it: whatever it was waiting for, it dies there.
async fn dies_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn each_credential_gets_exactly_two_reminders_whatever_dies() {
    let server = Server::start(Security::None);
    let scene = Scene::new(Language::Japanese).await;
    let gateways: Vec<_> = (0..3).map(|_| scene.notices(&server.settings(), Templates::default())).collect();
    for (nth, days) in (1..).zip([100, 140, 180, 220, 260]) {
        scene.acquires(&format!("user{nth}"), nth, days).await;
    }
    let mut random = 11_u32;
    for half_day in 0..730 {
        if half_day == 200 {
            renew(&scene, "user2").await;
        }
        if half_day == 300 {
            // An outage of 25 days: it swallows both dates of nobody, and the first one of some.
            scene.later(SignedDuration::from_hours(24 * 25));
        }
        for gateway in &gateways {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Mostly they live. When they die it is at any of their steps.
            let polls = if random >> 30 == 0 { (random >> 8) % 90 } else { u32::MAX };
            let _ = dies_after(polls, async {
                gateway.remind().await.unwrap();
                gateway.send_due().await.unwrap()
            })
            .await;
        }
        settle(&scene, &server).await;
        scene.later(SignedDuration::from_hours(12));
    }
    let outbox = scene.outbox().await;
    let sent = |user: &str, kind| {
        let number = outbox
            .iter()
            .find(|notice| notice.kind == kind && notice.identity == identity(user))
            .map(|notice| notice.number);
        number.map_or(0, |number| arrivals(&server, number))
    };
    for user in ["user1", "user3", "user4", "user5"] {
        // Before, on either side of, or after the outage: each kind once; the longer one not where only the shorter was
        // left to be told.
        assert_eq!(sent(user, NoticeKind::ExpiryVerySoon), 1, "{user}");
        assert!(sent(user, NoticeKind::ExpirySoon) <= 1, "{user}");
    }
    assert_eq!(sent("user1", NoticeKind::ExpirySoon), 1);
    assert_eq!(sent("user5", NoticeKind::ExpirySoon), 1);
    // Renewed on its hundredth day: nothing but for the new one, whose time never comes.
    assert_eq!(sent("user2", NoticeKind::ExpirySoon) + sent("user2", NoticeKind::ExpiryVerySoon), 0);
    assert!(outbox.iter().all(|notice| notice.state == NoticeState::Sent), "{outbox:#?}");
    let numbers: std::collections::HashSet<_> = outbox.iter().map(|notice| notice.number).collect();
    assert_eq!(server.mails().len(), numbers.len(), "no mail arrived twice");
}

fn arrivals(server: &Server, number: i64) -> usize {
    let id = format!("<notice-{number}-");
    server.mails().iter().filter(|mail| mail["text"].as_str().unwrap().contains(&id)).count()
}

/// What bank staff do: they look into the mail server's log whether an uncertain notice arrived.
async fn settle(scene: &Scene, server: &Server) {
    for notice in scene.outbox().await {
        // One that is being sent still counts as uncertain until its claim runs out.
        if notice.state == NoticeState::Uncertain && notice.claimed_until.is_none() {
            if arrivals(server, notice.number) == 0 {
                scene.directory.settle_notice(notice.number, true, scene.clock.now()).await.unwrap();
            } else {
                scene.directory.notice_sent(&notice, scene.clock.now()).await.unwrap();
            }
        }
    }
}

async fn renew(scene: &Scene, user: &str) {
    let now = scene.clock.now();
    let old = scene.directory.credentials(&identity(user), now).await.unwrap().remove(0);
    let new = NewCredential {
        credential: Credential {
            fingerprint: format!("{:064x}", 99),
            serial: "63".to_owned(),
            not_before: now,
            not_after: now + SignedDuration::from_hours(24 * 900),
            ..old.clone()
        },
        issuer: "issuer".to_owned(),
        right: Right::Renewal { of: old.fingerprint },
        acquired: Some("browser".to_owned()),
    };
    scene.directory.issue(&new, now).await.unwrap();
    scene.directory.first_use(&new.credential.fingerprint, now).await.unwrap();
}
