//! The tokens that arrive, genuine and forged, signed beforehand.

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signer, SigningKey};

/// How many different tokens there are of each kind.
const POOL: usize = 64;

/// Makes the tokens. Its signing keys are test keys: anybody can read them here.
pub(crate) struct Mint {
    old_key: Vec<String>,
    new_key: Vec<String>,
    unknown_key: Vec<String>,
    bad_signature: Vec<String>,
}

/// What a token is, and so what the right answer to it is.
///
/// The old key stays in the set after the rotation, so its tokens are genuine throughout. The new
/// key is used from `LEAD` after the rotation on, not before. So at every instant each token is
/// either genuine or forged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    OldKey,
    NewKey,
    /// Forged: names a key that never was.
    UnknownKey,
    /// Forged: names a key that is known, signed with another.
    BadSignature,
}

impl Kind {
    pub(crate) fn is_genuine(self) -> bool {
        matches!(self, Kind::OldKey | Kind::NewKey)
    }
}

impl Mint {
    pub(crate) fn new() -> Self {
        let old = SigningKey::from_bytes(&[1; 32]);
        let new = SigningKey::from_bytes(&[2; 32]);
        let forger = SigningKey::from_bytes(&[3; 32]);
        let pool = |make: &dyn Fn(usize) -> String| (0..POOL).map(make).collect();
        Self {
            old_key: pool(&|user| token("autumn", user, &old)),
            new_key: pool(&|user| token("winter", user, &new)),
            unknown_key: pool(&|user| token(&format!("spring-{user}"), user, &forger)),
            bad_signature: pool(&|user| token("autumn", user, &forger)),
        }
    }

    pub(crate) fn token(&self, kind: Kind, dice: &mut Dice) -> &str {
        let pool = match kind {
            Kind::OldKey => &self.old_key,
            Kind::NewKey => &self.new_key,
            Kind::UnknownKey => &self.unknown_key,
            Kind::BadSignature => &self.bad_signature,
        };
        &pool[(dice.unit() * POOL as f64) as usize]
    }
}

fn token(key_id: &str, user: usize, key: &SigningKey) -> String {
    let header = format!(r#"{{"alg":"EdDSA","kid":"{key_id}"}}"#);
    let claims = format!(r#"{{"sub":"user-{user}","scope":"read"}}"#);
    let signed = format!(
        "{}.{}",
        Base64UrlUnpadded::encode_string(header.as_bytes()),
        Base64UrlUnpadded::encode_string(claims.as_bytes())
    );
    let signature = key.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", Base64UrlUnpadded::encode_string(&signature))
}

/// Random numbers, the same ones in every run (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// From 0 up to, not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }
}
