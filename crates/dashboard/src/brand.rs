//! How the pages look: a name, a logo, a colour, as the operator configured them.

use std::{fmt, str::FromStr};

use bytes::Bytes;

/// Name, logo and colours.
#[derive(Debug, Clone, Default)]
pub struct Brand {
    /// What the pages call the product; `Bellwire` when nothing is said.
    pub name: Option<String>,
    /// The logo.
    pub logo: Option<Logo>,
    /// The one accent, on light pages.
    pub accent: Option<Colour>,
    /// The accent on dark pages; as on light ones when nothing is said.
    pub accent_dark: Option<Colour>,
}

impl Brand {
    /// The name.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("Bellwire")
    }

    /// The style sheet that says the colours; empty when they are ours.
    pub(crate) fn style(&self) -> String {
        let mut style = String::new();
        let dark = self.accent_dark.or(self.accent);
        if let Some(light) = self.accent {
            style += &format!(":root {{ --accent: {light}; }}\n");
        }
        if let Some(dark) = dark {
            style += &format!(
                "@media (prefers-color-scheme: dark) {{ :root:not([data-theme=\"light\"]) {{ --accent: {dark}; }} }}\n\
                 :root[data-theme=\"dark\"] {{ --accent: {dark}; }}\n"
            );
        }
        style
    }
}

/// A picture, as it is sent.
#[derive(Debug, Clone)]
pub struct Logo {
    /// `image/svg+xml`, `image/png`, `image/jpeg` or `image/webp`.
    pub media_type: &'static str,
    /// The file.
    pub bytes: Bytes,
}

impl Logo {
    /// The longest file that is taken for a logo, in bytes.
    pub const BYTES_MAX: usize = 256 << 10;

    /// By the end of a file's name.
    pub fn media_type(file: &str) -> Option<&'static str> {
        match file.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "svg" => Some("image/svg+xml"),
            "png" => Some("image/png"),
            "jpg" | "jpeg" => Some("image/jpeg"),
            "webp" => Some("image/webp"),
            _ => None,
        }
    }
}

/// A colour: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

/// Text that is no colour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a colour as #rrggbb, such as #2457c5")]
pub struct ColourError;

impl FromStr for Colour {
    type Err = ColourError;

    fn from_str(text: &str) -> Result<Self, ColourError> {
        let digits = text
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.ok_or(ColourError)?;
        let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| ColourError);
        Ok(Self([part(0)?, part(2)?, part(4)?]))
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_six_hexadecimal_digits_and_nothing_else() {
        assert_eq!("#2457C5".parse::<Colour>().unwrap().to_string(), "#2457c5");
        for wrong in ["2457c5", "#245", "#2457c5;}", "#+457c5", "red", "#24é7c"] {
            assert!(wrong.parse::<Colour>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_brand_without_colours_adds_no_style() {
        assert_eq!(Brand::default().style(), "");
        let brand = Brand {
            accent: "#112233".parse().ok(),
            ..Brand::default()
        };
        assert!(brand.style().contains("--accent: #112233") && brand.style().contains("dark"));
    }
}
