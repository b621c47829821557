//! `error_reaches_everyone_once`: a failed creation's error goes to its caller and to the fallible
//! callers who were waiting for that very creation; the creator is not run again for them. A caller
//! of the infallible form elects anew.
//!
//! ```breakages
//! failure-elects-anew | src/raw/end.rs
//! - self.end(ended, end, seen, |falls_back| {
//! - Ending::Failed(failure, falls_back)
//! - });
//! + drop(failure);
//! + self.end(ended, end, seen, |_| Ending::ElectAnew);
//!
//! failure-wakes-nobody | src/raw/end.rs
//! @ fn end(&self
//! - tell(waiters, superseded, ending(!is_answer));
//! + drop((waiters, superseded, ending(!is_answer)));
//!
//! infallible-callers-fail | src/call/election/told.rs
//! - Ending::Failed(failure, falls_back) if began_in_time && takes_failures
//! + Ending::Failed(failure, falls_back) if began_in_time
//! ```

use crate::kind::{Pile, model};
use dogpile::Error;
use loom_tests::HOUR;
use loom_tests::sync::Arc;
use loom_tests::thread;

#[test]
fn typed_untyped_and_not_at_all() {
    model(|| {
        let pile = Arc::new(Pile::new(HOUR));
        let mut waiting = 0;
        let mut fallible = None;
        let mut infallible = None;
        let answer = pile.get_or_try_create(|| {
            fallible = Some({
                let pile = Arc::clone(&pile);
                thread::spawn(move || pile.get_or_try_create(|| Ok::<_, u8>(1)).map(|v| *v))
            });
            infallible = Some({
                let pile = Arc::clone(&pile);
                thread::spawn(move || *pile.get_or_create(|| 2))
            });
            waiting = pile.waiters();
            Err::<i32, u8>(9)
        });
        assert!(matches!(answer, Err(Error::Create(error)) if *error == 9));
        let told = match fallible.unwrap().join().unwrap() {
            Err(Error::Create(error)) if *error == 9 => true,
            // It came later, and created, or found what the other one had.
            Ok(1 | 2) => false,
            other => panic!("{other:?}"),
        };
        assert!(matches!(infallible.unwrap().join().unwrap(), 1 | 2));
        if waiting == 2 {
            assert!(told, "it waited for the creation that failed");
        }
    });
}

#[test]
fn an_error_of_another_type_comes_untyped() {
    model(|| {
        let pile = Arc::new(Pile::new(HOUR));
        let mut inside = None;
        let answer = pile.get_or_try_create(|| {
            let waiter = {
                let pile = Arc::clone(&pile);
                thread::spawn(move || pile.get_or_try_create(|| Ok::<_, u8>(1)).map(|v| *v))
            };
            inside = Some((pile.waiters() == 1, waiter));
            Err::<i32, char>('x')
        });
        assert!(answer.is_err());
        let (waited, waiter) = inside.unwrap();
        match waiter.join().unwrap() {
            Err(Error::Failed(failure)) => assert_eq!(failure.downcast_ref(), Some(&'x')),
            answer => assert!(!waited && answer.unwrap() == 1),
        }
    });
}
