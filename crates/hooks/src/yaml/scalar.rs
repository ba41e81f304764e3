//! Which value a plain scalar is: the core schema of YAML 1.2 (section 10.3.2). `no`, `on` and `12:30` are texts there.

use serde_json::Number;

use super::{Text, Value};

/// A scalar without quotes.
///
/// # Errors
/// A number that JSON cannot hold exactly.
pub(super) fn plain(written: String) -> Result<Value, String> {
    match written.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true, written)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false, written)),
        _ => {}
    }
    let lossy = || format!("the number `{written}` is too large to be kept exactly; write it in quotes");
    let unsigned = written.strip_prefix(['-', '+']).unwrap_or(&written);
    if is_infinite(unsigned) || written == ".nan" || written == ".NaN" || written == ".NAN" {
        return Err(format!("`{written}` is no number that JSON has; write it in quotes"));
    }
    let radix = [("0x", 16), ("0o", 8)];
    for (prefix, radix) in radix {
        let digits = written.strip_prefix(prefix);
        if let Some(digits) = digits.filter(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))) {
            let number = u64::from_str_radix(digits, radix).map_err(|_| lossy())?;
            return Ok(Value::Number(number.into(), written));
        }
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let digits = written.strip_prefix('+').unwrap_or(&written);
        let signed = digits.parse::<i64>().map(Number::from);
        let number = signed.or_else(|_| digits.parse::<u64>().map(Number::from));
        return Ok(Value::Number(number.map_err(|_| lossy())?, written));
    }
    if is_float(unsigned) {
        let number = written.parse::<f64>().ok().and_then(Number::from_f64);
        return Ok(Value::Number(number.ok_or_else(lossy)?, written));
    }
    Ok(text(written))
}

/// A scalar that is a text whatever it says.
pub(super) fn text(text: String) -> Value {
    Value::Text(Text {
        text,
        references: Vec::new(),
    })
}

fn is_infinite(unsigned: &str) -> bool {
    [".inf", ".Inf", ".INF"].contains(&unsigned)
}

/// `1.5`, `.5`, `1.`, `1e3`.
fn is_float(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let mantissa_fits = match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction) && whole.len() + fraction.len() > 0,
        None => !mantissa.is_empty() && digits(mantissa),
    };
    exponent_fits && mantissa_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(written: &str) -> String {
        let value = plain(written.to_owned()).unwrap();
        let at = crate::finding::Mark::START;
        let node = super::super::Node {
            at,
            last_line: 1,
            value,
        };
        node.to_json().to_string()
    }

    #[test]
    fn what_looks_like_yes_and_no_elsewhere_is_a_text() {
        for written in [
            "no", "NO", "on", "off", "yes", "y", "12:30", "1_000", "0b1", "0x", "1e", ".", "-", "+", "1.2.3",
        ] {
            assert_eq!(json(written), format!("\"{written}\""));
        }
    }

    #[test]
    fn numbers_truth_and_null_are_those_of_the_core_schema() {
        for (written, value) in [
            ("", "null"),
            ("~", "null"),
            ("TRUE", "true"),
            ("false", "false"),
            ("12", "12"),
            ("-12", "-12"),
            ("+12", "12"),
            ("007", "7"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1.5", "1.5"),
            (".5", "0.5"),
            ("1e3", "1000.0"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(json(written), value, "{written}");
        }
    }

    #[test]
    fn a_number_that_json_cannot_hold_is_refused() {
        for written in ["18446744073709551616", ".inf", "-.INF", ".nan", "1e999"] {
            assert!(plain(written.to_owned()).is_err(), "{written}");
        }
    }
}
