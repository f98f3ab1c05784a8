//! What happens while changes are made, for people who watch.

use crate::plan::Change;

/// What happens while changes are made.
#[derive(Debug)]
pub enum Progress<'a> {
    /// The `at`th of `of` begins.
    Begins { at: usize, of: usize, change: &'a Change },
    /// It waits for Twilio: a sentence.
    Waits { reason: String },
    /// It is done.
    Done,
    /// It failed; the error is returned.
    Failed,
}

/// Gets each step as it happens.
pub type Listener<'a> = &'a mut dyn FnMut(Progress<'_>);
