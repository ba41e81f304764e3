//! Values of the engine on their way out: as JSON, and never more of it than allowed.

use minijinja::{Error, ErrorKind, Value, value::ValueKind};
use serde_json::{Map, Number, Value as JsonValue};

use crate::OUTPUT_BYTES_MAX;

/// What a text that grew too long is answered with.
pub(crate) fn too_long() -> Error {
    Error::new(
        ErrorKind::WriteFailure,
        format!("writes more than {OUTPUT_BYTES_MAX} bytes: take less of the message"),
    )
}

/// The JSON text of a value, on one line or indented by two.
pub(crate) fn text(value: &Value, indented: bool) -> Result<String, Error> {
    let json = json(value, &mut Room::default())?;
    if indented {
        Ok(format!("{json:#}"))
    } else {
        Ok(json.to_string())
    }
}

/// How many bytes of JSON may still be made.
#[derive(Debug)]
pub(crate) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(OUTPUT_BYTES_MAX)
    }
}

impl Room {
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Error> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(too_long)?;
        Ok(())
    }
}

/// The value as JSON. Undefined is null, and so is a number that JSON cannot say (infinity). An integer of more than 64 bits
/// becomes a string: most readers would lose its digits.
pub(crate) fn json(value: &Value, room: &mut Room) -> Result<JsonValue, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => {
            room.take(4)?;
            JsonValue::Null
        }
        ValueKind::Bool => {
            room.take(5)?;
            JsonValue::Bool(value.is_true())
        }
        ValueKind::Number => {
            let number = number(value);
            room.take(number.to_string().len())?;
            number
        }
        ValueKind::String | ValueKind::Bytes => {
            let text = value.as_str().unwrap_or_default();
            room.take(text.len() + 2)?;
            JsonValue::String(text.to_owned())
        }
        ValueKind::Seq | ValueKind::Iterable => {
            room.take(2)?;
            let mut items = Vec::new();
            for item in value.try_iter()?.checked() {
                room.take(1)?;
                items.push(json(&item?, room)?);
            }
            JsonValue::Array(items)
        }
        ValueKind::Map => {
            room.take(2)?;
            let mut members = Map::new();
            for key in value.try_iter()?.checked() {
                let key = key?;
                let member = json(&value.get_item(&key)?, room)?;
                let name = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                room.take(name.len() + 4)?;
                members.insert(name, member);
            }
            JsonValue::Object(members)
        }
        ValueKind::Invalid => return Err(error_in(value)),
        _ => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("a {} cannot be written", value.kind()),
            ));
        }
    })
}

/// The error that an invalid value carries: only an iterator over it tells.
fn error_in(value: &Value) -> Error {
    let told = Value::from(vec![value.clone()])
        .try_iter()
        .and_then(|items| items.checked().collect::<Result<Vec<_>, _>>());
    told.err().unwrap_or_else(|| Error::from(ErrorKind::InvalidOperation))
}

fn number(value: &Value) -> JsonValue {
    if let Ok(number) = i64::try_from(value.clone())
        && value.is_integer()
    {
        return JsonValue::from(number);
    }
    if let Ok(number) = u64::try_from(value.clone())
        && value.is_integer()
    {
        return JsonValue::from(number);
    }
    if value.is_integer() {
        return JsonValue::String(value.to_string());
    }
    f64::try_from(value.clone())
        .ok()
        .and_then(Number::from_f64)
        .map_or(JsonValue::Null, JsonValue::Number)
}
