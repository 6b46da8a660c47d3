//! What filters mostly are: comparisons of places with constants or with each other, joined by `&&`, `||` and `!`.
//!
//! It answers as `cel` does, or not at all: values of kinds that do not compare, and numbers that a comparison would
//! round, are left to `cel`.

use super::places::{self, Place, Reader};
use crate::json::Scalar;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use cel::parser::Expression as Tree;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A condition.
#[derive(Debug)]
pub(super) enum Simple {
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    Not(Box<Self>),
    /// A boolean.
    Is(Operand),
    Compare(Operator, Operand, Operand),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug)]
pub(super) enum Operand {
    Place(usize),
    Constant(Scalar<'static>),
}

/// True, false, or unknown because of a null.
type Answer = Option<bool>;

/// `cel` is to decide.
#[derive(Debug)]
pub(super) struct Undecided;

/// Above this, not every whole number is one of 64 bits with a fraction.
const EXACT_MAX: u64 = 1 << 53;

impl Simple {
    /// The condition that a tree is, if it is that simple.
    pub(super) fn new(tree: &Tree) -> Option<Self> {
        if let Expr::Call(call) = &tree.expr
            && let Some(simple) = Self::of_call(call)
        {
            return Some(simple);
        }
        Operand::new(tree).map(Self::Is)
    }

    fn of_call(call: &CallExpr) -> Option<Self> {
        match call.args.as_slice() {
            [one] if call.func_name == operators::LOGICAL_NOT => {
                Some(Self::Not(Box::new(Self::new(one)?)))
            }
            [left, right] => {
                let both = || Some(Box::new([Self::new(left)?, Self::new(right)?]));
                let operator = match call.func_name.as_str() {
                    operators::LOGICAL_AND => return both().map(Self::And),
                    operators::LOGICAL_OR => return both().map(Self::Or),
                    operators::EQUALS => Operator::Equal,
                    operators::NOT_EQUALS => Operator::Unequal,
                    operators::LESS => Operator::Less,
                    operators::LESS_EQUALS => Operator::LessOrEqual,
                    operators::GREATER => Operator::Greater,
                    operators::GREATER_EQUALS => Operator::GreaterOrEqual,
                    _ => return None,
                };
                Some(Self::Compare(operator, Operand::new(left)?, Operand::new(right)?))
            }
            _ => None,
        }
    }

    pub(super) fn evaluate(&self, reader: &Reader<'_>) -> Result<Answer, Undecided> {
        match self {
            Self::And(both) => match both[0].evaluate(reader)? {
                Some(false) => Ok(Some(false)),
                left => Ok(match both[1].evaluate(reader)? {
                    Some(false) => Some(false),
                    right => left.and(right),
                }),
            },
            Self::Or(both) => match both[0].evaluate(reader)? {
                Some(true) => Ok(Some(true)),
                left => Ok(match both[1].evaluate(reader)? {
                    Some(true) => Some(true),
                    right => left.and(right),
                }),
            },
            Self::Not(inner) => Ok(inner.evaluate(reader)?.map(|is_true| !is_true)),
            Self::Is(operand) => match operand.get(reader)? {
                Scalar::Boolean(is_true) => Ok(Some(is_true)),
                Scalar::Null => Ok(None),
                _ => Err(Undecided),
            },
            Self::Compare(operator, left, right) => {
                operator.compare(&left.get(reader)?, &right.get(reader)?)
            }
        }
    }
}

impl Operator {
    fn compare(self, left: &Scalar<'_>, right: &Scalar<'_>) -> Result<Answer, Undecided> {
        let is_equality = matches!(self, Self::Equal | Self::Unequal);
        let order = match (left, right) {
            (Scalar::Array(_) | Scalar::Object(_), _)
            | (_, Scalar::Array(_) | Scalar::Object(_)) => {
                return Err(Undecided);
            }
            (Scalar::Null, _) | (_, Scalar::Null) if !is_equality => return Ok(None),
            (Scalar::Null, Scalar::Null) => Ordering::Equal,
            (Scalar::Integer(left), Scalar::Integer(right)) => left.cmp(right),
            (Scalar::Number(left), Scalar::Number(right)) => ordered(*left, *right)?,
            (Scalar::Integer(left), Scalar::Number(right)) => ordered(exact(*left)?, *right)?,
            (Scalar::Number(left), Scalar::Integer(right)) => ordered(*left, exact(*right)?)?,
            (Scalar::Text(left), Scalar::Text(right)) => left.cmp(right),
            (Scalar::Boolean(left), Scalar::Boolean(right)) if is_equality => left.cmp(right),
            (Scalar::Unsigned(_), _) | (_, Scalar::Unsigned(_)) => return Err(Undecided),
            // Of kinds that differ.
            _ if is_equality => Ordering::Less,
            _ => return Err(Undecided),
        };
        Ok(Some(match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }))
    }
}

fn ordered(left: f64, right: f64) -> Result<Ordering, Undecided> {
    left.partial_cmp(&right).ok_or(Undecided)
}

fn exact(number: i64) -> Result<f64, Undecided> {
    if number.unsigned_abs() <= EXACT_MAX { Ok(number as f64) } else { Err(Undecided) }
}

impl Operand {
    fn new(tree: &Tree) -> Option<Self> {
        let Expr::Literal(literal) = &tree.expr else {
            return places::named(tree).map(Self::Place);
        };
        Some(Self::Constant(match literal {
            LiteralValue::Boolean(is_true) => Scalar::Boolean(*is_true.inner()),
            LiteralValue::Double(number) => Scalar::Number(*number.inner()),
            LiteralValue::Int(number) => Scalar::Integer(*number.inner()),
            LiteralValue::Null => Scalar::Null,
            LiteralValue::String(text) => Scalar::Text(Cow::Owned(text.inner().to_owned())),
            LiteralValue::Bytes(_) | LiteralValue::UInt(_) => return None,
        }))
    }

    fn get<'a>(&'a self, reader: &Reader<'a>) -> Result<Scalar<'a>, Undecided> {
        match self {
            Self::Constant(Scalar::Text(text)) => Ok(Scalar::Text(Cow::Borrowed(text))),
            Self::Constant(constant) => Ok(constant.clone()),
            Self::Place(place) => match reader.get(*place) {
                Place::Value(scalar) => Ok(scalar),
                Place::Is(is_there) => Ok(Scalar::Boolean(is_there)),
                Place::Bytes(_) => Err(Undecided),
            },
        }
    }
}
