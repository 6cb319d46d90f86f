//! T7, T11: bytes from outside never panic, and never turn into a good standing.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_ne, proptest};
use proptest::sample::Index;
use rustls::pki_types::CertificateDer;

use crate::domain::Standing;
use crate::pki::certificate::examine;
use crate::pki::testing::{CN, Ca, Source, now};
use crate::pki::{Judgement, Trust};

struct World {
    trust: Trust,
    source: Source,
    leaf: Vec<u8>,
    intermediate: Vec<u8>,
    crl: Vec<u8>,
}

fn world() -> &'static World {
    static WORLD: std::sync::OnceLock<World> = std::sync::OnceLock::new();
    WORLD.get_or_init(|| {
        let root = Ca::root("Mihon Bank CA");
        let ca = root.intermediate("Mihon Bank CA-G2");
        let crl = root.crl(1, &[7, 8]);
        let source = Source::of(&[&root]).with_crls(std::slice::from_ref(&crl));
        let trust = Source::of(&[&root]).load();
        World { trust, source, leaf: ca.leaf(CN).to_vec(), intermediate: ca.der().to_vec(), crl }
    })
}

/// Up to four small changes: bytes overwritten, taken out or put in.
fn mutations() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    vec((any::<Index>(), 0_u8..4, any::<u8>()), 1..5)
}

fn mutate(original: &[u8], mutations: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for (index, how, byte) in mutations {
        if bytes.is_empty() {
            break;
        }
        let index = index.index(bytes.len());
        match how {
            0 => bytes[index] = *byte,
            1 => bytes[index] ^= 1 << (byte % 8),
            2 => bytes.insert(index, *byte),
            _ => drop(bytes.remove(index)),
        }
    }
    bytes
}

fn judge(chain: &[&[u8]]) -> Judgement {
    let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(*der)).collect();
    world().trust.judge(&chain, now())
}

proptest! {
    #[test]
    fn random_bytes_are_refused(leaf in vec(any::<u8>(), 0..300), other in vec(any::<u8>(), 0..300)) {
        let judgement = judge(&[&leaf, &other, &world().intermediate]);
        prop_assert!(matches!(judgement.standing, Standing::Refused(_)));
    }

    #[test]
    fn a_changed_leaf_is_refused(mutations in mutations()) {
        let leaf = mutate(&world().leaf, &mutations);
        let judgement = judge(&[&leaf, &world().intermediate]);
        if leaf != world().leaf {
            prop_assert!(matches!(judgement.standing, Standing::Refused(_)));
        }
    }

    #[test]
    fn a_changed_intermediate_never_makes_a_stranger_good(mutations in mutations()) {
        let intermediate = mutate(&world().intermediate, &mutations);
        let judgement = judge(&[&world().leaf, &intermediate]);
        if intermediate != world().intermediate {
            prop_assert!(matches!(judgement.standing, Standing::Refused(_)));
        }
        judge(&[&intermediate, &world().leaf]);
    }

    #[test]
    fn what_the_verifier_waives_the_judge_refuses(mutations in mutations()) {
        let leaf = mutate(&world().leaf, &mutations);
        if let Err(unacceptable) = examine(&CertificateDer::from(&leaf[..])) {
            let judgement = judge(&[&leaf, &world().intermediate]);
            prop_assert!(matches!(judgement.standing, Standing::Refused(it) if it == unacceptable.refusal));
        }
    }

    #[test]
    fn a_changed_crl_is_not_loaded(mutations in mutations(), noise in vec(any::<u8>(), 1..300)) {
        let world = world();
        let file = &world.source.crls.as_ref().unwrap()[0];
        let crl = mutate(&world.crl, &mutations);
        std::fs::write(file, &crl).unwrap();
        if crl != world.crl {
            prop_assert_ne!(world.source.load_at(now()).err(), None);
        }
        std::fs::write(file, &noise).unwrap();
        prop_assert_ne!(world.source.load_at(now()).err(), None);
    }
}
