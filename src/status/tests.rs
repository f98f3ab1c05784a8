use super::*;

#[test]
fn golden_json_of_each_field_and_each_state_stays_as_it_is() {
    let offices: Vec<String> =
        sample::each_state().iter().map(|status| serde_json::to_string(status).unwrap()).collect();
    golden::assert_golden("status.json", &format!("[\n{}\n]\n", offices.join(",\n")));
}
