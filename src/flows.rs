//! The verbs: sign in, sign out, change the PIN, and what bank staff do. They know domain and stores, no HTTP.

mod pins;
mod sign_in;

pub use pins::{
    Peppers, PinSettings, PinTrouble, Pins, Verified, new_pepper_line, read_deny_list, read_peppers,
};
pub use sign_in::{
    CertificateOutcome, Current, NewSession, Observer, PinChange, PinOutcome, SignIn, SignInSettings,
    SignedIn, TypedIds,
};
