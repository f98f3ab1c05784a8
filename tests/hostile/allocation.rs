//! Counts this thread's allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static OCTETS: Cell<usize> = const { Cell::new(0) };
    static FREED: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]
// SAFETY: everything is handed to the system's allocator as it came; the counters have no destructor and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        let _ = OCTETS.try_with(|octets| octets.set(octets.get() + layout.size()));
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = FREED.try_with(|octets| octets.set(octets.get() + layout.size()));
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// How often this thread has allocated so far.
pub fn count() -> u64 {
    COUNT.with(Cell::get)
}

/// What `act` gives, and the octets that it has allocated on the way, whether it kept them or not.
pub fn octets_of<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let before = OCTETS.with(Cell::get);
    let value = act();
    (value, OCTETS.with(Cell::get) - before)
}

/// What `act` gives, and the octets that it has allocated and not given back.
pub fn held_by<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let held = || OCTETS.with(Cell::get).saturating_sub(FREED.with(Cell::get));
    let before = held();
    let value = act();
    (value, held().saturating_sub(before))
}
