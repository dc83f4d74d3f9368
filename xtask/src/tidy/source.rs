//! Rules about one source file: its length, the length of its functions, and its matches over the table of
//! operations.
use super::Violation;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

const MAX_FILE_LINES: usize = 1000;
const MAX_FUNCTION_LINES: usize = 70;
/// The enum that is the table of operations: a new operation must be met by a compile error in every match.
const TABLE: &str = "OpCode";
/// Tests and the crates that verify look at operations from outside: a new one does not change what they do.
const OBSERVERS: [&str; 6] =
    ["/tests/", "crates/bench/", "crates/differential/", "crates/interop/", "crates/model/", "crates/sim/"];
const SOURCE_SUFFIXES: [&str; 9] = [".rs", ".py", ".java", ".go", ".js", ".c", ".h", ".sh", ".toml"];

pub fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_FILE_LINES && SOURCE_SUFFIXES.iter().any(|suffix| path.ends_with(suffix)) {
        found.push(Violation::new(path, 0, format!("{lines} lines; a file has at most {MAX_FILE_LINES}")));
    }
    if path.ends_with(".rs") {
        match syn::parse_file(text) {
            Ok(file) => {
                let mut walker = Walker { path, found };
                walker.visit_file(&file);
                found = walker.found;
            }
            Err(error) => found.push(Violation::new(path, error.span().start().line, error.to_string())),
        }
    }
    found
}

struct Walker<'a> {
    path: &'a str,
    found: Vec<Violation>,
}

impl Walker<'_> {
    /// From the line with the name to the closing brace; attributes and documentation do not count.
    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let first = signature.span().start().line;
        let lines = body.brace_token.span.close().end().line + 1 - first;
        if lines > MAX_FUNCTION_LINES {
            let name = &signature.ident;
            let message = format!("fn {name} has {lines} lines; a function has at most {MAX_FUNCTION_LINES}");
            self.found.push(Violation::new(self.path, first, message));
        }
    }
}

impl<'ast> Visit<'ast> for Walker<'_> {
    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        self.function(&node.sig, &node.block);
        visit::visit_item_fn(self, node);
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        self.function(&node.sig, &node.block);
        visit::visit_impl_item_fn(self, node);
    }

    fn visit_trait_item_fn(&mut self, node: &'ast syn::TraitItemFn) {
        if let Some(body) = &node.default {
            self.function(&node.sig, body);
        }
        visit::visit_trait_item_fn(self, node);
    }

    fn visit_expr_match(&mut self, node: &'ast syn::ExprMatch) {
        let over_table = node.arms.iter().any(|arm| names_table(&arm.pat));
        let product = !OBSERVERS.iter().any(|place| self.path.contains(place));
        let catch_all = node.arms.iter().find(|arm| catches_all(&arm.pat));
        if let (true, Some(arm)) = (over_table && product, catch_all) {
            let message = format!("a match over {TABLE} names every operation: no arm for all the rest");
            self.found.push(Violation::new(self.path, arm.pat.span().start().line, message));
        }
        visit::visit_expr_match(self, node);
    }
}

/// Whether a pattern names a variant of the table.
fn names_table(pattern: &syn::Pat) -> bool {
    struct Search(bool);
    impl<'ast> Visit<'ast> for Search {
        fn visit_path(&mut self, path: &'ast syn::Path) {
            self.0 |= path.segments.len() > 1 && path.segments.iter().any(|segment| segment.ident == TABLE);
            visit::visit_path(self, path);
        }
    }
    let mut search = Search(false);
    search.visit_pat(pattern);
    search.0
}

/// Whether a pattern takes whatever is left: `_`, a bare name, or one of these among alternatives.
fn catches_all(pattern: &syn::Pat) -> bool {
    match pattern {
        syn::Pat::Wild(_) => true,
        // A name in lower case binds; one in upper case is a constant.
        syn::Pat::Ident(name) => {
            let text = name.ident.to_string();
            name.subpat.is_none() && text.starts_with(|letter: char| letter.is_lowercase() || letter == '_')
        }
        syn::Pat::Or(any) => any.cases.iter().any(catches_all),
        syn::Pat::Paren(inner) => catches_all(&inner.pat),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(body_lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    call();\n".repeat(body_lines))
    }

    #[test]
    fn a_long_function_is_found_wherever_it_is() {
        assert_eq!(check("a.rs", &lines_of(68)), []);
        let found = check("a.rs", &lines_of(69));
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("fn long has 71 lines"), "{found:?}");
        for wrap in ["impl X { BODY }", "trait X { BODY }", "mod x { BODY }", "fn out() { BODY }"] {
            let found = check("a.rs", &wrap.replace("BODY", &lines_of(69)));
            assert!(found.iter().any(|one| one.message.contains("fn long has 71 lines")), "{wrap}");
        }
    }

    #[test]
    fn documentation_does_not_count_as_function() {
        let text = format!("{}#[inline]\n{}", "/// Text.\n".repeat(80), lines_of(60));
        assert_eq!(check("a.rs", &text), []);
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(check("a.rs", &"// x\n".repeat(1000)), []);
        assert_eq!(check("a.rs", &"// x\n".repeat(1001)).len(), 1);
        assert_eq!(check("a.py", &"# x\n".repeat(1001)).len(), 1);
        assert_eq!(check("Cargo.lock", &"x\n".repeat(1001)), []);
    }

    #[test]
    fn a_catch_all_over_the_table_is_found() {
        let arms = |rest: &str| format!("fn f(op: OpCode) {{ match op {{ OpCode::Create => 1, {rest} }}; }}");
        for bad in ["_ => 2", "other => 2", "OpCode::Delete | _ => 2", "_ if x => 2, OpCode::Delete => 3"] {
            assert_eq!(check("a.rs", &arms(bad)).len(), 1, "{bad}");
        }
        for good in ["OpCode::Delete => 2", "OpCode::Delete | OpCode::Sync => 2"] {
            assert_eq!(check("a.rs", &arms(good)), [], "{good}");
        }
        assert_eq!(check("crates/node/tests/a.rs", &arms("_ => 2")), []);
        assert_eq!(check("crates/model/src/a.rs", &arms("_ => 2")), []);
        assert_eq!(check("crates/node/src/a.rs", &arms("_ => 2")).len(), 1);
        let tuple = "fn f() { match (op, x) { (OpCode::Create, 1) => 1, _ => 2 }; }";
        assert_eq!(check("a.rs", tuple).len(), 1);
        let decode = "fn f(n: i32) { match n { 1 => Some(OpCode::Create), _ => None }; }";
        assert_eq!(check("a.rs", decode), []);
        let other = "fn f() { match role { Role::Leader => 1, _ => 2 }; }";
        assert_eq!(check("a.rs", other), []);
    }

    #[test]
    fn a_file_that_is_not_rust_is_found() {
        assert_eq!(check("a.rs", "fn {").len(), 1);
    }
}
