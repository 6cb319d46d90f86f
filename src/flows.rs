//! The verbs: sign in, sign out, change the PIN, and what bank staff do. They know domain and stores, no HTTP.

mod acquisition;
mod administration;
mod notices;
mod pins;
mod reconcile;
mod revocation_list;
mod sign_in;
mod ticket_secrets;

pub use acquisition::{
    Acquiring, Acquisition, AcquisitionSettings, Asker, BeginOutcome, CodeOutcome, CredentialDetails,
    FileOutcome, ProofOutcome, RedeemOutcome, Stage, Standpoint,
};
pub use administration::{Administered, Administration, AdministrationSettings, Change, Changed, Conflict};
pub use notices::{Mailer, MailerPart, NoticeSettings, Notices, Templates};
pub use pins::{
    Peppers, PinSettings, PinTrouble, Pins, Verified, new_pepper_line, random_pin, read_deny_list,
    read_peppers,
};
pub use reconcile::{AuditTrail, Discrepancy, Finding};
pub use revocation_list::{ListSettings, RevocationLists};
pub use sign_in::{
    CertificateOutcome, Current, NewSession, Observer, PinChange, PinOutcome, SignIn, SignInSettings,
    SignedIn, TypedIds,
};
pub use ticket_secrets::{
    SharedTicketSecret, TicketSecretKey, TicketSecretSettings, TicketSecrets, TicketSecretsFound,
};
