//! What the factories of all components have in common, and the words that specs and reports are written with.

use crate::status::TOO_LARGE;
use crate::{Builtin, address};
use stageline_component::{
    AttributeError, AttributeKind, AttributeSpec, Attributes, Component, Error, Factory, Message,
    Report, Source, Spec, TooLarge, Value,
};
use std::fmt;
use std::time::Duration;

/// What is made of the attributes of one place in a pipeline, once, and what all instances there are made of.
pub(crate) trait Plan: Sized + Send + Sync + 'static {
    /// The component's.
    const SPEC: &'static Spec;

    /// Checks the attributes together, and prepares what can be: expressions, patterns, paths.
    fn new(attributes: &Attributes) -> Result<Self, Error>;

    /// As [`Factory::component`].
    fn component(&self) -> Result<Box<dyn Component>, Error> {
        Err(Error::new(format!("`{}` handles no messages", Self::SPEC.name)))
    }

    /// As [`Factory::source`].
    fn source(&self) -> Result<Box<dyn Source>, Error> {
        Err(Error::new(format!("`{}` produces no messages", Self::SPEC.name)))
    }

    /// As [`Factory::pool_size`].
    fn pool_size(&self) -> Option<usize> {
        None
    }
}

/// The entry of a component in the registry.
pub(crate) const fn builtin<P: Plan>() -> Builtin {
    Builtin { spec: P::SPEC, factory: || Box::new(Planned::<P>::new()) }
}

/// The factory of what has a plan.
struct Planned<P> {
    attributes: Attributes,
    plan: Option<P>,
}

impl<P: Plan> Planned<P> {
    fn new() -> Self {
        Self { attributes: Attributes::new(P::SPEC), plan: None }
    }

    fn plan(&self) -> Result<&P, Error> {
        let unprepared = || Error::new(format!("`{}` is not prepared", P::SPEC.name));
        self.plan.as_ref().ok_or_else(unprepared)
    }
}

impl<P: Plan> Factory for Planned<P> {
    fn spec(&self) -> &Spec {
        P::SPEC
    }

    fn set_attribute(&mut self, name: &str, value: &Value) -> Result<(), AttributeError> {
        self.attributes.set(name, value)
    }

    fn prepare(&mut self) -> Result<(), Error> {
        self.attributes.complete()?;
        let plan = P::new(&self.attributes)?;
        address::check(P::SPEC, &self.attributes)?;
        self.plan = Some(plan);
        Ok(())
    }

    fn component(&self) -> Result<Box<dyn Component>, Error> {
        self.plan()?.component()
    }

    fn source(&self) -> Result<Box<dyn Source>, Error> {
        self.plan()?.source()
    }

    fn pool_size(&self) -> Option<usize> {
        self.plan.as_ref()?.pool_size()
    }
}

/// An attribute that need not be set.
pub(crate) const fn optional(
    name: &'static str,
    kind: AttributeKind,
    doc: &'static str,
) -> AttributeSpec {
    AttributeSpec { name, kind, default: None, required: false, doc }
}

/// An attribute that must be set.
pub(crate) const fn required(
    name: &'static str,
    kind: AttributeKind,
    doc: &'static str,
) -> AttributeSpec {
    AttributeSpec { name, kind, default: None, required: true, doc }
}

/// An attribute that has this value unless it is set.
pub(crate) const fn defaulted(
    name: &'static str,
    kind: AttributeKind,
    default: &'static str,
    doc: &'static str,
) -> AttributeSpec {
    AttributeSpec { name, kind, default: Some(default), required: false, doc }
}

/// How many threads a component may have of its own.
pub(crate) const THREADS_MAX: i64 = 256;

/// The threads of a component that blocks.
pub(crate) const THREADS: AttributeSpec = defaulted(
    "threads",
    AttributeKind::Integer,
    "1",
    "How many threads of its own run it, from 1 to 256. Each has its own instance.",
);

/// The value of [`THREADS`].
pub(crate) fn threads(attributes: &Attributes) -> Result<usize, Error> {
    let threads = attributes.integer_in("threads", 1..=THREADS_MAX)?;
    Ok(threads.map_or(1, |threads| threads as usize))
}

/// A number of bytes that must not be 0.
pub(crate) fn bytes(attributes: &Attributes, name: &str) -> Result<Option<u64>, AttributeError> {
    match attributes.size(name) {
        Some(0) => Err(AttributeError::invalid(name, &0.into(), "a byte at least")),
        size => Ok(size),
    }
}

/// A time that must not be 0.
pub(crate) fn time(
    attributes: &Attributes,
    name: &str,
) -> Result<Option<Duration>, AttributeError> {
    match attributes.duration(name) {
        Some(Duration::ZERO) => Err(AttributeError::invalid(name, &0.into(), "more than no time")),
        time => Ok(time),
    }
}

/// A list whose elements are texts.
pub(crate) fn texts(attributes: &Attributes, name: &str) -> Result<Vec<String>, AttributeError> {
    let text = |value: &Value| match value {
        Value::Text(_) | Value::Integer(_) => Ok(value.to_text().unwrap_or_default()),
        other => Err(AttributeError::invalid(name, other, "a list of texts")),
    };
    attributes.list(name).unwrap_or_default().iter().map(text).collect()
}

/// Describes the message as the text says, and answers with the report.
pub(crate) fn answer(message: &mut Message, report: Report, text: impl fmt::Display) -> Report {
    message.describe(&text.to_string());
    report
}

/// Answers that the result is too large.
#[cold]
pub(crate) fn too_large(message: &mut Message, error: TooLarge) -> Report {
    answer(message, TOO_LARGE, format_args!("the result is too large: {error}"))
}

/// What the tests of components have in common.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// How many bytes the messages of tests have at most.
    pub(crate) const MESSAGE_MAX: usize = 1 << 20;

    /// A prepared factory, or all that is wrong.
    pub(crate) fn prepared<P: Plan>(values: &[(&str, Value)]) -> Result<Box<dyn Factory>, String> {
        let mut factory = (builtin::<P>().factory)();
        for (name, value) in values {
            factory.set_attribute(name, value).map_err(|error| error.to_string())?;
        }
        factory.prepare().map_err(|error| format!("{error:#}"))?;
        Ok(factory)
    }

    /// A component with these attributes.
    #[track_caller]
    pub(crate) fn component<P: Plan>(values: &[(&str, Value)]) -> Box<dyn Component> {
        prepared::<P>(values).unwrap().component().unwrap()
    }

    /// What is wrong with these attributes.
    #[track_caller]
    pub(crate) fn refused<P: Plan>(values: &[(&str, Value)]) -> String {
        match prepared::<P>(values) {
            Ok(_) => panic!("{values:?} is taken"),
            Err(error) => error,
        }
    }

    /// A message that says this.
    pub(crate) fn message(data: impl AsRef<[u8]>) -> Message {
        let mut message = Message::new(64, MESSAGE_MAX);
        message.set_data(data.as_ref()).unwrap();
        message
    }

    /// A list of texts.
    pub(crate) fn list(texts: &[&str]) -> Value {
        Value::List(texts.iter().copied().map(Value::from).collect())
    }

    /// A map.
    pub(crate) fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
        Value::Map(pairs.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtins;
    use stageline_component::Kind;
    use std::collections::BTreeSet;

    struct Fold {
        threads: usize,
    }

    impl Plan for Fold {
        const SPEC: &'static Spec = &Spec {
            name: "fold",
            kind: Kind::Transform,
            summary: "",
            attributes: &[THREADS, required("path", AttributeKind::Text, "")],
            doc: "",
        };

        fn new(attributes: &Attributes) -> Result<Self, Error> {
            Ok(Self { threads: threads(attributes)? })
        }

        fn pool_size(&self) -> Option<usize> {
            Some(self.threads)
        }
    }

    #[test]
    fn a_plan_is_made_of_the_attributes() {
        let path = ("path", Value::from("a"));
        let factory = testing::prepared::<Fold>(std::slice::from_ref(&path)).unwrap();
        assert_eq!(factory.pool_size(), Some(1));
        let factory = testing::prepared::<Fold>(&[path.clone(), ("threads", 256.into())]).unwrap();
        assert_eq!(factory.pool_size(), Some(256));
        let error = factory.component().err().unwrap();
        assert_eq!(error.text(), "`fold` handles no messages");
        assert_eq!(factory.source().err().unwrap().text(), "`fold` produces no messages");
        assert_eq!(testing::refused::<Fold>(&[]), "`fold` needs the attribute `path`");
        for threads in [0, 257] {
            let error = testing::refused::<Fold>(&[path.clone(), ("threads", threads.into())]);
            assert_eq!(error, format!("`threads` = {threads}: expected a number from 1 to 256"));
        }
        let error = testing::refused::<Fold>(&[("pat", "a".into())]);
        assert_eq!(error, "`fold` has no attribute `pat`; did you mean `path`?");
        let unprepared = (builtin::<Fold>().factory)();
        assert_eq!(unprepared.component().err().unwrap().text(), "`fold` is not prepared");
        assert_eq!(unprepared.pool_size(), None);
    }

    #[test]
    fn every_spec_is_complete() {
        let mut names = BTreeSet::new();
        for spec in builtins().map(|builtin| builtin.spec) {
            let name = spec.name;
            assert!(names.insert(name), "{name} is there twice");
            assert!(!spec.summary.is_empty() && !spec.summary.ends_with('.'), "{name}: summary");
            let example = [format!("s.{name} "), format!("s.{name}(")];
            assert!(example.iter().any(|call| spec.doc.contains(call)), "{name}: no example");
            let mut attributes = BTreeSet::new();
            for attribute in spec.attributes {
                let place = format!("{name}.{}", attribute.name);
                assert!(attributes.insert(attribute.name), "{place} is there twice");
                assert!(attribute.doc.ends_with('.'), "{place}: its doc is no sentence");
                assert!(!(attribute.required && attribute.default.is_some()), "{place}: both");
                if let Some(default) = attribute.default {
                    let set = Attributes::new(spec).set(attribute.name, &default.into());
                    assert!(set.is_ok(), "{place}: {default}: {set:?}");
                }
            }
        }
    }
}
