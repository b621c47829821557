//! Signed tokens (JWT, RFC 7519, signed with Ed25519 as RFC 8037 has it) and the keys to check them with
//! (a JWK set, RFC 7517).

use base64ct::{Base64UrlUnpadded, Encoding};
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;

/// The keys of an issuer that this service can use.
pub(crate) struct KeySet(Vec<(String, VerifyingKey)>);

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// What a key of a kind that is not known here may lack.
#[derive(Deserialize)]
struct Jwk {
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
}

impl KeySet {
    pub(crate) fn parse(json: &str) -> serde_json::Result<Self> {
        let set: Jwks = serde_json::from_str(json)?;
        let keys = set.keys.into_iter().filter_map(Jwk::into_key);
        Ok(Self(keys.collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&VerifyingKey> {
        let found = self.0.iter().find(|(known, _)| known == id);
        found.map(|(_, key)| key)
    }
}

impl Jwk {
    /// `None` if it is of a kind that is not known here: a set may have keys for others.
    fn into_key(self) -> Option<(String, VerifyingKey)> {
        let (Some(id), Some("Ed25519"), Some(x)) = (self.kid, self.crv.as_deref(), self.x) else {
            return None;
        };
        let mut point = [0; 32];
        let point = Base64UrlUnpadded::decode(&x, &mut point).ok()?;
        Some((id, VerifyingKey::from_bytes(point.try_into().ok()?).ok()?))
    }
}

/// A token, taken apart. Nothing of it is true yet.
pub(crate) struct Token<'a> {
    key_id: String,
    signed: &'a str,
    claims: &'a str,
    signature: Signature,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    /// What a reader must understand: nothing of the sort is understood here.
    crit: Option<serde_json::Value>,
}

/// What a token says of its bearer.
#[derive(Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    iss: String,
    aud: Audience,
    /// In seconds since 1970.
    exp: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn has(&self, name: &str) -> bool {
        match self {
            Audience::One(one) => one == name,
            Audience::Many(many) => many.iter().any(|one| one == name),
        }
    }
}

impl<'a> Token<'a> {
    /// `None` if it is no token that this service can check.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = parse(header)?;
        let mut bytes = [0; Signature::BYTE_SIZE];
        let bytes = Base64UrlUnpadded::decode(signature, &mut bytes).ok()?;
        (header.alg == "EdDSA" && header.crit.is_none()).then_some(Self {
            key_id: header.kid,
            signed,
            claims,
            signature: Signature::from_slice(bytes).ok()?,
        })
    }

    /// The key that it says it is signed with.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What it says, if it is signed with this key, made by `issuer` for `audience`, and not expired.
    pub(crate) fn verify(
        &self,
        key: &VerifyingKey,
        issuer: &str,
        audience: &str,
        now: u64,
    ) -> Option<Claims> {
        let signed = self.signed.as_bytes();
        key.verify_strict(signed, &self.signature).ok()?;
        let claims: Claims = parse(self.claims)?;
        (claims.iss == issuer && claims.aud.has(audience) && now < claims.exp).then_some(claims)
    }
}

fn parse<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    let json = Base64UrlUnpadded::decode_vec(part).ok()?;
    serde_json::from_slice(&json).ok()
}
