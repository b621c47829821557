//! The public keys of the issuer, and the checking of a token with them.

use std::time::Instant;

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;

use crate::LEAD;

/// A set of public keys, as fetched.
pub(crate) struct KeySet {
    keys: Vec<(String, VerifyingKey)>,
    asked: Instant,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kid: String,
    x: String,
}

impl KeySet {
    /// The keys in the answer to a request that was sent at `asked`.
    ///
    /// A parser as one finds them: it takes the issuer's word for everything, and panics.
    pub(crate) fn parse(json: &str, asked: Instant) -> Self {
        let set: Jwks = serde_json::from_str(json).expect("the key set is JSON");
        let keys = set.keys.into_iter().map(|key| {
            let mut point = [0; 32];
            Base64UrlUnpadded::decode(&key.x, &mut point).expect("`x` is base64url");
            let point = VerifyingKey::from_bytes(&point).expect("`x` is an Ed25519 key");
            (key.kid, point)
        });
        Self {
            keys: keys.collect(),
            asked,
        }
    }

    pub(crate) fn key(&self, id: &str) -> Option<&VerifyingKey> {
        let found = self.keys.iter().find(|(known, _)| known == id);
        found.map(|(_, key)| key)
    }

    /// When the request was sent that brought this set.
    pub(crate) fn asked(&self) -> Instant {
        self.asked
    }

    /// Whether a token that is taken up then and names a key missing here is forged for certain.
    ///
    /// This is what keeps forgers from driving the service to the origin. A new key is published
    /// `LEAD` before its first use. So a set asked for less than `LEAD` before the token is taken up
    /// has every key that a genuine token could name: no need to ask again. Only an older set can
    /// be called in question, which limits that to once per `LEAD`, however many forgers there
    /// are, and costs no genuine token anything.
    pub(crate) fn knows_all(&self, taken: Instant) -> bool {
        taken.saturating_duration_since(self.asked) < LEAD
    }
}

/// A compact JWS (RFC 7515), taken apart.
pub(crate) struct Token<'a> {
    signed: &'a str,
    signature: Signature,
    header: Vec<u8>,
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
}

impl<'a> Token<'a> {
    /// `None` if it is not one.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, _claims) = signed.split_once('.')?;
        let mut bytes = [0; Signature::BYTE_SIZE];
        Base64UrlUnpadded::decode(signature, &mut bytes).ok()?;
        Some(Self {
            signed,
            signature: Signature::from_bytes(&bytes),
            header: Base64UrlUnpadded::decode_vec(header).ok()?,
        })
    }

    /// The id of the key that it says it is signed with.
    pub(crate) fn key_id(&self) -> Option<&str> {
        let header: Header<'_> = serde_json::from_slice(&self.header).ok()?;
        (header.alg == "EdDSA").then_some(header.kid)
    }

    /// Whether `key` signed it.
    pub(crate) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let signed = self.signed.as_bytes();
        key.verify_strict(signed, &self.signature).is_ok()
    }
}
