//! `gateway metrics`: the running service's figures, as Prometheus reads them.

use std::path::Path;

use super::{Done, failed};

pub(super) fn run(path: &Path) -> Done {
    let answer = super::in_force::ask(path, "metrics", super::ask::TIMEOUT).map_err(failed)?;
    if !answer.starts_with('#') {
        return Err(failed("the service answers something else; is it of the same version?"));
    }
    super::print(&answer);
    Ok(())
}
