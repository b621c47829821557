# sha256 bb0bb575cd531c5cce14feef1f155b4d0c80e69a1985c5d42d618cece0081dc6
# Every load since the last store is remembered, not the last access alone.
114,116c\
    /// The loads since the last store, but for those that happen before another one. What is next\
    /// depends on them.\
    last_loads: Vec<Access>,
414s/last_access: None/last_loads: Vec::new()/
828s/access$/accesses/
829,833c\
    pub(super) fn last_dependent_accesses(&self, action: Action) -> impl Iterator<Item = &Access> {\
        let loads = match action {\
            Action::Load => &[],\
            _ => &self.last_loads[..],\
        };\
        self.last_non_load_access.iter().chain(loads)
838,840d
842c\
            Action::Load => {\
                self.last_loads.retain(|load| !load.happens_before(version));\
                self.last_loads.push(Access::new(path_id, version));\
            }
844s/$/, which depend on all loads./
844a\
                self.last_loads.clear();
