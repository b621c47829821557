//! What the body of a function becomes.

use syn::{GenericArgument, PathArguments, ReturnType, Type, TypeParamBound};

/// Constants of the return type. Empty if none is known.
pub(crate) fn answers(output: &ReturnType) -> Vec<String> {
    match output {
        ReturnType::Default => vec!["()".to_owned()],
        ReturnType::Type(_, output) => constants(output),
    }
}

fn constants(of: &Type) -> Vec<String> {
    let owned = |constants: &[&str]| {
        constants
            .iter()
            .map(|&constant| constant.to_owned())
            .collect()
    };
    match of {
        Type::Tuple(tuple) if tuple.elems.is_empty() => owned(&["()"]),
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => owned(&["\"\"", "\"xyzzy\""]),
            _ => Vec::new(),
        },
        Type::ImplTrait(implementor) => {
            let is_iterator = implementor.bounds.iter().any(|bound| match bound {
                TypeParamBound::Trait(bound) => bound
                    .path
                    .segments
                    .last()
                    .is_some_and(|last| last.ident == "Iterator"),
                _ => false,
            });
            owned(if is_iterator {
                &["std::iter::empty()"]
            } else {
                &[]
            })
        }
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else {
                return Vec::new();
            };
            let inner = match &last.arguments {
                PathArguments::AngleBracketed(arguments) => {
                    arguments.args.iter().find_map(|argument| match argument {
                        GenericArgument::Type(inner) => Some(constants(inner)),
                        _ => None,
                    })
                }
                _ => None,
            };
            let inner = || inner.into_iter().flatten();
            match &*last.ident.to_string() {
                "bool" => owned(&["true", "false"]),
                "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => owned(&["0", "1"]),
                "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => owned(&["0", "1", "-1"]),
                "f32" | "f64" => owned(&["0.0", "1.0", "-1.0"]),
                "String" => owned(&["String::new()", "String::from(\"xyzzy\")"]),
                "Duration" => owned(&["Duration::ZERO"]),
                "Vec" => owned(&["Vec::new()"]),
                "Option" => ["None".to_owned()]
                    .into_iter()
                    .chain(inner().map(|some| format!("Some({some})")))
                    .collect(),
                "Result" => inner().map(|ok| format!("Ok({ok})")).collect(),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}
