//! `gateway undo`: back over the last apply.

use std::path::Path;

use super::account::{self, Purpose};
use super::arguments::Trace;
use super::{Done, apply, failed};

pub(super) fn run(path: &Path, yes: bool, trace: Trace) -> Done {
    let mut opened = account::open(path, Purpose::Change, trace)?;
    let steps = opened.account().plan_undo().map_err(failed)?;
    super::print("the last apply is undone, in this order:\n");
    for step in &steps {
        super::print(&format!("  {step}\n"));
    }
    if !yes && !apply::agreed("undo this?", "gateway undo --yes")? {
        super::print("nothing was changed\n");
        return Ok(());
    }
    let undone = opened.account().undo(&mut |step| super::print(&format!("{step}\n")));
    opened.read_owned()?;
    super::print(&format!("{}\n", opened.client.count));
    match undone {
        Ok(1) => super::print("undone: 1 step; \"gateway apply\" makes it again\n"),
        Ok(steps) => super::print(&format!("undone: {steps} steps; \"gateway apply\" makes them again\n")),
        Err(error) => {
            let way = "what was undone is recorded: run \"gateway undo\" again to go on";
            return Err(vec![error.to_string(), way.to_owned()]);
        }
    }
    apply::reload(&opened);
    Ok(())
}
