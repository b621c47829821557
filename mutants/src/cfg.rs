//! What of the crate is built.

use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, ItemMod, Lit, Meta, MetaNameValue, Token};

/// In which build edits are made: for the tests, or for the models under loom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    Tests,
    Models,
}

impl Build {
    /// Whether this is built, going by the attributes before it. Tests are not: an edit of a
    /// test says nothing.
    pub(crate) fn has(self, code: &impl ToTokens) -> bool {
        let outer = |input: ParseStream<'_>| {
            let attributes = input.call(Attribute::parse_outer)?;
            input.parse::<TokenStream>()?;
            Ok(attributes)
        };
        let attributes = outer.parse2(code.to_token_stream()).unwrap_or_default();
        attributes.iter().all(|attribute| match &attribute.meta {
            Meta::List(list) if list.path.is_ident("cfg") => {
                list.parse_args().is_ok_and(|meta| self.holds(&meta))
            }
            meta => !meta.path().is_ident("test"),
        })
    }

    fn holds(self, condition: &Meta) -> bool {
        match condition {
            Meta::Path(path) => match &*name(path) {
                "unix" | "debug_assertions" => true,
                "dogpile_loom" => self == Build::Models,
                _ => false,
            },
            Meta::NameValue(MetaNameValue {
                path,
                value:
                    Expr::Lit(ExprLit {
                        lit: Lit::Str(value),
                        ..
                    }),
                ..
            }) => {
                match &*name(path) {
                    // The models are built with the default features.
                    "feature" => {
                        self == Build::Tests || ["async", "loom"].contains(&&*value.value())
                    }
                    "target_os" => value.value() == std::env::consts::OS,
                    "target_has_atomic" | "target_pointer_width" => true,
                    _ => false,
                }
            }
            Meta::NameValue(_) => false,
            Meta::List(list) => {
                let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
                let parts = parts.unwrap_or_default();
                let mut parts = parts.iter().map(|part| self.holds(part));
                match &*name(&list.path) {
                    "all" => parts.all(|holds| holds),
                    "any" => parts.any(|holds| holds),
                    "not" => parts.all(|holds| !holds),
                    _ => false,
                }
            }
        }
    }
}

fn name(path: &syn::Path) -> String {
    path.get_ident()
        .map_or_else(String::new, ToString::to_string)
}

/// Where the text of `mod NAME;` may stand: in this file, or in this folder.
pub(crate) fn files_of(module: &ItemMod, file: &Path) -> Vec<PathBuf> {
    let beside = file.parent().unwrap_or(Path::new(""));
    let stem = file
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or_default();
    let folder = match stem {
        "mod" | "lib" => beside.to_owned(),
        stem => beside.join(stem),
    };
    let named = module
        .attrs
        .iter()
        .find_map(|attribute| match &attribute.meta {
            Meta::NameValue(MetaNameValue {
                path,
                value:
                    Expr::Lit(ExprLit {
                        lit: Lit::Str(value),
                        ..
                    }),
                ..
            }) if path.is_ident("path") => Some(beside.join(value.value())),
            _ => None,
        });
    match named {
        Some(named) => vec![named],
        None => {
            let name = module.ident.to_string();
            vec![folder.join(format!("{name}.rs")), folder.join(name)]
        }
    }
}
