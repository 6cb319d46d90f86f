//! Pure words of the domain. Nothing here does I/O, reads a clock or imports another room.

mod identity;
mod standing;

pub use identity::{ContractId, Identity, InvalidId, UserId};
pub use standing::{Reason, Refusal, Standing};
