mod documented;

use super::*;

#[test]
fn a_wrong_command_line_has_another_exit_code_than_a_plan_with_changes() {
    for line in [&["gateway", "plam"][..], &["gateway", "destroy", "--yes"], &["gateway"], &["gateway", "promote"]] {
        assert_eq!(exit_code(&Arguments::try_parse_from(line).unwrap_err()), USAGE, "{line:?}");
    }
    assert_eq!(exit_code(&Arguments::try_parse_from(["gateway", "--help"]).unwrap_err()), 0);
    assert_eq!(exit_code(&Arguments::try_parse_from(["gateway", "--version"]).unwrap_err()), 0);
}
