//! `observed_once`, by way of `tracing`: a span for each creation, linked to the span of its caller.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread;

use dogpile::executor;
use dogpile::observe::Tracing;
use dogpile::{Created, Dogpile};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Metadata, Subscriber, info_span};
use tracing_core::span::Current;

use crate::forms::{Down, each_form};
use crate::support::{MINUTE, until, within};

/// What is known of a span.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: &'static str,
    parent: Option<u64>,
    follows: Vec<u64>,
    fields: HashMap<&'static str, String>,
    closed: bool,
}

/// A subscriber that notes everything.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The first has the number 1.
    spans: Vec<Seen>,
    metadata: Vec<&'static Metadata<'static>>,
    shares: Vec<usize>,
    /// Which spans each thread is inside.
    inside: HashMap<thread::ThreadId, Vec<u64>>,
}

impl State {
    fn current(&self) -> Option<u64> {
        self.inside.get(&thread::current().id())?.last().copied()
    }

    fn of(&mut self, id: &Id) -> &mut Seen {
        &mut self.spans[id.into_u64() as usize - 1]
    }
}

impl Notes {
    fn of(&self, name: &str) -> Vec<(u64, Seen)> {
        let state = self.0.lock().unwrap();
        let numbered = (1..).zip(&state.spans);
        numbered
            .filter(|(_, span)| span.name == name)
            .map(|(number, span)| (number, span.clone()))
            .collect()
    }

    fn current(&self) -> Option<u64> {
        self.0.lock().unwrap().current()
    }
}

struct Into<'a>(&'a mut HashMap<&'static str, String>);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Notes {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut state = self.0.lock().unwrap();
        let mut seen = Seen {
            name: span.metadata().name(),
            parent: match span.parent() {
                Some(parent) => Some(parent.into_u64()),
                None if span.is_contextual() => state.current(),
                None => None,
            },
            ..Seen::default()
        };
        span.record(&mut Into(&mut seen.fields));
        state.spans.push(seen);
        state.metadata.push(span.metadata());
        state.shares.push(1);
        Id::from_u64(state.spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut state = self.0.lock().unwrap();
        values.record(&mut Into(&mut state.of(span).fields));
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        let mut state = self.0.lock().unwrap();
        state.of(span).follows.push(follows.into_u64());
    }

    fn event(&self, _event: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        let mut state = self.0.lock().unwrap();
        let inside = state.inside.entry(thread::current().id()).or_default();
        inside.push(span.into_u64());
    }

    fn exit(&self, span: &Id) {
        let mut state = self.0.lock().unwrap();
        let inside = state.inside.entry(thread::current().id()).or_default();
        assert_eq!(inside.pop(), Some(span.into_u64()));
    }

    fn clone_span(&self, span: &Id) -> Id {
        let mut state = self.0.lock().unwrap();
        state.shares[span.into_u64() as usize - 1] += 1;
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        let mut state = self.0.lock().unwrap();
        let shares = &mut state.shares[span.into_u64() as usize - 1];
        *shares -= 1;
        let closed = *shares == 0;
        state.of(&span).closed = closed;
        closed
    }

    fn current_span(&self) -> Current {
        let state = self.0.lock().unwrap();
        match state.current() {
            Some(number) => {
                let metadata = state.metadata[number as usize - 1];
                Current::new(Id::from_u64(number), metadata)
            }
            None => Current::none(),
        }
    }
}

#[test]
fn a_span_for_each_creation_in_every_form() {
    within(|| {
        each_form(
            || Dogpile::builder(MINUTE).observer(Arc::new(Tracing)),
            |form| {
                let notes = Notes::default();
                with_default(notes.clone(), || {
                    let caller = info_span!("caller");
                    let number = caller.id().unwrap().into_u64();
                    let _inside = caller.enter();
                    let inner = notes.clone();
                    let answer = form.get(move || {
                        let creation = inner.of("creation").pop().unwrap();
                        // The creator is inside of it, wherever it runs.
                        assert_eq!(inner.current(), Some(creation.0));
                        Ok(Created::new(7))
                    });
                    assert_eq!(answer.unwrap().0, 7);
                    until(|| notes.of("creation")[0].1.closed);
                    let (_, creation) = notes.of("creation").pop().unwrap();
                    assert_eq!(creation.follows, [number], "{creation:?}");
                    assert_eq!(
                        creation.parent,
                        (!form.is_in_background()).then_some(number)
                    );
                    assert_eq!(creation.fields["end"], "\"published\"");
                    // Hits are not traced.
                    if !form.acquires {
                        assert_eq!(form.get(|| Err(Down(1))).unwrap().0, 7);
                        assert_eq!(notes.of("creation").len(), 1);
                    }
                    assert_eq!(notes.current(), Some(number));
                });
            },
        );
    });
}

#[test]
fn a_failure_is_in_its_span() {
    within(|| {
        let notes = Notes::default();
        with_default(notes.clone(), || {
            let pile = Arc::new(Dogpile::builder(MINUTE).observer(Arc::new(Tracing)).build());
            let answer = pile.get_or_try_create(|| Err::<u32, _>("no route"));
            assert!(answer.is_err());
            let (_, creation) = notes.of("creation").pop().unwrap();
            assert_eq!(creation.fields["end"], "\"failed\"");
            assert_eq!(creation.fields["waiters"], "0");
            assert!(creation.fields["failure"].contains("no route"));
            assert!(creation.fields["call"].contains("traced.rs"));
            assert_eq!((creation.parent, creation.follows.len()), (None, 0));
            // What a job does that no caller waits for.
            pile.set(1);
            let call = pile.background(&executor::Thread);
            assert!(call.renew(|| Ok::<_, &str>(2)).unwrap());
            until(|| notes.of("creation")[1].1.closed);
            let (_, creation) = notes.of("creation").pop().unwrap();
            assert_eq!(creation.fields["end"], "\"published\"");
        });
    });
}
