//! The handbook of this crate. These are pages of documentation: they hold no code.
//!
//! | I want to | recipe |
//! |---|---|
//! | have several processes of one machine share a token over files | [`shared_token`] |
//!
//! What holds of one process, and what goes wrong there, is in the [handbook](dogpile::docs) of `dogpile`.

pub mod shared_token;
