//! Whether an index is read with fences: [`Form`], and when it turns to the other one.

use super::locked::Entries;
use super::table::Table;
use super::{FENCED, Indexed, without_mark};
use crate::raw::value::hurry::Hurry;
use crate::raw::value::{barrier, under_lock};
use crate::shim::atomic::Ordering;
use crate::time::Tick;

/// What the two halves of the barrier are, as far as those are concerned who settle. What they are for
/// readers, the [mark](FENCED) says.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    Plain,
    /// The mark was set, for the time of this number. Some readers may have missed it that no barrier has
    /// reached since.
    Turning(u64),
    Fenced,
}

/// How often somebody settles.
pub(super) struct Pace {
    last: Tick,
    hurry: Hurry,
    /// Whether somebody has settled since a reader looked last.
    is_busy: bool,
}

impl Form {
    /// The address of a table, marked for those who read it in this form.
    pub(super) fn mark<E>(self, table: *mut Table<E>) -> *mut Table<E> {
        match self {
            Form::Plain => table,
            Form::Turning(_) | Form::Fenced => table.map_addr(|address| address | FENCED),
        }
    }
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            last: Tick::ZERO,
            hurry: Hurry::NONE,
            is_busy: false,
        }
    }

    /// Somebody settles now. Says whether that is often so.
    fn is_often(&mut self, now: Tick) -> bool {
        self.is_busy = true;
        self.hurry = self.hurry.again(now.saturating_since(self.last));
        self.last = now;
        self.hurry.is_often()
    }
}

impl<E: Indexed> Entries<'_, E> {
    /// Chooses the form that the next one passes who settles, after one who has passed this form.
    pub(super) fn turn(&mut self, passed: Form, now: Tick) {
        if self.content.form == passed && matches!(passed, Form::Turning(_)) {
            self.content.form = Form::Fenced;
        }
        match (self.content.form, self.content.pace.is_often(now)) {
            (Form::Plain, true) => {
                self.content.turns += 1;
                let form = Form::Turning(self.content.turns);
                self.read_in(form);
            }
            (Form::Turning(_) | Form::Fenced, false) => self.become_plain(),
            (Form::Plain, false) | (Form::Turning(_) | Form::Fenced, true) => {}
        }
    }

    fn become_plain(&mut self) {
        if !barrier::are_fences() {
            self.read_in(Form::Plain);
        }
    }

    /// Once no reader has to pay for fences any more, unless somebody has settled since it looked last.
    pub(super) fn end_fences(&mut self) {
        let content = &mut *self.content;
        if content.form != Form::Plain && !std::mem::take(&mut content.pace.is_busy) {
            self.become_plain();
        }
    }

    /// Tells readers by the mark what to pass.
    fn read_in(&mut self, form: Form) {
        self.content.form = form;
        let table = without_mark(under_lock(&self.front.table));
        // ORDERING: as in `put_in_front`; and see `left`.
        self.front.table.store(form.mark(table), Ordering::Release);
    }
}
