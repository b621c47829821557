//! The piles of this process that have a namespace of one store in common: what is invalidated as a
//! whole is at once so in each of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::known::Known;
use crate::store::Depth;

/// A record of this process, as far as its family needs it.
pub(crate) trait Member: Send + Sync {
    fn known(&self) -> &Known;

    /// Its copy here is stale or gone.
    fn change(&self, depth: Depth);
}

/// A pile: of one record, or of many.
pub(crate) trait Members: Send + Sync {
    /// Those of which there is a copy here, or a call that runs.
    fn members(self: Arc<Self>) -> Vec<Arc<dyn Member>>;
}

/// Which family: the store by its address, which is its own for as long as a member keeps the store.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Family {
    store: usize,
    namespace: Box<str>,
}

/// All of this process.
static FAMILIES: Mutex<Option<Families>> = Mutex::new(None);

#[derive(Default)]
struct Families {
    members: HashMap<Family, Vec<Weak<dyn Members>>>,
    /// How many may come until those that are gone are swept out.
    until_sweep: usize,
}

impl Families {
    /// Sweeps each time as many came as there are.
    fn step(&mut self) {
        if let Some(left) = self.until_sweep.checked_sub(1) {
            self.until_sweep = left;
            return;
        }
        self.members.retain(|_, members| {
            members.retain(|member| member.strong_count() > 0);
            !members.is_empty()
        });
        self.until_sweep = self.members.values().map(Vec::len).sum::<usize>().max(64);
    }
}

fn lock() -> MutexGuard<'static, Option<Families>> {
    // Nothing of the caller runs under the lock.
    FAMILIES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Family {
    pub(crate) fn of<S>(store: &Arc<S>, namespace: &str) -> Self {
        Self {
            store: Arc::as_ptr(store).addr(),
            namespace: namespace.into(),
        }
    }

    pub(crate) fn join(self, member: Weak<dyn Members>) {
        let mut families = lock();
        let families = families.get_or_insert_default();
        families.step();
        families.members.entry(self).or_default().push(member);
    }

    fn members(&self) -> Vec<Arc<dyn Member>> {
        let piles: Vec<_> = {
            let families = lock();
            let piles = families.as_ref().and_then(|all| all.members.get(self));
            let piles = piles.into_iter().flatten();
            piles.filter_map(Weak::upgrade).collect()
        };
        piles.into_iter().flat_map(Members::members).collect()
    }

    /// An invalidation of all begins, in each member.
    pub(crate) fn begin_to_invalidate(self, depth: Depth) -> AllChange {
        let begun = self.members().into_iter();
        AllChange {
            begun: begun.map(|member| Begun::new(member, depth)).collect(),
            family: self,
            depth,
        }
    }
}

/// An invalidation of a whole namespace under way. It is done here when it is dropped, whatever the
/// store has done.
pub(crate) struct AllChange {
    family: Family,
    depth: Depth,
    begun: Vec<Begun>,
}

impl Drop for AllChange {
    fn drop(&mut self) {
        let begun: HashSet<_> = (self.begun.iter())
            .map(|begun| std::ptr::from_ref(begun.member.known()))
            .collect();
        // Who joined meanwhile may have read from the store before it was done there.
        for member in self.family.members() {
            if !begun.contains(&std::ptr::from_ref(member.known())) {
                drop(Begun::new(member, self.depth));
            }
        }
    }
}

/// The same in one member. Each ends, also if user code in another one panics.
struct Begun {
    member: Arc<dyn Member>,
    number: u64,
    depth: Depth,
}

impl Begun {
    fn new(member: Arc<dyn Member>, depth: Depth) -> Self {
        Self {
            number: member.known().writes.begins(),
            member,
            depth,
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let (member, depth) = (&self.member, self.depth);
        let writes = &member.known().writes;
        writes.ends(self.number, |_| member.change(depth));
    }
}
