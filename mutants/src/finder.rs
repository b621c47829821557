//! Finds what can be edited in a file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Arm, BinOp, Block, Expr, ExprBinary, ExprConst, ExprIf, ExprMatch, ExprRepeat, ExprUnary,
    ExprWhile, FieldValue, GenericArgument, ImplItem, ImplItemFn, Item, ItemFn, ItemImpl, ItemMod,
    ItemTrait, Pat, Signature, Stmt, TraitItem, TraitItemFn, Type, UnOp,
};

use crate::answers::answers;
use crate::cfg::{self, Build};
use crate::source::{Edit, Kind, Place};

pub(crate) struct Finder<'a> {
    text: &'a str,
    file: &'a Path,
    build: Build,
    /// Whether assignments are left out too.
    assignments: bool,
    /// The names of what the code stands in.
    scope: Vec<String>,
    pub(crate) places: Vec<Place>,
    /// Files that are not built.
    pub(crate) unbuilt: Vec<PathBuf>,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str, build: Build, assignments: bool) -> Self {
        Self {
            text,
            file,
            build,
            assignments,
            scope: Vec::new(),
            places: Vec::new(),
            unbuilt: Vec::new(),
        }
    }

    fn code(&self, of: &impl Spanned) -> &'a str {
        &self.text[of.span().byte_range()]
    }

    fn short(&self, of: &impl Spanned) -> String {
        let code: Vec<&str> = self.code(of).split_whitespace().collect();
        let code = code.join(" ");
        match code.char_indices().nth(60) {
            Some((end, _)) => format!("`{} …`", &code[..end]),
            None => format!("`{code}`"),
        }
    }

    fn note(&mut self, range: Range<usize>, kind: Kind, edits: Vec<Edit>) {
        if !edits.is_empty() {
            self.places
                .push(Place::new(range, kind, self.scope.join("::"), edits));
        }
    }

    fn note_condition(&mut self, condition: &Expr) {
        if !has_let(condition) && !matches!(condition, Expr::Lit(_)) {
            let becomes = |word: &str| {
                Edit::new(
                    word.to_owned(),
                    format!("{} becomes `{word}`", self.short(condition)),
                )
            };
            let edits = vec![becomes("true"), becomes("false")];
            self.note(condition.span().byte_range(), Kind::Expression, edits);
        }
    }

    fn within(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.scope.push(name);
        visit(self);
        self.scope.pop();
    }

    fn function(&mut self, signature: &Signature, block: &Block) {
        if signature.constness.is_some() {
            return;
        }
        self.within(signature.ident.to_string(), |finder| {
            if signature.unsafety.is_none() {
                let body = finder.code(block).trim_matches(['{', '}']).trim();
                let answers = answers(&signature.output)
                    .into_iter()
                    .filter(|answer| body != answer);
                let answers = answers.filter(|answer| answer != "()" || !body.is_empty());
                let edits = answers.map(|answer| match &*answer {
                    "()" => Edit::new("return".to_owned(), "does nothing".to_owned()),
                    answer => Edit::new(format!("return {answer}"), format!("answers `{answer}`")),
                });
                let open = block.brace_token.span.open().byte_range().end;
                finder.note(open..open, Kind::Body, edits.collect());
            }
            visit::visit_block(finder, block);
        });
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if module.content.is_none() => self.visit_item_mod(module),
            Item::Fn(_) | Item::Impl(_) | Item::Trait(_) | Item::Mod(_) if self.build.has(item) => {
                visit::visit_item(self, item);
            }
            _ => {}
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        match &module.content {
            Some((_, items)) => items.iter().for_each(|item| self.visit_item(item)),
            None if !self.build.has(module) => {
                self.unbuilt.extend(cfg::files_of(module, self.file))
            }
            None => {}
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.function(&function.sig, &function.block);
    }

    fn visit_item_impl(&mut self, implementation: &'ast ItemImpl) {
        let of = implementation
            .trait_
            .as_ref()
            .and_then(|(_, of, _)| of.segments.last());
        if of.is_some_and(|of| of.ident == "Debug" || of.ident == "Display") {
            return;
        }
        let name = match &*implementation.self_ty {
            Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        self.within(
            name.unwrap_or_else(|| self.code(&implementation.self_ty).to_owned()),
            |finder| {
                implementation
                    .items
                    .iter()
                    .for_each(|item| finder.visit_impl_item(item));
            },
        );
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if matches!(item, ImplItem::Fn(_)) && self.build.has(item) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.function(&function.sig, &function.block);
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.within(item.ident.to_string(), |finder| {
            item.items
                .iter()
                .for_each(|item| finder.visit_trait_item(item));
        });
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if matches!(item, TraitItem::Fn(_)) && self.build.has(item) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(block) = &function.default {
            self.function(&function.sig, block);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if !self.build.has(statement) {
            return;
        }
        if let Stmt::Expr(expression, Some(_)) = statement
            && (is_call(expression) || (self.assignments && is_assignment(expression)))
        {
            let label = format!("without {}", self.short(expression));
            let edit = Edit::new("{}".to_owned(), label);
            let range = statement.span().byte_range();
            self.note(range, Kind::Statement, vec![edit]);
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_field_value(&mut self, field: &'ast FieldValue) {
        if self.build.has(field) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_expr_if(&mut self, expression: &'ast ExprIf) {
        self.note_condition(&expression.cond);
        visit::visit_expr_if(self, expression);
    }

    fn visit_expr_while(&mut self, expression: &'ast ExprWhile) {
        self.note_condition(&expression.cond);
        visit::visit_expr_while(self, expression);
    }

    fn visit_expr_match(&mut self, expression: &'ast ExprMatch) {
        let is_last = |arm: &Arm| arm.guard.is_none() && takes_all(&arm.pat);
        if expression.arms.iter().any(is_last) {
            for arm in expression.arms.iter().filter(|arm| !is_last(arm)) {
                let edit = Edit::new(
                    String::new(),
                    format!("without the arm {}", self.short(&arm.pat)),
                );
                match &arm.guard {
                    Some((_, guard)) => {
                        let start = guard.span().byte_range().start;
                        self.note(start..start, Kind::Guard, vec![edit]);
                    }
                    None => {
                        let end = arm.pat.span().byte_range().end;
                        self.note(end..end, Kind::Arm, vec![edit]);
                    }
                }
            }
        }
        visit::visit_expr_match(self, expression);
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        if self.build.has(arm) {
            if let Some((_, guard)) = &arm.guard {
                self.note_condition(guard);
            }
            visit::visit_arm(self, arm);
        }
    }

    fn visit_expr_binary(&mut self, expression: &'ast ExprBinary) {
        if !has_let(&expression.left) && !has_let(&expression.right) {
            let (left, right) = (self.code(&expression.left), self.code(&expression.right));
            let edits = others(&expression.op).iter().map(|other| {
                let label = format!("{} becomes `{other}`", self.short(expression));
                Edit::new(format!("({left}) {other} ({right})"), label)
            });
            let edits = edits.collect();
            self.note(expression.span().byte_range(), Kind::Expression, edits);
        }
        visit::visit_expr_binary(self, expression);
    }

    fn visit_expr_unary(&mut self, expression: &'ast ExprUnary) {
        let operator = match expression.op {
            UnOp::Not(_) => "!",
            UnOp::Neg(_) => "-",
            _ => return visit::visit_expr_unary(self, expression),
        };
        let label = format!("{} without `{operator}`", self.short(expression));
        let edit = Edit::new(format!("({})", self.code(&expression.expr)), label);
        self.note(expression.span().byte_range(), Kind::Expression, vec![edit]);
        visit::visit_expr_unary(self, expression);
    }

    // What is known when the crate is built cannot ask for a number.
    fn visit_expr_const(&mut self, _: &'ast ExprConst) {}

    fn visit_expr_repeat(&mut self, expression: &'ast ExprRepeat) {
        self.visit_expr(&expression.expr);
    }

    fn visit_type(&mut self, _: &'ast Type) {}

    fn visit_generic_argument(&mut self, _: &'ast GenericArgument) {}

    fn visit_pat(&mut self, _: &'ast Pat) {}
}

fn takes_all(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        // A name, and no constant.
        Pat::Ident(name) => {
            name.subpat.is_none() && name.ident.to_string().starts_with(char::is_lowercase)
        }
        _ => false,
    }
}

fn has_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

fn is_call(expression: &Expr) -> bool {
    match expression {
        Expr::Call(_) | Expr::MethodCall(_) => true,
        Expr::Try(tried) => is_call(&tried.expr),
        Expr::Await(awaited) => is_call(&awaited.base),
        _ => false,
    }
}

fn is_assignment(expression: &Expr) -> bool {
    match expression {
        Expr::Assign(_) => true,
        Expr::Binary(binary) => is_assigning(&binary.op),
        _ => false,
    }
}

fn is_assigning(operator: &BinOp) -> bool {
    use BinOp::*;
    matches!(
        operator,
        AddAssign(_)
            | SubAssign(_)
            | MulAssign(_)
            | DivAssign(_)
            | RemAssign(_)
            | BitXorAssign(_)
            | BitAndAssign(_)
            | BitOrAssign(_)
            | ShlAssign(_)
            | ShrAssign(_)
    )
}

/// What an operator becomes.
fn others(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["==", ">", "<="],
        BinOp::Gt(_) => &["==", "<", ">="],
        BinOp::Le(_) => &[">", "<"],
        BinOp::Ge(_) => &["<", ">"],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Add(_) => &["-", "*"],
        BinOp::Sub(_) => &["+", "/"],
        BinOp::Mul(_) => &["+", "/"],
        BinOp::Div(_) => &["%", "*"],
        BinOp::Rem(_) => &["/", "+"],
        BinOp::BitAnd(_) => &["|", "^"],
        BinOp::BitOr(_) => &["&", "^"],
        BinOp::BitXor(_) => &["&", "|"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::AddAssign(_) => &["-=", "*="],
        BinOp::SubAssign(_) => &["+=", "/="],
        BinOp::MulAssign(_) => &["+=", "/="],
        BinOp::DivAssign(_) => &["%=", "*="],
        BinOp::RemAssign(_) => &["/=", "+="],
        BinOp::BitAndAssign(_) => &["|=", "^="],
        BinOp::BitOrAssign(_) => &["&=", "^="],
        BinOp::BitXorAssign(_) => &["&=", "|="],
        BinOp::ShlAssign(_) => &[">>="],
        BinOp::ShrAssign(_) => &["<<="],
        _ => &[],
    }
}
