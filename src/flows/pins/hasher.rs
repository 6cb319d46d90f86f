//! Argon2id (RFC 9106) with a pepper as its secret (T46). The hash is a PHC string that names its own cost and the
//! pepper's ID, so that both can change while old hashes still verify.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Block, KeyId, Params, ParamsBuilder, Version};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::{Peppers, Verified};
use crate::config::Argon2id;
use crate::domain::Pin;

/// Bytes of a salt and of a hash.
const SALT: usize = 16;
const OUTPUT: usize = 32;
/// KiB of memory that a hash may ask for: the directory isn't to take the machine down.
const MOST_MEMORY: u32 = 4 << 20;

pub(super) struct Hasher {
    peppers: Peppers,
    /// Cost and pepper's ID of new hashes.
    params: Params,
    /// What is worked on when there is nobody (T44).
    dummy: Stored,
    /// Memory of earlier hashes, wiped, to be used again: getting 19 MiB from the system costs more than wiping them.
    spare: Mutex<Vec<Vec<Block>>>,
    warned: AtomicBool,
}

/// A hash, taken apart.
#[derive(Clone)]
struct Stored {
    params: Params,
    salt: Salt,
    output: Output,
    /// Which pepper.
    pepper: usize,
}

impl Hasher {
    pub(super) fn new(cost: Argon2id, peppers: Peppers) -> Result<Self, String> {
        let (id, _) = peppers.first().ok_or("there is no pepper")?;
        let memory = u32::try_from(cost.memory.bytes() / 1024).unwrap_or(u32::MAX);
        let params = ParamsBuilder::new()
            .m_cost(memory)
            .t_cost(cost.iterations.get())
            .p_cost(cost.parallelism.get())
            .keyid(KeyId::new(id.as_bytes()).map_err(|_| "the ID of a pepper is too long")?)
            .output_len(OUTPUT)
            .build()
            .map_err(|error| format!("Argon2id can't have this cost: {error}"))?;
        // A random output: nobody knows a PIN that leads to it.
        let dummy = Stored { params: params.clone(), salt: new_salt()?, output: new_output()?, pepper: 0 };
        Ok(Self { peppers, params, dummy, spare: Mutex::default(), warned: AtomicBool::new(false) })
    }

    /// Hashes a new PIN.
    pub(super) fn hash(&self, pin: &Pin) -> Result<String, String> {
        let salt = new_salt()?;
        let output =
            Output::new(&self.work(pin, &self.params, &salt, 0)?).map_err(|error| error.to_string())?;
        let hash = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params).map_err(|error| error.to_string())?,
            salt: Some(salt),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }

    /// Checks a PIN. What can't be checked costs the same as nobody's, and is wrong.
    pub(super) fn verify(&self, pin: &Pin, hash: Option<&str>) -> Result<Verified, String> {
        let (stored, is_somebody) = self.stored(hash);
        let output = self.work(pin, &stored.params, &stored.salt, stored.pepper)?;
        let matches: bool = output.ct_eq(stored.output.as_bytes()).into();
        if !(matches & is_somebody) {
            return Ok(Verified::Wrong);
        }
        let is_current = stored.params == self.params;
        // A failure doesn't make a right PIN wrong; it is tried again next time.
        let rehash = if is_current { None } else { self.hash(pin).ok() };
        Ok(Verified::Right { rehash })
    }

    /// The hash to work on, and whether it is somebody's.
    fn stored(&self, hash: Option<&str>) -> (Stored, bool) {
        match hash.map(|hash| self.take_apart(hash)) {
            Some(Ok(stored)) => return (stored, true),
            Some(Err(problem)) if !self.warned.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    problem,
                    "A PIN's hash can't be checked, so the PIN counts as wrong (said only once)"
                );
            }
            Some(Err(_)) | None => {}
        }
        (self.dummy.clone(), false)
    }

    fn take_apart(&self, hash: &str) -> Result<Stored, String> {
        let malformed = || "it is no hash of ours".to_owned();
        let hash = PasswordHash::new(hash).map_err(|_| malformed())?;
        let is_argon2id = hash.algorithm == ARGON2ID_IDENT && hash.version == Some(Version::V0x13.into());
        let is_ours = |params: &Params| is_argon2id && params.m_cost() <= MOST_MEMORY;
        let params = Params::try_from(&hash).ok().filter(is_ours).ok_or_else(malformed)?;
        let (salt, output) = hash.salt.zip(hash.hash).ok_or_else(malformed)?;
        let id = String::from_utf8_lossy(params.keyid()).into_owned();
        let pepper = self
            .peppers
            .iter()
            .position(|(known, _)| *known == id)
            .ok_or_else(|| format!("its pepper `{}` is not in the file", id.escape_debug()))?;
        Ok(Stored { params, salt, output, pepper })
    }

    /// Argon2id itself.
    fn work(
        &self,
        pin: &Pin,
        params: &Params,
        salt: &Salt,
        pepper: usize,
    ) -> Result<Zeroizing<Vec<u8>>, String> {
        let secret = &self.peppers[pepper].1;
        let argon2 = Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params.clone())
            .map_err(|error| error.to_string())?;
        let mut output = Zeroizing::new(vec![0; params.output_len().unwrap_or(OUTPUT)]);
        let mut memory = self.memory(params.block_count())?;
        let done =
            argon2.hash_password_into_with_memory(pin.expose().as_bytes(), salt, &mut output, &mut memory);
        // One by one: a `Vec` that is wiped as a whole is an empty one.
        memory.iter_mut().zeroize();
        // What was bigger than the usual isn't kept.
        if memory.len() == self.params.block_count() {
            self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
        }
        done.map_err(|error| error.to_string())?;
        Ok(output)
    }

    fn memory(&self, blocks: usize) -> Result<Vec<Block>, String> {
        if blocks == self.params.block_count()
            && let Some(spare) = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop()
        {
            return Ok(spare);
        }
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).map_err(|_| format!("no {blocks} KiB of memory for a hash"))?;
        memory.resize(blocks, Block::new());
        Ok(memory)
    }
}

fn new_salt() -> Result<Salt, String> {
    Salt::new(&random::<SALT>()?).map_err(|error| error.to_string())
}

fn new_output() -> Result<Output, String> {
    Output::new(&random::<OUTPUT>()?).map_err(|error| error.to_string())
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system gives no random bytes: {error}"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::config::Size;

    fn cost(iterations: u32) -> Argon2id {
        let (iterations, parallelism) = (NonZeroU32::new(iterations).unwrap(), NonZeroU32::MIN);
        Argon2id { memory: Size::kib(32), iterations, parallelism }
    }

    fn hasher(cost: Argon2id, ids: &[&str]) -> Hasher {
        let peppers = ids.iter().map(|id| ((*id).to_owned(), Zeroizing::new(id.repeat(32).into_bytes())));
        Hasher::new(cost, peppers.collect()).unwrap()
    }

    fn pin(text: &str) -> Pin {
        Pin::typed(text).unwrap()
    }

    const RIGHT: Verified = Verified::Right { rehash: None };

    #[test]
    fn only_the_right_pin_is_right() {
        let hasher = hasher(cost(1), &["a"]);
        let hash = hasher.hash(&pin("k7m2x9")).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=32,t=1,p=1,keyid=YQ$"), "{hash}");
        assert_eq!(hasher.verify(&pin("k7m2x9"), Some(&hash)), Ok(RIGHT));
        assert_eq!(hasher.verify(&pin("K7m2x9"), Some(&hash)), Ok(Verified::Wrong));
        assert_eq!(hasher.verify(&pin("k7m2x9"), None), Ok(Verified::Wrong));
    }

    #[test]
    fn the_same_pin_has_another_hash_for_everybody() {
        let hasher = hasher(cost(1), &["a"]);
        assert_ne!(hasher.hash(&pin("k7m2x9")), hasher.hash(&pin("k7m2x9")));
    }

    #[test]
    fn a_pepper_is_part_of_the_hash() {
        let peppers = |byte| vec![("a".to_owned(), Zeroizing::new(vec![byte; 32]))];
        let hash = Hasher::new(cost(1), peppers(1)).unwrap().hash(&pin("k7m2x9")).unwrap();
        let other = Hasher::new(cost(1), peppers(2)).unwrap();
        assert_eq!(other.verify(&pin("k7m2x9"), Some(&hash)), Ok(Verified::Wrong));
    }

    #[test]
    fn an_old_pepper_verifies_and_is_replaced_until_it_is_removed() {
        let old = hasher(cost(1), &["old"]).hash(&pin("k7m2x9")).unwrap();
        let both = hasher(cost(1), &["new", "old"]);
        let Ok(Verified::Right { rehash: Some(rehash) }) = both.verify(&pin("k7m2x9"), Some(&old)) else {
            panic!("a rehash is due")
        };
        assert_eq!(both.verify(&pin("wrong1"), Some(&old)), Ok(Verified::Wrong));
        let new = hasher(cost(1), &["new"]);
        assert_eq!(new.verify(&pin("k7m2x9"), Some(&rehash)), Ok(RIGHT));
        assert_eq!(new.verify(&pin("k7m2x9"), Some(&old)), Ok(Verified::Wrong));
    }

    #[test]
    fn a_hash_of_another_cost_verifies_and_is_replaced() {
        let (before, after) = (hasher(cost(1), &["a"]), hasher(cost(2), &["a"]));
        let old = before.hash(&pin("k7m2x9")).unwrap();
        let Ok(Verified::Right { rehash: Some(rehash) }) = after.verify(&pin("k7m2x9"), Some(&old)) else {
            panic!("a rehash is due")
        };
        assert!(rehash.contains("$m=32,t=2,p=1,"), "{rehash}");
        assert_eq!(after.verify(&pin("k7m2x9"), Some(&rehash)), Ok(RIGHT));
    }

    #[test]
    fn nobody_costs_the_same_as_somebody() {
        let hasher = hasher(cost(3), &["a"]);
        let hash = hasher.hash(&pin("k7m2x9")).unwrap();
        let (somebody, is_somebody) = hasher.stored(Some(&hash));
        assert!(is_somebody);
        let stranger = hash.replace("keyid=YQ", "keyid=Yg");
        let other_kind = hash.replace("argon2id", "argon2i");
        let huge = hash.replace("m=32", "m=4294967295");
        for nobody in [None, Some(&*stranger), Some(&*other_kind), Some(&*huge), Some("x"), Some("")] {
            let (stored, is_somebody) = hasher.stored(nobody);
            assert!(!is_somebody, "{nobody:?}");
            assert_eq!(stored.params, somebody.params);
            assert_eq!(stored.salt.len(), somebody.salt.len());
            assert_eq!(stored.output.len(), somebody.output.len());
        }
    }

    #[test]
    fn nobodys_pin_is_wrong_even_if_it_matched() {
        let mut hasher = hasher(cost(1), &["a"]);
        let hash = hasher.hash(&pin("k7m2x9")).unwrap();
        hasher.dummy = hasher.take_apart(&hash).unwrap();
        assert_eq!(hasher.verify(&pin("k7m2x9"), None), Ok(Verified::Wrong));
    }

    #[test]
    fn memory_is_used_again_and_wiped_between() {
        let hasher = hasher(cost(1), &["a"]);
        hasher.hash(&pin("k7m2x9")).unwrap();
        hasher.hash(&pin("k7m2x9")).unwrap();
        let spare = hasher.spare.lock().unwrap();
        assert_eq!(spare.len(), 1);
        assert!(spare[0].iter().all(|block| block.as_ref().iter().all(|word| *word == 0)));
    }
}
