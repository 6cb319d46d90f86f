//! Certificates. (The other rooms of this house are to come.)

pub mod development;
