//! From the text of an expression to a tree in which every name is a place of the message.

use super::places::{self, Places};
use crate::pattern;
use cel::Program;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};
use cel::parser::Expression as Tree;
use std::thread;

/// The message as a whole.
const THIS: &str = "this";

/// The attributes of the message.
const ATTRIBUTES: &str = "attributes";

/// The function that takes a pattern.
const MATCHES: &str = "matches";

/// Names of types, as in `type(x) == int`. A field of such a name is `this.int`.
const TYPES: [&str; 12] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "duration",
    "timestamp",
];

/// How many bytes an expression has at most.
pub(super) const SOURCE_MAX: usize = 16 * 1024;

/// How deep brackets may stand in each other, and how many operators there may be, and calls on what was called:
/// trees are evaluated by a function that calls itself, on stacks of 2 MiB. (Unoptimised, a level takes 40 KiB.) Those
/// within strings are counted with them; `&&`, `||` and `!` are not, of which the parser makes no deep trees.
pub(super) const NESTED_MAX: usize = 24;
pub(super) const OPERATORS_MAX: usize = 40;

/// How many bytes the compiler has for its calls.
const COMPILER_STACK: usize = 32 << 20;

fn check_size(source: &str) -> Result<(), String> {
    let (mut depth, mut deepest, mut operators) = (0_usize, 0, 0);
    let last = [0].into_iter().chain(source.bytes());
    for (byte, last) in source.bytes().zip(last) {
        match byte {
            // A name within a name is found by name, and not evaluated.
            b'.' if !matches!(last, b')' | b']' | b'}') => {}
            b'[' => (depth, operators) = (depth + 1, operators + 1),
            b'(' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'?' => operators += 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    let limits = [
        (source.len(), SOURCE_MAX, "bytes"),
        (deepest, NESTED_MAX, "levels of brackets"),
        (operators, OPERATORS_MAX, "operators and calls"),
    ];
    match limits.into_iter().find(|(is, max, _)| is > max) {
        Some((is, max, of)) => Err(format!("an expression of at most {max} {of}, not {is}")),
        None => Ok(()),
    }
}

/// The tree, or what is wrong with the text, for the end of a sentence that begins with "expected". It is made on a
/// thread with room for it: unoptimised, a level of brackets takes the parser 200 KiB.
pub(super) fn compile(source: &str, places: &mut Places) -> Result<Tree, String> {
    check_size(source)?;
    let compiled = thread::scope(|scope| {
        let compile = || compile_here(source, places);
        let compiler =
            thread::Builder::new().stack_size(COMPILER_STACK).spawn_scoped(scope, compile);
        compiler.map(|compiler| compiler.join())
    });
    match compiled {
        Ok(Ok(tree)) => tree,
        Ok(Err(_)) => Err("an expression in CEL: the parser gave up on it".to_owned()),
        Err(error) => Err(format!("an expression in CEL, and a thread to parse it on: {error}")),
    }
}

fn compile_here(source: &str, places: &mut Places) -> Result<Tree, String> {
    let program = Program::compile(source).map_err(|errors| {
        let place = errors.errors.first().map_or_else(String::new, |error| {
            let text = error.msg.lines().next().unwrap_or_default();
            format!(": line {}, column {}: {text}", error.pos.0, error.pos.1)
        });
        format!("an expression in CEL{place}")
    })?;
    let mut tree = program.expression().clone();
    let mut compiler = Compiler { places, bound: Vec::new(), wrong: None };
    compiler.visit(&mut tree);
    compiler.wrong.map_or(Ok(()), Err)?;
    check_functions(&tree)?;
    Ok(tree)
}

struct Compiler<'a> {
    places: &'a mut Places,
    /// The variables of the comprehensions around.
    bound: Vec<String>,
    wrong: Option<String>,
}

/// What a chain of names is.
enum Chain<'a> {
    Field(Vec<&'a str>),
    Attribute(&'a str),
    /// The attributes as a whole.
    Attributes,
}

impl Compiler<'_> {
    /// Puts places where names are.
    fn visit(&mut self, tree: &mut Tree) {
        let tests = matches!(&tree.expr, Expr::Select(select) if select.test);
        let place = match self.chain(&tree.expr) {
            Some(Chain::Field(names)) => self.places.field(&names, tests),
            Some(Chain::Attribute(name)) => self.places.attribute(name, tests),
            Some(Chain::Attributes) => {
                self.wrong = Some("an attribute by its name: `attributes[\"name\"]`".to_owned());
                return;
            }
            None => return self.visit_inner(tree),
        };
        tree.expr = Expr::Ident(places::name(place));
    }

    /// The names of an expression that is nothing but names: the outer one first.
    fn chain<'t>(&self, expr: &'t Expr) -> Option<Chain<'t>> {
        match expr {
            Expr::Ident(name) if name == THIS && !self.is_bound(name) => Some(Chain::Field(vec![])),
            Expr::Ident(name) if name == ATTRIBUTES && !self.is_bound(name) => {
                Some(Chain::Attributes)
            }
            Expr::Ident(name) if self.is_bound(name) || TYPES.contains(&name.as_str()) => None,
            Expr::Ident(name) => Some(Chain::Field(vec![name.trim_start_matches('.')])),
            Expr::Select(select) => self.member(&select.operand.expr, &select.field),
            Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
                [outer, Tree { expr: Expr::Literal(LiteralValue::String(name)), .. }] => {
                    self.member(&outer.expr, name.inner())
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn member<'t>(&self, outer: &'t Expr, name: &'t str) -> Option<Chain<'t>> {
        // What is tested is a boolean, and has no fields.
        if matches!(outer, Expr::Select(select) if select.test) {
            return None;
        }
        match self.chain(outer)? {
            Chain::Field(mut names) => {
                names.push(name);
                Some(Chain::Field(names))
            }
            Chain::Attributes => Some(Chain::Attribute(name)),
            Chain::Attribute(_) => None,
        }
    }

    fn is_bound(&self, name: &str) -> bool {
        self.bound.iter().any(|bound| bound == name)
    }

    fn visit_inner(&mut self, tree: &mut Tree) {
        match &mut tree.expr {
            Expr::Call(call) => {
                self.check_pattern(call);
                if let Some(target) = &mut call.target {
                    self.visit(target);
                }
                call.args.iter_mut().for_each(|arg| self.visit(arg));
            }
            Expr::Select(select) => self.visit(&mut select.operand),
            Expr::List(list) => list.elements.iter_mut().for_each(|element| self.visit(element)),
            Expr::Map(map) => {
                map.entries.iter_mut().for_each(|entry| self.visit_entry(&mut entry.expr))
            }
            Expr::Struct(made) => {
                let name = &made.type_name;
                self.wrong = Some(format!("an expression without the unknown type `{name}`"));
            }
            Expr::Comprehension(comprehension) => {
                let inner = &mut **comprehension;
                self.visit(&mut inner.iter_range);
                self.visit(&mut inner.accu_init);
                let outer = self.bound.len();
                self.bound.extend([inner.iter_var.clone(), inner.accu_var.clone()]);
                self.bound.extend(inner.iter_var2.clone());
                self.visit(&mut inner.loop_cond);
                self.visit(&mut inner.loop_step);
                self.visit(&mut inner.result);
                self.bound.truncate(outer);
            }
            Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    /// Finds a constant that is no pattern, before the first message does.
    fn check_pattern(&mut self, call: &CallExpr) {
        let pattern = call.args.last().map(|arg| &arg.expr);
        if call.func_name == MATCHES
            && let Some(Expr::Literal(LiteralValue::String(pattern))) = pattern
            && let Err(error) = regex::Regex::new(pattern.inner())
        {
            let (shown, what) = (pattern.inner(), pattern::wrong_with(&error));
            self.wrong = Some(format!(
                "an expression in CEL: the pattern {shown:?} is no regular expression: {what}"
            ));
        }
    }

    fn visit_entry(&mut self, entry: &mut EntryExpr) {
        match entry {
            EntryExpr::MapEntry(entry) => {
                self.visit(&mut entry.key);
                self.visit(&mut entry.value);
            }
            EntryExpr::StructField(field) => self.visit(&mut field.value),
        }
    }
}

/// Finds a function that there is not, before the first message does.
fn check_functions(tree: &Tree) -> Result<(), String> {
    let references = tree.references();
    let functions = references.functions();
    for name in functions {
        let is_operator = !name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !is_operator && !FUNCTIONS.contains(&name) {
            let known = FUNCTIONS.join(", ");
            return Err(format!(
                "an expression without the unknown function `{name}`; there are {known}"
            ));
        }
    }
    Ok(())
}

/// The functions of the standard library, as it is built here: without dates.
const FUNCTIONS: [&str; 13] = [
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    MATCHES,
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];
