# sha256 2908d0f9de5f4a583528860d0dd5fe6676b678f924698f7263a182d735517250
# Atomics answer with several accesses; the others with one, as before.
211i\
    pub(super) fn last_dependent_accesses(&self, operation: Operation) -> Vec<&Access> {\
        if let Entry::Atomic(entry) = &self.entries[operation.obj.index] {\
            return entry.last_dependent_accesses(operation.action.into()).collect();\
        }\
        self.last_dependent_access(operation).into_iter().collect()\
    }\

211s/pub(super) //
214d
