//! `icons.svg`: one sprite with the Lucide icons named in `style/icons.json` as `i-NAME` and our own status glyphs of
//! `style/glyphs.svg` as they are. Used by `<svg class="i"><use href="…/icons.HASH.svg#i-play"/></svg>`.

use anyhow::{Context, Result};

use super::stamp;
use crate::paths;

pub fn sprite() -> Result<String> {
    let style = paths::style();
    let names = stamp::read(&style.join("icons.json"))?;
    let names: Vec<String> = serde_json::from_slice(&names).context("style/icons.json is not a list of names")?;
    let text = |path: &str| -> Result<String> { Ok(String::from_utf8(stamp::read(&style.join(path))?)?) };

    let mut sprite = String::from("<svg xmlns=\"http://www.w3.org/2000/svg\"><!-- i-*: Lucide, lucide.dev, ISC licence -->");
    for name in &names {
        let icon = text(&format!("node_modules/lucide-static/icons/{name}.svg"))
            .with_context(|| format!("style/icons.json names {name}, and Lucide has no such icon"))?;
        let shapes = inner(&icon).with_context(|| format!("the icon {name} is not an SVG image"))?;
        sprite.push_str(&format!("<symbol id=\"i-{name}\" viewBox=\"0 0 24 24\">{shapes}</symbol>"));
    }
    let glyphs = text("glyphs.svg")?;
    sprite.push_str(&inner(&glyphs).context("style/glyphs.svg is not an SVG image")?);
    sprite.push_str("</svg>");
    Ok(sprite)
}

/// What stands between `<svg …>` and `</svg>`, without comments and without space between the elements.
fn inner(image: &str) -> Option<String> {
    let mut image = image.to_owned();
    while let Some(start) = image.find("<!--") {
        let end = start + image[start..].find("-->")? + "-->".len();
        image.replace_range(start..end, "");
    }
    let (_, rest) = image.split_once("<svg")?;
    let (_, rest) = rest.split_once('>')?;
    let (content, _) = rest.rsplit_once("</svg>")?;
    Some(content.lines().map(str::trim).collect::<Vec<_>>().concat().replace(" />", "/>"))
}

#[cfg(test)]
mod tests {
    use super::inner;

    #[test]
    fn an_icon_is_reduced_to_its_shapes() {
        let icon = "<!-- @license -->\n<svg\n  width=\"24\"\n>\n  <path d=\"M1 2\" />\n  <path d=\"M3 4\" />\n</svg>\n";
        assert_eq!(inner(icon).unwrap(), "<path d=\"M1 2\"/><path d=\"M3 4\"/>");
        assert_eq!(inner("no image"), None);
    }
}
