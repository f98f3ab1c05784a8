//! Which countries may be called (TWILIO.md "Dialing permissions").

use serde_json::{Value, json};

use super::{Applier, ApplyError, CREATE_ATTEMPTS};
use crate::api::{Collection, Form, Product};
use crate::kind::COUNTRIES;
use crate::model::{Id, Kind};

impl Applier<'_> {
    /// Opens and closes countries, in one request. Their other two flags go with it as they are now.
    pub(super) fn permit(&mut self, countries: &Form) -> Result<(), ApplyError> {
        let kind = Kind::DialingPermissions;
        let now = self.api.list(&kind.collection(None), kind.schema().records)?;
        let mut updates = Vec::new();
        for (code, open) in &countries.0 {
            let id = || Id::new(kind, COUNTRIES);
            let country = now.iter().find(|country| country.get("iso_code").and_then(Value::as_str) == Some(code));
            let country = country.ok_or_else(|| ApplyError::Unresolved { id: id() })?;
            let flag = |name: &str| country.get(name).and_then(Value::as_bool).unwrap_or_default().to_string();
            // Booleans are strings here: true ones have no effect.
            updates.push(json!({
                "iso_code": code,
                "low_risk_numbers_enabled": open.plain().unwrap_or_default(),
                "high_risk_special_numbers_enabled": flag("high_risk_special_numbers_enabled"),
                "high_risk_tollfraud_numbers_enabled": flag("high_risk_tollfraud_numbers_enabled"),
            }));
        }
        let mut form = Form::default();
        form.plain("UpdateRequest", Value::Array(updates).to_string());
        let collection = Collection::new(Product::Voice, "DialingPermissions/BulkCountryUpdates");
        for attempt in 1.. {
            match self.api.create(&collection, &form) {
                Ok(_) => break,
                // It makes nothing, so a second one changes nothing more.
                Err(error) if error.is_uncertain() && attempt < CREATE_ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
