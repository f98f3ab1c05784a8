//! What is typed unseen, on a terminal that shows again what is typed however the question ends.

use std::io::stdin;

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};

/// What ends a program at a question: Ctrl-C, Ctrl-\, the terminal that goes away, a kill.
const ENDS: [Signal; 4] = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGTERM];

/// Asks a question that turns the echo off. A signal that ends the program meanwhile gives the terminal back first:
/// a shell whose echo is off seems dead.
pub(super) fn ask<T>(question: impl FnOnce() -> T) -> T {
    let ends: SigSet = ENDS.into_iter().collect();
    let Ok(before) = tcgetattr(stdin()) else { return question() };
    if ends.thread_block().is_err() {
        return question();
    }
    // It inherits the blocked signals and takes one of them; afterwards they are everybody's again, and it is the same
    // to a person which thread ends the program.
    std::thread::spawn(move || {
        let Ok(signal) = ends.wait() else { return };
        let _ = tcsetattr(stdin(), SetArg::TCSAFLUSH, &before);
        super::wizard::println_error("");
        let _ = ends.thread_unblock();
        let _ = raise(signal);
    });
    let answer = question();
    let _ = ends.thread_unblock();
    answer
}
