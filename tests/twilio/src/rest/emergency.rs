//! Registration of an address for emergency calls from a number, which takes time (TWILIO.md "Emergency addresses").

use serde_json::{Map, Value, json};

use super::resource::Kind;
use super::{RestError, Store};

/// The code of a change at the wrong moment or of an address that will not do; not sure.
const REFUSED: u32 = 21628;

/// An address on its way to a number, at it, or on its way off.
#[derive(Clone, Debug)]
pub struct Registration {
    /// `AD...`
    pub address: String,
    /// How many reads of the number still see it pending; `None` when it is registered.
    pub reads_left: Option<u32>,
}

/// What an `EmergencyAddressSid` in a number's form does to its fields.
pub fn change(store: &mut Store, sid: &str, fields: &mut Map<String, Value>, wanted: &str) -> Result<(), RestError> {
    let status = fields["emergency_address_status"].as_str().unwrap_or("").to_owned();
    let pending = Some(store.switches.registration_reads);
    if wanted.is_empty() {
        let Some(registration) = store.registrations.get_mut(sid) else {
            // Nothing there, or what failed: nothing has to be taken off.
            return set(fields, "unregistered", None);
        };
        if status != "pending-unregistration" {
            registration.reads_left = pending;
        }
        let shown = Some(registration.address.clone()).filter(|_| store.switches.cleared_address_lingers);
        return set(fields, "pending-unregistration", shown);
    }
    match store.registrations.get(sid) {
        Some(own) if own.address == wanted && status != "pending-unregistration" => return Ok(()),
        // TWILIO.md "Emergency addresses": Change: clear, wait for unregistered, then set the new one.
        Some(_) => {
            let message = format!("EmergencyAddressSid cannot be set while the address status is {status}");
            return Err(RestError::bad(REFUSED, message));
        }
        None => {}
    }
    let address = store.get(Kind::Address, None, wanted);
    if !address.is_some_and(|address| address.flag("emergency_enabled")) {
        let message = format!("EmergencyAddressSid {wanted} is not an emergency enabled address of this account");
        return Err(RestError::bad(REFUSED, message));
    }
    store.registrations.insert(sid.to_owned(), Registration { address: wanted.to_owned(), reads_left: pending });
    set(fields, "pending-registration", Some(wanted.to_owned()))
}

fn set(fields: &mut Map<String, Value>, status: &str, address: Option<String>) -> Result<(), RestError> {
    let active = if status == "registered" { "Active" } else { "Inactive" };
    fields.insert("emergency_address_status".to_owned(), json!(status));
    fields.insert("emergency_address_sid".to_owned(), json!(address));
    fields.insert("emergency_status".to_owned(), json!(active));
    Ok(())
}

/// A number is read: time passes for it. Reads are counted, so that tests need no clock.
pub fn read(store: &mut Store, sid: &str) {
    let Some(Registration { address, reads_left: Some(left) }) = store.registrations.get_mut(sid) else { return };
    if *left > 0 {
        *left -= 1;
        return;
    }
    let address = address.clone();
    let Ok(mut fields) = store.fields(Kind::Number, None, sid) else { return };
    let street = store.get(Kind::Address, None, &address).map_or(String::new(), |r| r.text("street").to_owned());
    let _ = if fields["emergency_address_status"] == "pending-unregistration" {
        store.registrations.remove(sid);
        set(&mut fields, "unregistered", None)
    } else if street.contains("Unregistrable") {
        store.registrations.remove(sid);
        set(&mut fields, "registration-failure", Some(address))
    } else {
        store.registrations.insert(sid.to_owned(), Registration { address: address.clone(), reads_left: None });
        set(&mut fields, "registered", Some(address))
    };
    store.replace(Kind::Number, sid, fields);
}

#[cfg(test)]
mod tests {
    use super::super::addresses;
    use super::super::family::tests::pairs;
    use super::super::numbers;
    use super::*;

    fn store_with(streets: &[&str]) -> (Store, String, Vec<String>) {
        let mut store = Store::new("AC00000000000000000000000000000000");
        store.seed_number("+15035550100");
        let number = store.number("+15035550100").unwrap().sid;
        let make = addresses::FAMILY.create.unwrap();
        let parts = [("CustomerName", "A"), ("City", "B"), ("Region", "C"), ("PostalCode", "D"), ("IsoCountry", "US")];
        let all = streets.iter().map(|street| {
            let mut form = pairs(&parts);
            form.extend(pairs(&[("Street", street), ("EmergencyEnabled", "true")]));
            make(&mut store, None, &form).unwrap()["sid"].as_str().unwrap().to_owned()
        });
        let sids = all.collect();
        (store, number, sids)
    }

    fn set_address(store: &mut Store, number: &str, address: &str) -> Result<Value, RestError> {
        numbers::FAMILY.update.unwrap()(store, None, number, &pairs(&[("EmergencyAddressSid", address)]))
    }

    /// What the next `n` reads see.
    fn reads(store: &mut Store, number: &str, n: usize) -> Vec<String> {
        let each = (0..n).map(|_| {
            read(store, number);
            store.fields(Kind::Number, None, number).unwrap()["emergency_address_status"].as_str().unwrap().to_owned()
        });
        each.collect()
    }

    #[test]
    fn a_registration_takes_as_many_reads_as_the_switch_says() {
        let (mut store, number, addresses) = store_with(&["1 Main St"]);
        let fields = set_address(&mut store, &number, &addresses[0]).unwrap();
        assert_eq!(
            (&fields["emergency_address_status"], &fields["emergency_status"]),
            (&json!("pending-registration"), &json!("Inactive"))
        );
        let expected = ["pending-registration", "pending-registration", "registered", "registered"];
        assert_eq!(reads(&mut store, &number, 4), expected);
        assert_eq!(store.fields(Kind::Number, None, &number).unwrap()["emergency_status"], "Active");
    }

    #[test]
    fn an_address_is_changed_by_clearing_waiting_and_setting() {
        let (mut store, number, addresses) = store_with(&["1 Main St", "2 Main St"]);
        set_address(&mut store, &number, &addresses[0]).unwrap();
        assert!(set_address(&mut store, &number, &addresses[1]).is_err());
        reads(&mut store, &number, 3);
        assert!(set_address(&mut store, &number, &addresses[1]).is_err());
        assert!(set_address(&mut store, &number, &addresses[0]).is_ok(), "the same again changes nothing");
        set_address(&mut store, &number, "").unwrap();
        assert!(set_address(&mut store, &number, &addresses[0]).is_err());
        let delete = addresses::FAMILY.delete.unwrap();
        assert!(delete(&mut store, None, &addresses[0]).is_err(), "it is not off yet");
        assert_eq!(reads(&mut store, &number, 3)[2], "unregistered");
        set_address(&mut store, &number, &addresses[1]).unwrap();
        assert!(delete(&mut store, None, &addresses[0]).is_ok());
        assert!(delete(&mut store, None, &addresses[1]).is_err());
    }

    #[test]
    fn a_registration_can_fail_and_be_tried_with_another_address() {
        let (mut store, number, addresses) = store_with(&["1 Unregistrable St", "2 Main St"]);
        set_address(&mut store, &number, &addresses[0]).unwrap();
        assert_eq!(reads(&mut store, &number, 3)[2], "registration-failure");
        set_address(&mut store, &number, &addresses[1]).unwrap();
        assert_eq!(reads(&mut store, &number, 3)[2], "registered");
    }
}
