//! The colours of tags, as Proxmox's own pages show them, so that a tag is recognised here.
//!
//! An admin can say them in the datacenter's options (`tag-style`). Where nobody has, they come from the tag's text: its hash, over white
//! with an opacity of 0.7 (proxmox-widget-toolkit src/Utils.js, `stringToRGB`), and the text is black or white, whichever has more contrast
//! by a simplified SAPC (`getTextContrastClass` there).

use super::model::{Colour, Tag};
use crate::proxmox::wire::TagColours;

/// A tag with its colours.
pub fn coloured(name: &str, style: Option<&TagColours>) -> Tag {
    let parse = |digits: &str| format!("#{digits}").parse::<Colour>().ok();
    let said = style.and_then(|style| style.colours.get(name));
    let (colour, parts) = match said.and_then(|(colour, _)| parse(colour)) {
        Some(colour) => (colour, colour.0.map(f64::from)),
        None => {
            let parts = of_text(name);
            (Colour(parts.map(|part| part.round() as u8)), parts)
        }
    };
    let text = said.and_then(|(_, text)| parse(text.as_deref()?)).unwrap_or_else(|| contrast(parts));
    Tag { name: name.to_owned(), colour, text }
}

/// The colour of a text.
fn of_text(text: &str) -> [f64; 3] {
    // JavaScript's: 16 bits at a time, in numbers of 32 bits
    let units = text.encode_utf16().chain("prox".encode_utf16());
    let hash = units.fold(0_i32, |hash, unit| i32::from(unit).wrapping_add(hash.wrapping_shl(5).wrapping_sub(hash)));
    [0, 8, 16].map(|shift| f64::from((hash >> shift) & 255) * 0.7 + 255.0 * (1.0 - 0.7))
}

/// Black or white, whichever can be read better on a colour.
fn contrast(parts: [f64; 3]) -> Colour {
    let linear = parts.map(|part| (part / 255.0).powf(2.4));
    let luminance = linear[0] * 0.212_672_9 + linear[1] * 0.715_152_2 + linear[2] * 0.072_175;
    // what is nearly black counts as a little brighter
    let luminance = if luminance > 0.022 { luminance } else { luminance + (0.022 - luminance).powf(1.414) };
    let (with_white, with_black) = (luminance.powf(0.65) - 1.0, luminance.powf(0.56) - 0.046_134_502);
    if with_white.abs() >= with_black.abs() { Colour([255; 3]) } else { Colour([0; 3]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_of_the_admin_the_colour_is_the_texts_own() {
        // worked out with the very statements of `stringToRGB` and `getTextContrastClass`
        for (name, colour, text) in [
            ("prod", "#7bd569", "#000000"),
            ("web", "#d2bffa", "#000000"),
            ("db", "#f07978", "#ffffff"),
            ("a", "#82aeae", "#000000"),
            ("größe", "#fd6e8a", "#ffffff"),
            ("🚀", "#dd51a6", "#ffffff"),
        ] {
            let tag = coloured(name, None);
            assert_eq!((tag.colour.to_string().as_str(), tag.text.to_string().as_str()), (colour, text), "{name}");
        }
    }

    #[test]
    fn the_admin_has_the_first_word() {
        let colours = [("web", ("ff0000", Some("00ff00"))), ("db", ("0000ff", None))];
        let colours = colours.map(|(name, (colour, text))| (name.to_owned(), (colour.to_owned(), text.map(str::to_owned))));
        let style = TagColours { colours: colours.into(), ..TagColours::default() };
        let shown = |name: &str, style: &TagColours| {
            let tag = coloured(name, Some(style));
            format!("{} {}", tag.colour, tag.text)
        };
        assert_eq!([shown("web", &style), shown("db", &style)], ["#ff0000 #00ff00", "#0000ff #ffffff"]);
        // it is looked for as it is written (`getTagElement`)
        assert_eq!(coloured("DB", Some(&style)), coloured("DB", None));
    }
}
