//! What a backend gets to know, and what it never gets to see.

use crate::support::backend::Backend;
use crate::support::gate::{CERT, Gate};

#[test]
fn a_backend_learns_contract_and_user_from_the_certificate() {
    let backend = Backend::start();
    let gate = Gate::start(&backend);
    let response = gate.tanaka().get(CERT, "/banking/a?b=c");
    assert_eq!((response.status, response.text()), (200, "ok".to_owned()));
    let received = backend.only();
    assert_eq!(received.line(), "GET /banking/a?b=c");
    assert_eq!(received.value("x-contract-id").as_deref(), Some("10000000000001"));
    assert_eq!(received.value("x-user-id").as_deref(), Some("tanaka"));
    assert_eq!(received.value("x-auth-method").as_deref(), Some("certificate"));
    assert_eq!(received.value("x-user-role"), None);
}
